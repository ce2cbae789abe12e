"""Seconds per track of each ``excerpt.strategy``.

    python benchmarks/excerpts.py SONG... [--config default] [--rounds 5]

One process, one thread. In each round every strategy takes its turn on each song; medians over
rounds, of the mean over songs, and ratios to the centre.
"""

import os

# Before numpy starts its threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from pathlib import Path

import click
import numpy as np

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.extraction.chain import extract_one

STRATEGIES = {
    "centre": [],
    "start": [],
    "multi": [],
    "energy": [],
    "window": ["excerpt.seconds=90"],
    "highlight": [],
    "full": [],
}


def seconds_a_track(songs: tuple[Path, ...], config: Config) -> float:
    """Time one round in processor time, because other programs may run."""
    start = time.process_time()
    for song in songs:
        extract_one(song, config)
    return (time.process_time() - start) / len(songs)


@click.command()
@click.argument("songs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--config", default="default", show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(songs: tuple[Path, ...], config: str, rounds: int) -> None:
    """Print the seconds per track and the ratio to ``centre``."""
    configs = {
        name: load_config(config, [f"excerpt.strategy={name}", *overrides])
        for name, overrides in STRATEGIES.items()
    }
    for settings in configs.values():  # filter banks are made once
        extract_one(songs[0], settings)
    times = np.array(
        [[seconds_a_track(songs, settings) for settings in configs.values()] for _ in range(rounds)]
    )
    ratios = np.median(times / times[:, :1], axis=0)
    for name, seconds, ratio in zip(configs, np.median(times, axis=0), ratios, strict=True):
        click.echo(f"{name:10s} {seconds:6.3f} s {ratio:6.2f} x the centre")


if __name__ == "__main__":
    main()
