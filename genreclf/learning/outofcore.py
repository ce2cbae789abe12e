"""Training on a table in parts that is larger than the memory, by linear discriminant analysis.

It sees nothing of its training data but the genres' means and their common covariance, which add
up from part to part: the result is that of all tracks at once. What remains (which columns to take
logarithms of, principal components, the temperature of the probabilities, what is novel) is
learned from a random sample, as more would not make a difference that could be told.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config, Lda
from genreclf.errors import TableError, shortened
from genreclf.evaluation.crossvalidation import NO_GROUPS, Evaluation, TestSet, few_groups_notes
from genreclf.learning.classifiers import EvenLda
from genreclf.learning.leaks import leak_notes
from genreclf.learning.model import Model
from genreclf.tables.formats import import_pyarrow, table_parts
from genreclf.tables.table import Columns, FeatureTable, in_one, load_table

Doubles = NDArray[np.float64]
Choice = Callable[[FeatureTable], NDArray[np.bool_]]

SAMPLE_ROWS = 10_000
LEAST_OF_A_GENRE = 50  # of the sample, if there are as many
HELD_OUT_ONE_IN = 10
# Accuracy on so many tracks is known to half a point; more would only take memory.
MOST_TESTED = 50_000
LEAST_ROWS_A_COLUMN = 10


@dataclass(frozen=True)
class _Parts:
    """A table in parts, and how to read and to learn from it."""

    path: Path
    columns: Columns
    config: Config

    def __iter__(self) -> Iterator[FeatureTable]:
        """Read part by part; rows without a label are left out."""
        names = None
        for path in table_parts(self.path):
            part = load_table(path, self.columns)
            names = names or (part.names, part.config)
            if (part.names, part.config) != names:
                raise TableError(f"{path}: has other columns or another configuration")
            yield part.take(part.labels != "")

    def sample(self, n_most: int, chosen: Choice) -> FeatureTable:
        """Draw rows at random, and some of every genre."""
        random = np.random.default_rng(self.config.seed)
        share = n_most / max(1, self._count())
        seen: Counter[str] = Counter()
        drawn = []
        for part in self:
            part = part.take(chosen(part))
            taken = random.random(len(part)) < share
            for genre in part.genres:
                rows = np.flatnonzero(part.labels == genre)
                taken[rows[: max(0, LEAST_OF_A_GENRE - seen[genre])]] = True
                seen[genre] += len(rows)
            drawn.append(part.take(taken))
        return in_one(self.path, drawn)

    def _count(self) -> int:
        parquet = import_pyarrow().parquet
        return sum(parquet.read_metadata(path).num_rows for path in table_parts(self.path))


def train_in_parts(path: Path, columns: Columns, config: Config) -> Model:
    """Train on a folder of Parquet files, one in memory at a time.

    Parameters
    ----------
    path : Path
    columns : Columns
    config : Config
        Its classifier has to be ``lda``. A shrinkage of ``"auto"`` is none, as so many tracks
        need none.

    Raises
    ------
    TableError
        If the classifier is another, the path no folder of tables, or there are too few tracks.
    """
    return _fit(_checked(path, columns, config), lambda part: part.labels != "")


def evaluate_in_parts(path: Path, columns: Columns, config: Config) -> Evaluation:
    """Train as ``train_in_parts`` on nine of ten groups, and measure on the others.

    A group's name decides by its digest, and the seed, on which side it is; without groups, a
    track's path does.

    Raises
    ------
    TableError
        As there, or if the groups are too few for any to be held out.
    """
    parts = _checked(path, columns, config)
    model = _fit(parts, lambda part: ~_held_out(part, config.seed))
    test = parts.sample(MOST_TESTED, lambda part: _held_out(part, config.seed))
    if not len(test):
        raise TableError(f"{path}: too few groups to hold any out; leave out --out-of-core")
    known = np.isin(test.labels, model.genres)
    evaluation = model.evaluate(test.take(known))
    scored = evaluation.held_out
    warnings = leak_notes(test)
    warnings += few_groups_notes(scored.labels, scored.groups) if test.has_groups else [NO_GROUPS]
    if n_unscored := int((~known).sum()):
        genres = shortened(", ".join(sorted(set(test.labels[~known]))), 300)
        warnings.append(
            f"not tested: {n_unscored} tracks of {genres}; all groups of these genres were held "
            "out, so these tracks are not in the accuracy"
        )
    notes = [
        f"trained on nine of ten groups, measured on {len(evaluation.held_out.rows)} tracks of the "
        "others; copies of one recording in both parts are not looked for out of core"
    ]
    splits = {"kind": "held-out", "n_folds": 1, "seed": config.seed, "n_unscored": n_unscored,
              "grouped": test.has_groups}  # fmt: skip
    rows = np.arange(len(test))
    test_set = TestSet(rows, test.paths, np.full(len(test), "", dtype=object), test.labels)
    held_out = replace(evaluation.held_out, rows=np.flatnonzero(known))
    return replace(
        evaluation, held_out=held_out, test_set=test_set, splits=splits,
        notes=[*test.notes, *notes, *warnings], warnings=warnings,
    )  # fmt: skip


def _checked(path: Path, columns: Columns, config: Config) -> _Parts:
    if not isinstance(config.classifier, Lda):
        raise TableError(
            f"{config.classifier.name} cannot learn out of core; take --classifier lda"
        )
    if not path.is_dir():
        raise TableError(
            f"{path}: out of core a folder of Parquet files is read, as extract --rows-per-file "
            "writes it"
        )
    return _Parts(path, columns, config)


def _held_out(part: FeatureTable, seed: int) -> NDArray[np.bool_]:
    keys = np.where(part.groups == "", part.paths, part.groups)
    digests = [crc32(f"{seed} {key}".encode(errors="surrogateescape")) for key in keys]
    return np.array(digests, dtype=np.uint32) % HELD_OUT_ONE_IN == 0


@dataclass
class _Moments:
    """What linear discriminant analysis sees of the data: counts, sums and products."""

    counts: NDArray[np.int64]
    sums: Doubles
    products: Doubles

    @classmethod
    def none(cls, n_classes: int, n_columns: int) -> "_Moments":
        return cls(
            np.zeros(n_classes, dtype=np.int64),
            np.zeros((n_classes, n_columns)),
            np.zeros((n_columns, n_columns)),
        )

    def add(self, values: Doubles, codes: NDArray[np.intp]) -> None:
        """Take in rows, (n, n_columns), and the numbers of their classes, (n,)."""
        self.counts += np.bincount(codes, minlength=len(self.counts))
        np.add.at(self.sums, codes, values)
        self.products += values.T @ values

    def points(self) -> tuple[Doubles, NDArray[np.intp]]:
        """Return a few rows a class that have these means and this covariance within classes.

        From each mean they lie in both directions of each axis of the covariance's ellipsoid.
        """
        means = self.sums / self.counts[:, None]
        within = (self.products - means.T @ self.sums) / self.counts.sum()
        variances, axes = np.linalg.eigh(within)
        arms = (axes * np.sqrt(len(variances) * np.maximum(variances, 0))).T
        around = np.concatenate((arms, -arms))
        codes = np.repeat(np.arange(len(means)), len(around))
        return (means[:, None] + around).reshape(len(codes), -1), codes


def _fit(parts: _Parts, chosen: Choice) -> Model:
    """Fit a model to a sample, then put the classifier of all rows in its place."""
    model = Model.fit(parts.sample(SAMPLE_ROWS, chosen), parts.config)
    prepare, classify = model.pipeline[:-1], model.pipeline[-1]
    genres = np.array(model.genres, dtype=object)
    counts: Counter[str] = Counter()
    moments: _Moments | None = None
    for part in parts:
        part = part.take(chosen(part))
        if not len(part):
            continue
        values = prepare.transform(part.values)
        moments = moments or _Moments.none(len(genres), values.shape[1])
        moments.add(values, np.searchsorted(genres, part.labels))
        counts.update(part.labels)
    if moments is None or moments.counts.sum() < LEAST_ROWS_A_COLUMN * len(moments.products):
        raise TableError(f"{parts.path}: too few tracks for out of core; leave out --out-of-core")
    points, codes = moments.points()
    shrinkage = classify.estimator_.shrinkage
    lda = EvenLda(solver="lsqr", shrinkage=None if shrinkage == "auto" else shrinkage)
    classify.estimator_ = lda.fit(points, genres[codes])
    return replace(model, counts=dict(sorted(counts.items())))
