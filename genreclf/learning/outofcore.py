"""Training on a table in parts that is larger than the memory, by linear discriminant analysis.

That sees only the genres' means and their common covariance, which add up from part to part: the
result is the same as from all tracks at once. The other steps of the pipeline and what is novel are
learned from a random sample.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.learning.classifiers.lda import Lda
from genreclf.learning.estimators import BalancedLda
from genreclf.learning.model import Model
from genreclf.tables.columns import Columns
from genreclf.tables.formats import import_pyarrow, table_parts
from genreclf.tables.reading import in_one, load_table
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]
Choice = Callable[[FeatureTable], NDArray[np.bool_]]

SAMPLE_ROWS = 10_000
LEAST_OF_A_GENRE = 50  # of the sample, if there are as many
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
            yield part.take(part.labels != "")

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
        return in_one(self.path, drawn)

    def _count(self) -> int:
        parquet = import_pyarrow().parquet
        return sum(parquet.read_metadata(path).num_rows for path in table_parts(self.path))


def every_row(part: FeatureTable) -> NDArray[np.bool_]:
    """Choose all rows."""
    return np.ones(len(part), dtype=bool)


def train_in_parts(parts: TableParts, chosen: Choice = every_row) -> Model:
    """Train on the chosen rows of a table in parts, with one part in memory at a time.

    A shrinkage of ``"auto"`` is none: so many tracks need none.

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
    lda = BalancedLda(solver="lsqr", shrinkage=None if shrinkage == "auto" else shrinkage)
    classify.estimator_ = lda.fit(points, genres[codes])
    return replace(model, counts=dict(sorted(counts.items())))


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
        """Add rows, (n, n_columns), with the numbers of their classes, (n,)."""
        self.counts += np.bincount(codes, minlength=len(self.counts))
        np.add.at(self.sums, codes, values)
        self.products += values.T @ values

    def points(self) -> tuple[Doubles, NDArray[np.intp]]:
        """Return a few rows a class that have these means and this covariance within classes.

        They lie on both sides of each mean, along each axis of the covariance's ellipsoid.
        """
        means = self.sums / self.counts[:, None]
        within = (self.products - means.T @ self.sums) / self.counts.sum()
        variances, axes = np.linalg.eigh(within)
        arms = (axes * np.sqrt(len(variances) * np.maximum(variances, 0))).T
        around = np.concatenate((arms, -arms))
        codes = np.repeat(np.arange(len(means)), len(around))
        return (means[:, None] + around).reshape(len(codes), -1), codes
