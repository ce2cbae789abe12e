"""Speed of each ``excerpt.strategy``, and accuracy of several excerpts and of short windows.

    python benchmarks/excerpts.py speed SONG... [--config default] [--rounds 5]
    python benchmarks/excerpts.py accuracy FOLDER... [--classifiers svm,logistic] [--repeats 5]
    python benchmarks/excerpts.py windows FOLDER... [--classifiers svm] [--repeats 5]

``speed``: one process, one thread. In each round every strategy takes its turn on each song;
medians over rounds, of the mean over songs, and ratios to the centre.

``accuracy`` and ``windows`` need folders with a ``manifest.csv`` of path, label and group. They
measure on groups (artists) that were not in the training set.

``accuracy``: the excerpts of a track pooled into one row, against a row for each of them.

``windows``: the accuracy on single windows of a timeline, by the middle 29.12 s of each track, and
by excerpts as long as the windows.
"""

import os

# Before numpy starts its threads.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import time
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from genreclf.config.load import load_config
from genreclf.config.schema import Config
from genreclf.evaluation.comparison import compare
from genreclf.evaluation.crossvalidation import choose_splits
from genreclf.evaluation.intervals import group_numbers, learning_factor
from genreclf.evaluation.significance import group_t_test
from genreclf.evaluation.variants import Variant
from genreclf.extraction.chain import extract_one
from genreclf.extraction.tracks import extract
from genreclf.learning.duplicates import copies_in
from genreclf.learning.excerpts import as_rows
from genreclf.learning.resolution import resolve
from genreclf.learning.training import fit_pipeline
from genreclf.tables.table import FeatureTable

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


@click.group()
def main() -> None:
    """Measure how fast and how accurate excerpts are."""


FOLDERS = click.argument(
    "folders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
REPEATS = click.option("--repeats", default=5, show_default=True, help="Cross-validations.")


@main.command()
@click.argument("songs", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--config", default="default", show_default=True)
@click.option("--rounds", default=5, show_default=True)
def speed(songs: tuple[Path, ...], config: str, rounds: int) -> None:
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


def several(n: int, seconds: float) -> Config:
    """Return the configuration of n excerpts of some seconds."""
    settings = [f"excerpt.excerpts={n}", f"excerpt.seconds={seconds}"]
    return load_config(overrides=["excerpt.strategy=multi", *settings])


def extracted(folder: Path, config: Config) -> FeatureTable:
    """Compute the features of a folder with a manifest."""
    return extract(folder, config, labels=folder / "manifest.csv", jobs=os.cpu_count())


@main.command()
@FOLDERS
@click.option("--classifiers", default="svm,logistic", show_default=True)
@REPEATS
def accuracy(folders: tuple[Path, ...], classifiers: str, repeats: int) -> None:
    """Compare pooled rows with a row for each excerpt."""
    for folder in folders:
        for n, seconds in ((3, 5), (3, 9.7), (6, 5)):
            table = extracted(folder, several(n, seconds))
            for name in classifiers.split(","):
                _compare_rows(f"{folder.name} | {n} of {seconds:g} s", table, name, repeats)


def _compare_rows(which: str, table: FeatureTable, classifier: str, repeats: int) -> None:
    settings = [f"classifier.name={classifier}"]
    pooled = Variant("pooled", table, load_config(overrides=[*settings, "learn_from=tracks"]))
    each = Variant("each", table, load_config(overrides=settings))
    found = compare([pooled, each], repeats=repeats)
    (before, after), [difference] = found.scores, found.differences
    low, high = (100 * bound for bound in difference.interval)
    click.echo(
        f"| {which} | {classifier} | {len(before.correct)} | {before.accuracy:.1%} "
        f"| {after.accuracy:.1%} | {100 * difference.difference:+.1f} ({low:+.0f} to {high:+.0f}) |"
    )


@main.command()
@FOLDERS
@click.option("--classifiers", default="svm", show_default=True)
@REPEATS
def windows(folders: tuple[Path, ...], classifiers: str, repeats: int) -> None:
    """Compare models of long and of short excerpts on short windows."""
    for folder in folders:
        long = extracted(folder, load_config())
        for n, seconds in ((6, 3), (6, 5), (3, 10)):
            short = extracted(folder, several(n, seconds))
            for name in classifiers.split(","):
                _compare_windows(f"{folder.name} | {seconds:g} s", (long, short), name, repeats)


def _compare_windows(
    which: str, tables: tuple[FeatureTable, FeatureTable], classifier: str, repeats: int
) -> None:
    """Print the accuracy on the excerpts of the second table, by models of each table."""
    groups = copies_in(tables[0]).joined(tables[0].groups)
    long, short = (replace(table, groups=groups) for table in tables)
    correct = np.full((repeats, 2, len(long)), np.nan)
    for repeat in range(repeats):
        settings = [f"classifier.name={classifier}", f"seed={100 * repeat}"]
        config = load_config(overrides=settings)
        splits = choose_splits(long, config)
        for train, test in splits.tested(long.labels):
            rows, labels = as_rows(short.excerpts[test]), short.labels[test, None]
            for i, table in enumerate((long, short)):
                part = table.take(train)
                pipeline = fit_pipeline(part, resolve(config, part), calibrated=False)
                predicted = pipeline.predict(rows).reshape(len(test), -1)
                correct[repeat, i, test] = np.mean(predicted == labels, axis=1)
    tested = ~np.isnan(correct).any(axis=(0, 1))
    before, after = correct[:, :, tested].mean(axis=0)
    share = splits.train_share(long.labels)
    factor = learning_factor(long.labels[tested], groups[tested], share) * (2 - share)
    t_test = group_t_test(after - before, group_numbers(groups[tested]), factor)
    low, high = (100 * bound for bound in t_test.interval)
    click.echo(
        f"| {which} | {classifier} | {tested.sum()} | {before.mean():.1%} | {after.mean():.1%} "
        f"| {100 * (after - before).mean():+.1f} ({low:+.0f} to {high:+.0f}) |"
    )


if __name__ == "__main__":
    main()
