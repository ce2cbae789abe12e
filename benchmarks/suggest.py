"""Accuracy over the number of labels: tracks that `genreclf suggest` names, against random ones.

    python benchmarks/suggest.py TABLE... [--group COLUMN] [--ignore COLUMN...] [--repeats 20]

A person who labels a library is simulated. 30 % of the artists are held out for the test. The model
begins with 20 random labels of the other artists; in each round it is trained, and 10 more tracks
get their labels: those that the method suggests. All methods begin with the same labels. Each
repeat has another split and another beginning.

The accuracy is that on the held-out artists. The interval of a difference from random choice is
Student's, of the repeats. They all come from one collection, so another collection can differ by
more.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.model_selection import GroupShuffleSplit

from genreclf.config.schema import Config
from genreclf.learning.suggestion import METHODS, Method, choose
from genreclf.learning.training import fit_pipeline
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]

FIRST, STEP, MOST = 20, 10, 150
TEST_SHARE = 0.3
SHOWN = (20, 50, 80, 110, 150)


def accuracies(table: FeatureTable, method: Method, repeat: int) -> Doubles:
    """Return the accuracy after each round, (n_rounds,)."""
    split = GroupShuffleSplit(1, test_size=TEST_SHARE, random_state=repeat)
    train, test = next(split.split(table.values, groups=table.groups))
    labelled = np.random.default_rng(repeat).permutation(train)[:FIRST]
    found = []
    for n in rounds(table):
        pipeline = fit_pipeline(table.take(labelled), Config())
        found.append(float((pipeline.predict(table.values[test]) == table.labels[test]).mean()))
        rest = np.setdiff1d(train, labelled)
        probabilities = pipeline.predict_proba(table.values[rest])
        space = pipeline[:-1].transform(table.values[rest])
        chosen = choose(probabilities, space, STEP, method, seed=1000 * repeat + n)
        labelled = np.concatenate((labelled, rest[chosen]))
    return np.array(found)


def rounds(table: FeatureTable) -> range:
    """Return the numbers of labels, at most half of the table."""
    return range(FIRST, min(MOST, len(table) // 2) + 1, STEP)


def difference(ours: Doubles, theirs: Doubles) -> str:
    """Return the mean difference of paired repeats, in points, with its 95 % interval."""
    differences = 100 * (ours - theirs)
    half = student.ppf(0.975, len(differences) - 1) * differences.std(ddof=1)
    half /= np.sqrt(len(differences))
    mean = differences.mean()
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def report(name: str, table: FeatureTable, by_method: dict[Method, Doubles]) -> None:
    """Print a row for some numbers of labels, and one for the mean of all numbers."""
    numbers = rounds(table)
    others: Sequence[Method] = [method for method in METHODS if method != "random"]
    shown = [(str(n), slice(i, i + 1)) for i, n in enumerate(numbers) if n in SHOWN]
    for labels, which in [*shown, (f"mean of {FIRST} to {numbers[-1]}", slice(None))]:
        means = {method: by_method[method][:, which].mean(axis=1) for method in METHODS}
        random = means["random"]
        cells = [
            f"{name}, {len(table)} tracks",
            labels,
            f"{100 * random.mean():.1f} %",
            *(difference(means[method], random) for method in others),
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print rows for each table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="+")
    parser.add_argument("--group", default="group")
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    columns = Columns(group=options.group, ignore=tuple(options.ignore))
    named = [f"{method} - random" for method in METHODS if method != "random"]
    print("| table | labels | random |", " | ".join(named), "|\n|---|---|---|---|---|")
    for path in options.tables:
        table = replace(load_table(path, columns).labelled(), config=None)
        table = table.take(table.groups != "")
        by_method = {
            method: np.array(
                [accuracies(table, method, repeat) for repeat in range(options.repeats)]
            )
            for method in METHODS
        }
        report(path.stem, table, by_method)


if __name__ == "__main__":
    main()
