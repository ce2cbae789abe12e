"""FeatureTable: the features of many tracks."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError
from genreclf.tables.frames import Frames

Texts = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of tracks, one row each.

    Attributes
    ----------
    paths : (n_tracks,) array of str
    labels, groups : (n_tracks,) array of str
        The empty string if a track has none.
    names : list of str
        Names of the columns of ``values``.
    values : (n_tracks, n_features) float32
        NaN for a missing value; a table that genreclf made has none.
    config : ExtractionConfig or None
        How the features were made; None for a table that genreclf did not make.
    folds, split : (n_tracks,) array of str, or None
        Published assignments; the empty string for a track that they leave out.
    notes : list of str
        What the user should know of how the file was read.
    assignments : dict of str to (n_tracks,) array of str
        Columns with folds and splits, by name, whether they are in use (``folds``, ``split``) or
        not. They are not features.
    frames : Frames or None
        The frames that were kept. Those of a table from a file are on the disk, and are read when
        they are asked for.
    excerpts : (n_tracks, n_excerpts, n_features) float32, or None
        The columns of ``values`` for each excerpt alone, where tracks have several. A
        track with fewer excerpts repeats some.
    """

    paths: Texts
    labels: Texts
    groups: Texts
    names: list[str]
    values: NDArray[np.float32]
    config: ExtractionConfig | None = None
    folds: Texts | None = None
    split: Texts | None = None
    notes: list[str] = field(default_factory=list)
    frames: Frames | None = None
    assignments: dict[str, Texts] = field(default_factory=dict)
    excerpts: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def genres(self) -> list[str]:
        """The labels, sorted."""
        return sorted(set(self.labels) - {""})

    @property
    def has_groups(self) -> bool:
        """Whether any track belongs to a group."""
        return bool((self.groups != "").any())

    def take(self, rows: NDArray[Any]) -> "FeatureTable":
        """Return the rows that an index or boolean array selects."""
        return replace(
            self,
            paths=self.paths[rows],
            labels=self.labels[rows],
            groups=self.groups[rows],
            values=self.values[rows],
            folds=None if self.folds is None else self.folds[rows],
            split=None if self.split is None else self.split[rows],
            frames=None if self.frames is None else self.frames.take(rows),
            assignments={name: column[rows] for name, column in self.assignments.items()},
            excerpts=None if self.excerpts is None else self.excerpts[rows],
        )

    def canonical_order(self) -> NDArray[np.intp]:
        """Return the numbers of the rows, (n_tracks,), in the order of their contents.

        They are sorted by path; if paths are missing or not unique, by everything in a row. What
        is learned from rows in this order does not depend on the order of the table.
        """
        keys: list[Any] = list(self.paths)
        if len(set(keys)) < len(keys):
            contents = (row.tobytes() for row in self.values)
            keys = list(zip(self.paths, self.labels, self.groups, contents, strict=True))
        return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.intp)

    def labelled(self) -> "FeatureTable":
        """Return the rows that have a label, with a note on how many have none.

        Raises
        ------
        TableError
            If no row has one.
        """
        known = self.labels != ""
        if not known.any():
            raise TableError(
                "the table has no labels: nothing to learn from or to compare with; is the genre "
                "in a column with another name (--label-column)?"
            )
        if known.all():
            return self
        note = f"{(~known).sum()} of {len(self)} tracks have no label and are left out"
        return replace(self.take(known), notes=[*self.notes, note])

    def with_columns(self, names: Sequence[str]) -> "FeatureTable":
        """Return the table with only the named columns, in that order.

        Raises
        ------
        TableError
            If a column is missing.
        """
        if list(names) == self.names:
            return self
        columns = self._positions(names)
        excerpts = None if self.excerpts is None else self.excerpts[:, :, columns]
        return replace(self, names=list(names), values=self.values[:, columns], excerpts=excerpts)

    def columns_of(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the values of the named columns, in that order.

        Raises
        ------
        TableError
            If a column is missing.
        """
        return self.values[:, self._positions(names)]

    def _positions(self, names: Sequence[str]) -> list[int]:
        where = {name: column for column, name in enumerate(self.names)}
        missing = [name for name in names if name not in where]
        if missing:
            raise TableError(
                f"{len(missing)} of {len(names)} feature columns are missing, {missing[0]} first; "
                "the table was made with another configuration"
            )
        return [where[name] for name in names]

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas data frame: path, label, group, assignments, then the features."""
        columns = {"path": self.paths, "label": self.labels, "group": self.groups}
        # As objects: text of pandas' own kind cannot hold file names that are not UTF-8.
        own = pd.DataFrame(columns | self.assignments, dtype=object)
        return pd.concat([own, pd.DataFrame(self.values, columns=self.names)], axis=1)

    def write_csv(self, file: IO[str]) -> None:
        """Write the table as CSV, its configuration in a comment line before the header."""
        from genreclf.tables.storage import write_csv

        write_csv(self, file)

    def save(self, path: str | Path) -> None:
        """Write the table as CSV, Parquet or NPZ, by the suffix; whole or not at all.

        Frames and the statistics of single excerpts go into a folder beside it, which has to stay
        there.

        Raises
        ------
        TableError
            If the suffix is another, Parquet is asked for without pyarrow, or writing fails.
        """
        from genreclf.tables.storage import write_table

        write_table(self, Path(path))
