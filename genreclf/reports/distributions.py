"""Which features and genres of a table a picture shows, and their values."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genreclf.errors import TableError
from genreclf.evaluation.importance import most_different
from genreclf.tables.table import FeatureTable

MOST_FEATURES = 12
DEFAULT_FEATURES = 6
MOST_GENRES = 30


class Distributions(NamedTuple):
    """Values by feature and genre, and how many genres and features were left out."""

    values: dict[str, dict[str, NDArray[np.float32]]]
    n_genres_left_out: int
    n_features_left_out: int


def distributions(table: FeatureTable, patterns: Sequence[str] = ()) -> Distributions:
    """Return the values of features within each genre, without missing ones.

    Parameters
    ----------
    table : FeatureTable
    patterns : sequence of str
        Names of columns, or patterns (``mfcc.*``); without any, the columns that differ most
        between genres.

    Raises
    ------
    TableError
        If a pattern matches no column.
    """
    chosen = (
        matching(table.names, patterns) if patterns else most_different(table, DEFAULT_FEATURES)
    )
    by_size = sorted(table.genres, key=lambda genre: -int((table.labels == genre).sum()))
    genres = sorted(by_size[:MOST_GENRES])
    values = {}
    for name in chosen[:MOST_FEATURES]:
        column = table.values[:, table.names.index(name)]
        of_genres = {genre: column[table.labels == genre] for genre in genres}
        values[name] = {genre: rows[~np.isnan(rows)] for genre, rows in of_genres.items()}
    return Distributions(values, len(by_size) - len(genres), len(chosen) - len(values))


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that are among the patterns or match one."""

    def fits(name: str, pattern: str) -> bool:
        return name == pattern or fnmatchcase(name, pattern)

    for pattern in patterns:
        if not any(fits(name, pattern) for name in names):
            raise TableError(f"no column {pattern}; the first of {len(names)} is {names[0]}")
    return [name for name in names if any(fits(name, pattern) for pattern in patterns)]
