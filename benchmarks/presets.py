"""Milliseconds per track of each preset, and the ratio to the default.

    python benchmarks/presets.py SONG... [--rounds 6]

One process, one thread, processor time; all presets take their turn with each song in each round,
and the minimum over the rounds counts, because other work only adds time. Prints a Markdown table.
"""

import os

# Before numpy starts its threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import math
import time
from collections import defaultdict
from pathlib import Path

import click

from genreclf.config.load import load_config, preset_names
from genreclf.errors import NetworkError
from genreclf.extraction.chain import extract_one, prepare
from genreclf.features.pooling import feature_names


@click.command()
@click.argument("songs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rounds", default=6, show_default=True)
def main(songs: tuple[Path, ...], rounds: int) -> None:
    """Print milliseconds per track, the ratio to the default, and the number of columns."""
    configs = {}
    for name in preset_names():
        try:
            prepare(config := load_config(name))
        except NetworkError as error:
            click.echo(f"left out: {name}: {error}", err=True)
        else:
            configs[name] = config
    least: defaultdict[str, dict[Path, float]] = defaultdict(lambda: dict.fromkeys(songs, math.inf))
    for _ in range(rounds):
        for song in songs:
            for name, config in configs.items():
                start = time.process_time()
                extract_one(song, config)
                least[name][song] = min(least[name][song], time.process_time() - start)
    means = {name: 1000 * sum(times.values()) / len(songs) for name, times in least.items()}
    click.echo("| preset | ms a track | against default | columns |\n|---|---|---|---|")
    for name, ms in sorted(means.items(), key=lambda item: item[1]):
        columns = len(feature_names(configs[name]))
        click.echo(f"| {name} | {ms:.0f} | {ms / means['default']:.2f} | {columns} |")


if __name__ == "__main__":
    main()
