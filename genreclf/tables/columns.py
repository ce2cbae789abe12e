"""The columns of tables: which of them are features, and which hold labels, groups or folds."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from genreclf.errors import listed, shortened
from genreclf.library.sources import is_assignment
from genreclf.tables.numbers import is_number

OWN = ("path", "label", "group")
# Names that pandas, readr or a database gives a column with the numbers of rows.
_NO_NAME = re.compile(r"\s*|Unnamed: \d+(\.\d+)*|\.\.\.\d+|__index_level_\d+__")
_ROW = re.compile(r"index|level_\d+|row([ _.-]?(id|index|names?|no|number))?", re.IGNORECASE)
_ID = re.compile(r"(\w*[ _.-])?id|idx|no\.?|nr\.?|#|X(\.\d+)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of a table's columns; a table that genreclf made needs none of them.

    Attributes
    ----------
    label, group : str
        Columns with the genre, and with the group that has to stay in one fold.
    group_regex : str or None
        Regular expression whose first parenthesis (or whole match) in the path is the group.
    folds, split : str or None
        Column of a published assignment to folds, or to train, valid and test.
    features, ignore : tuple of str
        Names or patterns (``mfcc.*``) of the columns that are features (without any: all), and of
        those that are not.
    join : tuple of Path
        Tables with more columns of the same tracks.
    """

    label: str = "label"
    group: str = "group"
    group_regex: str | None = None
    folds: str | None = None
    split: str | None = None
    features: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    join: tuple[Path, ...] = ()

    @property
    def never_features(self) -> set[str]:
        """Columns that are not features and are read as text."""
        named = {self.label, self.group, self.folds, self.split}
        return {*OWN, "filename", *(name for name in named if name)}

    @property
    def asked_for(self) -> set[str]:
        """Columns that must exist, because the user named them."""
        named = {self.label, self.group, self.folds, self.split}
        return {name for name in named if name} - {"label", "group"}

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns that must match a column, because the user gave them."""
        return (*self.features, *self.ignore)

    def is_feature(self, name: str) -> bool:
        """Return True if a column of numbers of this name is a feature."""
        chosen = not self.features or matches(name, self.features)
        return chosen and name not in self.never_features and not matches(name, self.ignore)


def matches(name: object, patterns: Iterable[str]) -> bool:
    """Return True if a name is one of the patterns, or matches one."""
    return any(name == pattern or fnmatchcase(str(name), pattern) for pattern in patterns)


def row_numbers(frame: pd.DataFrame, columns: Columns) -> list[str]:
    """Return the columns that number rows or files, by their names and values."""
    named = (*columns.never_features, *columns.patterns)  # the user says what these are
    return [
        name
        for name in frame.columns
        if not (name in named or matches(name, columns.ignore)) and _is_count(name, frame[name])
    ]


def _is_count(name: str, column: "pd.Series[Any]") -> bool:
    of_row = any(pattern.fullmatch(name) for pattern in (_NO_NAME, _ROW))
    if not (of_row or _ID.fullmatch(name)):
        return False
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return False
    values = column.dropna()
    counts = bool(((values % 1 == 0) & (values >= 0)).all())
    return counts and (of_row or values.is_unique)


def choose_features(
    frame: pd.DataFrame, columns: Columns, is_own: bool
) -> tuple[list[str], list[str]]:
    """Return the columns that are features, and notes on the others.

    ``is_own`` says that genreclf made the table; then there is no note on columns of folds.
    """
    rest = [name for name in frame.columns if columns.is_feature(name)]
    assignments = {name for name in rest if is_assignment(name)}
    texts = {name for name in rest if not pd.api.types.is_numeric_dtype(frame[name])}
    spoilt = {name: cell for name in texts - assignments if (cell := _odd_cell(frame[name]))}
    noted = texts - assignments if is_own else texts | assignments
    notes = []
    if left := [name for name in rest if name in noted - spoilt.keys()]:
        notes.append(f"columns that are not features: {listed(left)}")
    if shown := [f"{name} ({shortened(spoilt[name])})" for name in rest if name in spoilt]:
        notes.append(
            "columns that are not features, because some of their cells are not numbers: "
            f"{listed(shown)}"
        )
    return [name for name in rest if name not in texts | assignments], notes


def _odd_cell(column: "pd.Series[Any]") -> str | None:
    """Return the first cell that is not a number, if most of the first thousand are."""
    cells = column.dropna().head(1000).astype(str)
    odd = [cell for cell in cells if not is_number(cell)]
    return odd[0] if 0 < len(odd) < len(cells) / 2 else None
