"""Compare ways of learning on several collections; the default was chosen by this.

    python benchmarks/defaults.py FOLDER_OF_TABLES [TABLE...] [--only WORD]

The folder holds ``gtzan-librosa57.csv``, ``gtzan-mfcc.csv`` and ``ballroom-mfcc120.csv``; further
tables are of own music with groups, by ``genreclf extract``. For every variant it prints the
accuracy on artists that were not in the training set, and its difference from the default before
(``C = 10``, ``gamma = "scale"``, no limit, PCA before everything but trees) with a standard error
over artists.

The rule, written down before looking: of all variants take the one with the highest mean difference
over the collections (GTZAN's four tables are one), weighted by the inverse of its squared standard
error, unless it is more than one standard error worse on any of them.
"""

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from genreclf.config.load import load_config
from genreclf.learning.duplicates import copies_in
from genreclf.learning.pipelines import Task
from genreclf.learning.splits import own_groups, published_folds
from genreclf.tables.columns import Columns
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

BEFORE = {
    "svm": "scaling_limit=off pca=0.99 classifier.C=10 classifier.gamma=scale",
    "logistic": "scaling_limit=off pca=0.99 classifier.C=0.1",
    "lda": "scaling_limit=off pca=0.99",
    "knn": "scaling_limit=off pca=0.99",
}
VARIANTS = {
    "svm": [
        "",
        *(f"scaling_limit={limit} {BEFORE['svm'].partition(' ')[2]}" for limit in (3, 4, 5)),
        *(f"pca={pca} classifier.C={C}" for pca in ("0.99", "off") for C in (1, 2, 3, 5, 10)),
        "classifier.name=ensemble",
    ],
    "logistic": [
        f"pca={pca} classifier.C={C}" for pca in ("0.99", "off") for C in (0.03, 0.1, 0.3)
    ],
    "lda": ["pca=0.99", "pca=off"],
    "knn": ["pca=0.99", "pca=off"],
}
BAND_LIMITED = ("mfcc[._]*", "chroma*", "rms*", "spectral*", "rolloff*", "zero*", "tempo")
REPEATS, FOLDS = 5, 10
Folds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclass(frozen=True)
class Collection:
    """A table, and the folds on which it is tested, one list a repetition."""

    name: str
    table: FeatureTable
    repeats: list[Folds]


def collections(folder: Path, others: Sequence[Path]) -> list[Collection]:
    """Read the published tables and those of own music."""
    joined = (folder / "gtzan-librosa57.csv",)
    artists = {"group": "artist", "folds": "sturm_fold"}
    mfcc = folder / "gtzan-mfcc.csv"
    gtzan = {
        "GTZAN 57": load_table(joined[0], Columns(**artists, ignore=("length",))),
        "GTZAN 120": load_table(mfcc, Columns(**artists, join=joined, features=("mfcc[._]*",))),
        "GTZAN 93": load_table(mfcc, Columns(**artists, join=joined, features=BAND_LIMITED,
                                             ignore=("mfcc_delta*.mean",))),
        "GTZAN 177": load_table(mfcc, Columns(**artists, join=joined, ignore=("length",))),
    }  # fmt: skip
    found = [
        Collection(name, table, [published_folds(table.folds).folds])
        for name, table in gtzan.items()
        if table.folds is not None
    ]
    ballroom = load_table(folder / "ballroom-mfcc120.csv", Columns(features=("mfcc*",)))
    known = [genre for genre in ballroom.genres if (ballroom.labels == genre).sum() >= 400]
    ballroom = ballroom.take(np.flatnonzero(np.isin(ballroom.labels, known)))
    some = np.random.default_rng(0).permutation(len(ballroom))[:1050]
    found.append(_grouped("Ballroom", ballroom.take(np.sort(some)), 3, 1))
    return [*found, *(_grouped(path.stem, load_table(path), FOLDS, REPEATS) for path in others)]


def _grouped(name: str, table: FeatureTable, n_folds: int, n_repeats: int) -> Collection:
    table = table.labelled()
    groups = own_groups(copies_in(table).joined(table.groups))
    fewest = min(len(set(groups[table.labels == genre])) for genre in table.genres)
    testable = [g for g in table.genres if len(set(groups[table.labels == g])) > 2]
    repeats = []
    for seed in range(n_repeats):
        n = n_folds if fewest >= n_folds else 7
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of genres with fewer tracks than folds
            folds = StratifiedGroupKFold(n, shuffle=True, random_state=seed)
            found = list(folds.split(table.labels, table.labels, groups))
        tested = np.isin(table.labels, testable)
        repeats.append([(train, test[tested[test]]) for train, test in found])
    return Collection(name, replace(table, groups=groups), repeats)


def hits(collection: Collection, classifier: str, overrides: str) -> NDArray[np.float64]:
    """Return how often each track was predicted correctly; NaN for what was not tested."""
    config = load_config(overrides=[f"classifier.name={classifier}", *overrides.split()])
    table = collection.table
    correct = np.full((len(collection.repeats), len(table)), np.nan)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for repeat, folds in enumerate(collection.repeats):
            for train, test in folds:
                if len(test):
                    part = table.take(train)
                    pipeline = config.classifier.pipeline(Task(part, config, calibrated=False))
                    predicted = pipeline.fit(part.values, part.labels).predict(table.values[test])
                    correct[repeat, test] = predicted == table.labels[test]
        return np.nanmean(correct, axis=0)


def standard_error(values: NDArray[np.float64], groups: NDArray[np.object_]) -> float:
    """Return the cluster-robust standard error of a mean, over groups."""
    known = ~np.isnan(values)
    _, codes = np.unique(groups[known].astype(str), return_inverse=True)
    residuals = np.bincount(codes, values[known] - values[known].mean())
    return float(np.sqrt(np.sum(residuals**2)) / known.sum())


def main() -> None:
    """Compare every variant with the default before, on each collection."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, metavar="FOLDER_OF_TABLES")
    parser.add_argument("others", type=Path, nargs="*", metavar="TABLE")
    parser.add_argument("--only", default="", help="Classifiers of this name only.")
    arguments = parser.parse_args()
    found = collections(arguments.tables, arguments.others)
    for classifier, variants in VARIANTS.items():
        if arguments.only not in classifier:
            continue
        print(f"\n| {classifier} | {' | '.join(c.name for c in found)} | weighted |",
              "|---" * (2 + len(found)) + "|", sep="\n")  # fmt: skip
        jobs = [(c, overrides) for overrides in (BEFORE[classifier], *variants) for c in found]
        workers = Parallel(n_jobs=-1, batch_size=1)
        results = workers(delayed(hits)(c, classifier, o) for c, o in jobs)
        for row in range(0, len(jobs), len(found)):
            cells, differences = [], {}
            for c, ours, before in zip(found, results[row:], results, strict=False):
                difference = float(np.nanmean(ours - before))
                error = standard_error(ours - before, c.table.groups)
                cells.append(
                    f"{np.nanmean(ours):.1%} ({100 * difference:+.1f} ± {100 * error:.1f})"
                )
                differences.setdefault(c.name.split()[0], []).append((difference, error))
            means = np.array([np.mean(of_one, axis=0) for of_one in differences.values()])
            weights = 1 / np.maximum(means[:, 1], 0.003) ** 2
            total = np.average(means[:, 0], weights=weights)
            name = jobs[row][1] or "default"
            print(f"| {name} | {' | '.join(cells)} | {100 * total:+.1f} |", flush=True)


if __name__ == "__main__":
    main()
