"""Does augmentation help where genres are scarce? Measured on the published GTZAN tables.

    python benchmarks/augmentation.py FOLDER_OF_TABLES [--columns 57] [--seeds 5] [--json FILE]

The folder holds ``gtzan-librosa57.csv`` and ``gtzan-mfcc.csv``. In the training parts of the three
artist-filtered folds, two genres are cut to 5, 10 or 20 tracks; which genres and tracks is drawn
anew for each seed. All test tracks are used. A way to learn is compared with the default classifier
with class weights on the same tracks. Prints a Markdown table with 95 % intervals over the seeds
(Student's t). Needs PyTorch for the GAN.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.metrics import recall_score
from threadpoolctl import threadpool_limits

from genreclf.config.load import load_config
from genreclf.learning.splits import published_folds
from genreclf.learning.training import fit_pipeline
from genreclf.tables.columns import Columns
from genreclf.tables.inputs import inputs
from genreclf.tables.reading import load_table
from genreclf.tables.table import FeatureTable

COLUMNS = Columns(group="artist", folds="sturm_fold")
FILES = {
    "57": ("gtzan-librosa57.csv", replace(COLUMNS, ignore=("length",))),
    "120": ("gtzan-mfcc.csv", COLUMNS),
}
CUTS = (5, 10, 20)
N_SCARCE = 2
REFERENCE = "class weights"
WAYS = {
    REFERENCE: [],
    "oversample": ["augment=oversample"],
    "smote": ["augment=smote"],
    "gaussian": ["augment=gaussian"],
    "gan": ["augment=gan"],
    "gan, no minibatch discrimination": ["augment=gan", "gan.minibatch_discrimination=false"],
    "lda": ["classifier.name=lda"],
    "logistic, C = 0.01": ["classifier.name=logistic", "classifier.C=0.01"],
}


@dataclass(frozen=True)
class Score:
    """Recalls in points of one way to learn, for one table, number of tracks and seed."""

    table: str
    n_left: int
    seed: int
    way: str
    balanced_accuracy: float
    scarce_recall: float


def measure(name: str, table: FeatureTable, n_left: int, seed: int) -> Iterator[Score]:
    """Train in all ways on the folds of a table, with two genres cut to ``n_left`` tracks."""
    random = np.random.default_rng([seed, n_left])
    scarce = random.choice(table.genres, N_SCARCE, replace=False)
    assert table.folds is not None
    trainings = [
        (cut(table, train, scarce, n_left, random), test)
        for train, test in published_folds(table.folds).folds
    ]
    tests = np.concatenate([test for _, test in trainings])
    for way, overrides in WAYS.items():
        config = load_config(overrides=[f"seed={seed}", *overrides])
        predicted = np.concatenate(
            [
                fit_pipeline(table.take(rows), config, calibrated=False).predict(
                    inputs(table.take(test), config)
                )
                for rows, test in trainings
            ]
        )
        recalls = 100 * recall_score(
            table.labels[tests], predicted, labels=table.genres, average=None
        )
        of_scarce = recalls[np.isin(table.genres, scarce)].mean()
        yield Score(name, n_left, seed, way, float(recalls.mean()), float(of_scarce))


def cut(
    table: FeatureTable,
    train: NDArray[np.intp],
    scarce: NDArray[Any],
    n_left: int,
    random: np.random.Generator,
) -> NDArray[np.intp]:
    """Return the training rows with only ``n_left`` tracks of each scarce genre."""
    others = train[~np.isin(table.labels[train], scarce)]
    left = [
        random.choice(train[table.labels[train] == genre], n_left, replace=False)
        for genre in scarce
    ]
    return np.sort(np.concatenate((others, *left)))


def interval(values: NDArray[np.float64]) -> str:
    """Return the mean and the half width of its 95 % interval."""
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():+.1f} ± {half:.1f}"


def report(scores: list[Score]) -> None:
    """Print the means over tables, of each number of tracks and of all together."""
    print("| way | tracks | balanced accuracy | points | recall of the scarce | points |")
    print("|---|---|---|---|---|---|")
    seeds = sorted({score.seed for score in scores})
    for n_left in (*CUTS, None):
        chosen = [score for score in scores if n_left in (None, score.n_left)]

        def by_seed(way: str, key: str, chosen: list[Score] = chosen) -> NDArray[np.float64]:
            return np.array(
                [
                    np.mean([getattr(s, key) for s in chosen if (s.way, s.seed) == (way, seed)])
                    for seed in seeds
                ]
            )

        for way in WAYS:
            cells = [way, str(n_left or "all")]
            for key in ("balanced_accuracy", "scarce_recall"):
                mine, reference = by_seed(way, key), by_seed(REFERENCE, key)
                cells.append(f"{mine.mean():.1f} %")
                cells.append("" if way == REFERENCE else interval(mine - reference))
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tables", type=Path, metavar="FOLDER_OF_TABLES")
    parser.add_argument("--columns", choices=FILES, help="only the table with so many")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all scores")
    options = parser.parse_args()
    scores = []
    with threadpool_limits(1):
        for name in [options.columns] if options.columns else FILES:
            file, columns = FILES[name]
            table = load_table(options.tables / file, columns).labelled()
            table = table.take(table.folds != "")
            for seed in range(options.seeds):
                for n_left in CUTS:
                    scores += measure(name, table, n_left, seed)
                print(f"{name} features, seed {seed} done", file=sys.stderr, flush=True)
                if options.json is not None:
                    options.json.write_text(json.dumps([vars(score) for score in scores]))
    report(scores)


if __name__ == "__main__":
    main()
