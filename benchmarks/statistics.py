"""The coverage of the intervals of `evaluate`, and the error rates of the tests of `compare`.

    python benchmarks/statistics.py [--runs 1000] [--seed 0]

Tables are simulated: each genre has a mean in feature space, each artist lies around that of its
genre, and each track around its artist. So the true accuracy is known: that of the classifier of
all tracks on thousands of tracks by new artists. Four figures are printed for each size of table:

- coverage: how often the 95 % interval holds the true accuracy; its mean width; and the bias, by
  how many points the cross-validation differs from the truth on average;
- random labels: mean accuracy in excess of chance, and how often the interval holds chance;
- false alarms: how often `compare` calls two tables different that are equally good, because
  their genres are equally far apart. Once they have no columns in common, once half of them;
- found: how often it finds that one table is better, whose genres are 1.5 times as far apart.

Folds, intervals and tests are genreclf's own. The classifier is a linear discriminant analysis in a
few lines, as scikit-learn's takes most of its time for checking what it is given; genres have the
weight that they have in training, as in an SVM.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.evaluation.result import HeldOut
from genreclf.evaluation.variants import Design, Score, Variant, paired_difference
from genreclf.learning.splits import Fold, cross_validation
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]

N_GENRES, N_COLUMNS, N_FOLDS, N_REPEATS = 4, 10, 10, 5
GENRES = np.array([f"genre{i}" for i in range(N_GENRES)], dtype=object)
GENRE_SPREAD = 0.8  # standard deviation of the genres' means; that of artists and tracks is 1
SHRINKAGE = 0.1
N_NEW = 8000
N_SHUFFLES = 40  # number of times that folds are made; then they are used again
SIZES = {"8 x 10": (8, 10), "12 x 10": (12, 10), "20 x 5": (20, 5), "60 x 5": (60, 5),
         "60 x 3": (60, 3), "200, no groups": (200, 1)}  # fmt: skip


@dataclass
class World:
    """Artists and their tracks, from which tables are drawn."""

    n_artists: int
    n_tracks: int
    seed: int
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.artist = np.repeat(np.arange(self.n_artists), self.n_tracks)
        self.genre = self.artist % N_GENRES
        self.labels = GENRES[self.genre]
        self.grouped = self.n_tracks > 1
        names = [f"artist{i}" if self.grouped else "" for i in self.artist]
        self.groups = np.array(names, dtype=object)
        groups = self.groups if self.grouped else None
        made = [cross_validation(self.labels, groups, N_FOLDS, 10 * i) for i in range(N_SHUFFLES)]
        self.folds = [splits.tested(self.labels) for splits in made]
        self.train_share = made[0].train_share(self.labels)
        self.new = np.sqrt(2) * self.random.standard_normal((N_NEW, N_COLUMNS))
        self.new_genre = np.arange(N_NEW) % N_GENRES

    def means(self) -> Doubles:
        """Draw the means of the genres, (n_genres, n_columns)."""
        return GENRE_SPREAD * self.random.standard_normal((N_GENRES, N_COLUMNS))

    def turned(self, means: Doubles) -> Doubles:
        """Return means that are as far apart in other directions."""
        return means @ np.linalg.qr(self.random.standard_normal((N_COLUMNS, N_COLUMNS)))[0]

    def table(self, means: Doubles) -> Doubles:
        """Draw the features of all tracks, (n, n_columns)."""
        artists = self.random.standard_normal((self.n_artists, N_COLUMNS))
        return means[self.genre] + artists[self.artist] + self.random.standard_normal(
            (len(self.artist), N_COLUMNS)
        )  # fmt: skip

    def truth(self, means: Doubles, values: Doubles) -> float:
        """Accuracy of the classifier of all tracks on new artists."""
        answers = classified(values, self.genre, means[self.new_genre] + self.new)
        return float((answers == self.new_genre).mean())

    def held_out(self, values: Doubles, folds: list[Fold]) -> HeldOut:
        """Predict each fold from the others."""
        answers = [classified(values[train], self.genre[train], values[test])
                   for train, test in folds]  # fmt: skip
        rows = np.concatenate([test for _, test in folds])
        predicted = GENRES[np.concatenate(answers)]
        known = np.ones(len(rows), dtype=bool)
        return HeldOut(
            rows, self.labels[rows], predicted, self.groups[rows], np.empty((0, 0)), known
        )


def classified(values: Doubles, genre: NDArray[np.intp], new: Doubles) -> NDArray[np.intp]:
    """Train a linear discriminant analysis, and predict with it."""
    counts = np.bincount(genre, minlength=N_GENRES)
    means = np.eye(N_GENRES)[genre].T @ values / np.maximum(counts, 1)[:, None]
    within = values - means[genre]
    covariance = within.T @ within / len(values)
    scale = np.trace(covariance) / len(covariance)
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * scale * np.eye(len(covariance))
    weights = np.linalg.solve(covariance, means.T)
    bias = np.log(np.maximum(counts, 1e-9)) - (means.T * weights).sum(axis=0) / 2
    answers: NDArray[np.intp] = (new @ weights + bias).argmax(axis=1)
    return answers


def coverage(world: World, n_runs: int) -> Doubles:
    """Return coverage, mean width, and bias of the cross-validation."""
    found = []
    for run in range(n_runs):
        means = world.means()
        values = world.table(means)
        result = world.held_out(values, world.folds[run % N_SHUFFLES])
        low, high = result.interval(world.grouped, train_share=world.train_share)
        truth = world.truth(means, values)
        found.append((low <= truth <= high, high - low, result.accuracy - truth))
    return np.mean(found, axis=0)


def random_labels(world: World, n_runs: int) -> Doubles:
    """Return the mean accuracy above chance, and how often the interval holds chance."""
    found = []
    for run in range(n_runs):
        values = world.table(np.zeros((N_GENRES, N_COLUMNS)))
        result = world.held_out(values, world.folds[run % N_SHUFFLES])
        low, high = result.interval(world.grouped, train_share=world.train_share)
        found.append((result.accuracy - 1 / N_GENRES, low <= 1 / N_GENRES <= high))
    return np.mean(found, axis=0)


def called_different(
    world: World, n_runs: int, draw: Callable[[World], tuple[Doubles, Doubles]]
) -> float:
    """Return how often two tables are called different."""
    return float(np.mean([_differ(world, draw(world), run) for run in range(n_runs)]))


def _differ(world: World, tables: tuple[Doubles, Doubles], run: int) -> bool:
    rounds = [world.folds[(N_REPEATS * run + i) % N_SHUFFLES] for i in range(N_REPEATS)]
    folds = [fold for of_round in rounds for fold in of_round]
    facts = {"seed": run, "n_folds": len(rounds[0]), "n_test": [len(test) for _, test in folds],
             "n_train": [len(train) for train, _ in folds]}  # fmt: skip
    first, second = (_score(world, values, rounds) for values in tables)
    design = Design(facts, world.labels, world.groups)
    return paired_difference(second, first, design).p_value <= 0.05


def _score(world: World, values: Doubles, rounds: list[list[Fold]]) -> Score:
    results = [world.held_out(values, folds) for folds in rounds]
    right = np.mean([result.correct[np.argsort(result.rows)] for result in results], axis=0)
    correct = np.concatenate([result.correct for result in results])
    ends = np.cumsum([len(test) for folds in rounds for _, test in folds])[:-1]
    by_fold = np.array([part.mean() for part in np.split(correct, ends)])
    answers = np.concatenate([result.predicted for result in results])
    nothing = np.empty(0, dtype=object)
    table = FeatureTable(nothing, nothing, nothing, [], np.empty((0, 0), dtype=np.float32))
    return Score(Variant("", table, Config()), right, answers, by_fold, (0.0, 1.0))


def apart(world: World) -> tuple[Doubles, Doubles]:
    """Draw two equally good tables without a common column."""
    means = world.means()
    return world.table(means), world.table(world.turned(means))


def half_common(world: World) -> tuple[Doubles, Doubles]:
    """Draw two equally good tables of which half of the columns are the same."""
    means = world.means()
    common = world.table(means)
    first, second = (world.table(0.7 * world.turned(means)) for _ in range(2))
    return np.hstack([common, first]), np.hstack([common, second])


def better(world: World) -> tuple[Doubles, Doubles]:
    """Draw a table and a better one."""
    means = world.means()
    return world.table(means), world.table(1.5 * world.turned(means))


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(
        "| artists x tracks | coverage | width | bias | random labels | holds chance "
        "| false alarms | half common | found |",
        "|---" * 9 + "|",
        sep="\n",
    )
    for name, (n_artists, n_tracks) in SIZES.items():
        world = World(n_artists, n_tracks, options.seed)
        covered, width, bias = coverage(world, options.runs)
        above, holds = random_labels(world, options.runs)
        alarms, common, found = (
            called_different(world, options.runs, draw) for draw in (apart, half_common, better)
        )
        print(
            f"| {name} | {covered:.1%} | {100 * width:.0f} | {100 * bias:+.1f} "
            f"| {100 * above:+.1f} | {holds:.1%} | {alarms:.1%} | {common:.1%} | {found:.0%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
