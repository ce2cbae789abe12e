"""Compare ways of learning on several collections; the default was chosen by this.

    python benchmarks/defaults.py FOLDER_OF_TABLES [TABLE...] [--only WORD]
    python benchmarks/defaults.py --embeddings TABLE... [--only WORD]

The folder holds ``gtzan-librosa57.csv``, ``gtzan-mfcc.csv`` and ``ballroom-mfcc120.csv``; further
tables are of own music with groups, by ``genreclf extract``. For every variant it prints the
accuracy on artists that were not in the training set, and its difference from the default before
(``C = 10``, ``gamma = "scale"``, no limit, PCA before everything but trees) with a standard error
over artists.

The rule, written down before looking: of all variants take the one with the highest mean difference
over the collections (GTZAN's four tables are one), weighted by the inverse of its squared standard
error, unless it is more than one standard error worse on any of them.

``--embeddings`` compares columns and classifiers for the presets of embeddings, by the same rule,
with the default configuration and its columns as what was before. The tables are of own music, by
``genreclf extract`` with two views: the default, and musicnn with all outputs. The preset
``musicnn`` is the best variant of all, ``musicnn-fast`` the best of those without the default's
columns.
"""

import argparse
import re
import warnings
from collections.abc import Callable, Sequence
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
OF_EMBEDDINGS = {
    "svm": [f"classifier.C={C}" for C in (1, 3, 10)],
    "logistic": [f"classifier.C={C}" for C in (0.003, 0.01, 0.03, 0.1)],
    "lda": [""],
    "ensemble": [""],
}
STATISTICS = {"mean": r"mean", "mean, var": r"(mean|var)", "mean, var, max": r"(mean|var|max)"}
OUTPUTS = {"penultimate": "penultimate", "pooled": "(mean_pool|max_pool)"}
NETWORK = "musicnn."
BAND_LIMITED = ("mfcc[._]*", "chroma*", "rms*", "spectral*", "rolloff*", "zero*", "tempo")
REPEATS, FOLDS = 5, 10
Hits = Sequence[NDArray[np.float64]]  # how often each track of a collection was correct
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
    found.append(grouped("Ballroom", ballroom.take(np.sort(some)), 3, 1))
    return [*found, *(grouped(path.stem, load_table(path), FOLDS, REPEATS) for path in others)]


def grouped(name: str, table: FeatureTable, n_folds: int, n_repeats: int) -> Collection:
    """Split a table by groups, as often as there are repeats, with copies in one group."""
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


def mean_hits(
    collection: Collection,
    correct_on: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """Return how often each track was predicted correctly; NaN for what was not tested.

    ``correct_on`` takes the training and the test tracks of a fold, and says which of the latter
    are predicted correctly.
    """
    correct = np.full((len(collection.repeats), len(collection.table)), np.nan)
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for repeat, folds in enumerate(collection.repeats):
            for train, test in folds:
                if len(test):
                    correct[repeat, test] = correct_on(train, test)
        return np.nanmean(correct, axis=0)


def hits(collection: Collection, classifier: str, overrides: str) -> NDArray[np.float64]:
    """Return how often a classifier predicts each track correctly, see ``mean_hits``."""
    config = load_config(overrides=[f"classifier.name={classifier}", *overrides.split()])
    table = collection.table

    def correct_on(train: NDArray[np.intp], test: NDArray[np.intp]) -> NDArray[np.bool_]:
        part = table.take(train)
        pipeline = config.classifier.pipeline(Task(part, config, calibrated=False))
        predicted = pipeline.fit(part.values, part.labels).predict(table.values[test])
        return np.asarray(predicted == table.labels[test])

    return mean_hits(collection, correct_on)


def standard_error(values: NDArray[np.float64], groups: NDArray[np.object_]) -> float:
    """Return the cluster-robust standard error of a mean, over groups."""
    known = ~np.isnan(values)
    _, codes = np.unique(groups[known].astype(str), return_inverse=True)
    residuals = np.bincount(codes, values[known] - values[known].mean())
    return float(np.sqrt(np.sum(residuals**2)) / known.sum())


def print_heading(first: str, found: Sequence[Collection]) -> None:
    """Print the head of a table."""
    print(f"\n| {first} | {' | '.join(c.name for c in found)} | weighted |",
          "|---" * (2 + len(found)) + "|", sep="\n")  # fmt: skip


def print_row(name: str, found: Sequence[Collection], results: Hits, before: Hits) -> None:
    """Print a variant's accuracy on each collection, and its differences from the one before."""
    cells, differences = [], {}
    for c, ours, theirs in zip(found, results, before, strict=True):
        difference = float(np.nanmean(ours - theirs))
        error = standard_error(ours - theirs, c.table.groups)
        cells.append(f"{np.nanmean(ours):.1%} ({100 * difference:+.1f} ± {100 * error:.1f})")
        differences.setdefault(c.name.split()[0], []).append((difference, error))
    means = np.array([np.mean(of_one, axis=0) for of_one in differences.values()])
    weights = 1 / np.maximum(means[:, 1], 0.003) ** 2
    total = np.average(means[:, 0], weights=weights)
    print(f"| {name} | {' | '.join(cells)} | {100 * total:+.1f} |", flush=True)


def compare(found: Sequence[Collection], only: str) -> None:
    """Compare every variant of a classifier with its default before, on each collection."""
    for classifier, variants in VARIANTS.items():
        if only not in classifier:
            continue
        print_heading(classifier, found)
        jobs = [(c, overrides) for overrides in (BEFORE[classifier], *variants) for c in found]
        workers = Parallel(n_jobs=-1, batch_size=1)
        results = workers(delayed(hits)(c, classifier, o) for c, o in jobs)
        for row in range(0, len(jobs), len(found)):
            name, ours = jobs[row][1] or "default", results[row : row + len(found)]
            print_row(name, found, ours, results[: len(found)])


def column_sets(names: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of each variant: some of the embeddings, with or without the default's."""
    ours = [name for name in names if not name.startswith(NETWORK)]
    sets = {}
    for output, pattern in OUTPUTS.items():
        for statistics, ending in STATISTICS.items():
            wanted = re.compile(rf"{re.escape(NETWORK)}{pattern}\.\d+\.{ending}")
            chosen = [name for name in names if wanted.fullmatch(name)]
            sets[f"{output} ({statistics})"] = chosen
            sets[f"default and {output} ({statistics})"] = [*ours, *chosen]
    return sets


def with_columns(found: Sequence[Collection], names: Sequence[str]) -> list[Collection]:
    """Return the collections with some columns of their tables."""
    return [replace(c, table=c.table.with_columns(names)) for c in found]


def compare_embeddings(found: Sequence[Collection], only: str) -> None:
    """Compare columns and classifiers with the default configuration and its columns."""
    names = found[0].table.names
    default = with_columns(found, [name for name in names if not name.startswith(NETWORK)])
    before = [hits(c, "svm", "") for c in default]
    print_heading("columns, classifier", found)
    print_row("default, svm", found, before, before)
    for columns, chosen in column_sets(names).items():
        some = with_columns(found, chosen)
        for classifier, variants in OF_EMBEDDINGS.items():
            for overrides in variants if only in f"{columns}, {classifier}" else ():
                results = Parallel(n_jobs=-1)(delayed(hits)(c, classifier, overrides) for c in some)
                print_row(f"{columns}, {classifier} {overrides}".rstrip(), found, results, before)


def main() -> None:
    """Compare ways of learning, or columns of embeddings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, nargs="+", metavar="FOLDER_OF_TABLES|TABLE")
    parser.add_argument("--embeddings", action="store_true", help="Compare columns of embeddings.")
    parser.add_argument("--only", default="", help="Variants whose names hold this word only.")
    arguments = parser.parse_args()
    first, *others = arguments.tables
    if arguments.embeddings:
        tables = [grouped(path.stem, load_table(path), FOLDS, REPEATS) for path in (first, *others)]
        compare_embeddings(tables, arguments.only)
    else:
        compare(collections(first, others), arguments.only)


if __name__ == "__main__":
    main()
