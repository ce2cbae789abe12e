"""Training on a table in parts that is larger than the memory, by linear discriminant analysis.

The classifier needs only the genres' means and their common covariance, which add up from part to
part, so the result is the same as from all tracks at once. The steps before the classifier and the
novelty detector are learned from a random sample.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.learning.calibration import best_temperature, class_scores
from genreclf.learning.classifiers.lda import Lda
from genreclf.learning.estimators import BalancedLda
from genreclf.learning.model import Model
from genreclf.learning.pipelines import INNER_FOLDS
from genreclf.learning.splits import own_groups
from genreclf.tables.columns import Columns
from genreclf.tables.formats import import_pyarrow, table_parts
from genreclf.tables.inputs import inputs
from genreclf.tables.reading import concatenated, load_table
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]
Codes = NDArray[np.integer]
Choice = Callable[[FeatureTable], NDArray[np.bool_]]

SAMPLE_ROWS = 10_000
LEAST_OF_A_GENRE = 50  # tracks of the sample, if there are as many
LEAST_ROWS_A_COLUMN = 10


@dataclass(frozen=True)
class TableParts:
    """A folder of Parquet files, read one at a time, and how to learn from them.

    Attributes
    ----------
    path : Path
    columns : Columns
    config : Config
        Its classifier has to be ``lda``.

    Raises
    ------
    TableError
        If the classifier is another, or the path is not a folder.
    """

    path: Path
    columns: Columns
    config: Config

    def __post_init__(self) -> None:
        if not isinstance(self.config.classifier, Lda):
            raise TableError(
                f"{self.config.classifier.name} cannot learn out of core; use --classifier lda"
            )
        if self.config.augment != "none":
            raise TableError(
                f"augment = {self.config.augment!r}: not available out of core; leave it out"
            )
        if not self.path.is_dir():
            raise TableError(
                f"{self.path}: --out-of-core reads a folder of Parquet files, as extract "
                "--rows-per-file writes it"
            )

    def __iter__(self) -> Iterator[FeatureTable]:
        """Read part by part, without rows that have no label."""
        names = None
        for path in table_parts(self.path):
            part = load_table(path, self.columns)
            names = names or (part.names, part.config)
            if (part.names, part.config) != names:
                raise TableError(f"{path}: has other columns or another configuration")
            # Moments are those of tracks, not of their excerpts.
            yield replace(part.take(part.labels != ""), excerpts=None)

    def sample(self, n_most: int, chosen: Choice) -> FeatureTable:
        """Draw rows at random, and at least some of every genre."""
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
        return concatenated(self.path, drawn)

    def _count(self) -> int:
        parquet = import_pyarrow().parquet
        return sum(parquet.read_metadata(path).num_rows for path in table_parts(self.path))


def group_digests(part: FeatureTable, salt: str) -> NDArray[np.uint32]:
    """Return a number for each track, (n_tracks,), by its group, or by its path without groups."""
    keys = np.where(part.groups == "", part.paths, part.groups)
    digests = [crc32(f"{salt} {key}".encode(errors="surrogateescape")) for key in keys]
    return np.array(digests, dtype=np.uint32)


def every_row(part: FeatureTable) -> NDArray[np.bool_]:
    """Choose all rows."""
    return np.ones(len(part), dtype=bool)


def train_in_parts(parts: TableParts, chosen: Choice = every_row) -> Model:
    """Train on the chosen rows of a table in parts, with one part in memory at a time.

    A shrinkage of ``"auto"`` means no shrinkage, because a large table does not need any.

    Parameters
    ----------
    parts : TableParts
    chosen : callable
        Returns which rows of a part to train on.

    Raises
    ------
    TableError
        If there are too few tracks.
    """
    sample = parts.sample(SAMPLE_ROWS, chosen)
    model = Model.fit(sample, parts.config)
    folds = _moments_of_folds(parts, chosen, model)
    everything = sum(folds[1:], start=folds[0])
    if everything.counts.sum() < LEAST_ROWS_A_COLUMN * len(everything.products):
        raise TableError(f"{parts.path}: too few tracks for out of core; leave out --out-of-core")
    classify = model.pipeline[-1]
    classify.temperature_ = _temperature(model, sample, folds)
    classify.estimator_ = _fit_lda(model, everything)
    counts = {genre: int(n) for genre, n in zip(model.genres, everything.counts, strict=True)}
    return replace(model, counts=counts)


def _moments_of_folds(parts: TableParts, chosen: Choice, model: Model) -> list["_Moments"]:
    """Read all parts once, and add up the moments of the tracks in each calibration fold."""
    n_columns = len(model.pipeline[-1].estimator_.coef_.T)
    folds = [_Moments.none(len(model.genres), n_columns) for _ in range(INNER_FOLDS)]
    for part in parts:
        part = part.take(chosen(part))
        if len(part):
            values, codes, fold = _prepared(model, part)
            for number, moments in enumerate(folds):
                moments.add(values[fold == number], codes[fold == number])
    return folds


def _prepared(model: Model, part: FeatureTable) -> tuple[Doubles, Codes, Codes]:
    """Return what the classifier sees of a part, the numbers of genres, and those of folds."""
    values = model.pipeline[:-1].transform(inputs(part, model.config))
    codes = np.searchsorted(np.array(model.genres, dtype=object), part.labels)
    return values, codes, group_digests(part, f"{model.config.seed} calibration") % INNER_FOLDS


def _fit_lda(model: Model, moments: "_Moments") -> BalancedLda:
    points, codes = moments.points()
    shrinkage = model.pipeline[-1].estimator.shrinkage
    lda = BalancedLda(solver="lsqr", shrinkage=None if shrinkage == "auto" else shrinkage)
    return lda.fit(points, np.array(model.genres, dtype=object)[codes])


def _temperature(model: Model, sample: FeatureTable, folds: list["_Moments"]) -> float:
    """Learn the temperature from a sample's scores by classifiers trained on all other folds."""
    values, codes, fold = _prepared(model, sample)
    everything = sum(folds[1:], start=folds[0])
    scores = np.full((len(sample), len(model.genres)), -np.inf)
    for number, moments in enumerate(folds):
        others = everything - moments
        rows = fold == number
        if rows.any() and np.count_nonzero(others.counts) > 1:
            lda = _fit_lda(model, others)
            known = np.flatnonzero(others.counts)
            scores[np.ix_(rows, known)] = class_scores(lda, values[rows])
    scored = np.isfinite(scores[np.arange(len(codes)), codes])
    n_groups = len(set(own_groups(sample.groups)[scored]))
    return best_temperature(scores[scored], codes[scored], n_groups) if n_groups else 1.0


@dataclass(frozen=True)
class _Moments:
    """What linear discriminant analysis sees of the data: counts, sums and products."""

    counts: Codes
    sums: Doubles
    products: Doubles

    @classmethod
    def none(cls, n_classes: int, n_columns: int) -> "_Moments":
        return cls(
            np.zeros(n_classes, dtype=np.intp),
            np.zeros((n_classes, n_columns)),
            np.zeros((n_columns, n_columns)),
        )

    def add(self, values: Doubles, codes: Codes) -> None:
        """Add rows, (n, n_columns), with the numbers of their classes, (n,)."""
        np.add.at(self.counts, codes, 1)
        np.add.at(self.sums, codes, values)
        self.products[:] += values.T @ values

    def __add__(self, other: "_Moments") -> "_Moments":
        return _Moments(
            self.counts + other.counts, self.sums + other.sums, self.products + other.products
        )

    def __sub__(self, other: "_Moments") -> "_Moments":
        return _Moments(
            self.counts - other.counts, self.sums - other.sums, self.products - other.products
        )

    def points(self) -> tuple[Doubles, Codes]:
        """Return a few rows a class that have these means and this covariance within classes.

        They lie on both sides of each mean, along each axis of the covariance's ellipsoid. A class
        without rows has none.
        """
        classes = np.flatnonzero(self.counts)
        sums = self.sums[classes]
        means = sums / self.counts[classes, None]
        within = (self.products - means.T @ sums) / self.counts.sum()
        variances, axes = np.linalg.eigh(within)
        arms = (axes * np.sqrt(len(variances) * np.maximum(variances, 0))).T
        around = np.concatenate((arms, -arms))
        codes = np.repeat(classes, len(around))
        return (means[:, None] + around).reshape(len(codes), -1), codes
