"""Which features and genres a picture shows."""

import numpy as np
import pytest

from genreclf.errors import TableError
from genreclf.reports.distributions import DEFAULT_FEATURES, MOST_GENRES, distributions
from genreclf.tables.table import FeatureTable


def table_of(labels: list[str], n_columns: int = 20) -> FeatureTable:
    """Column i holds i times the number of the row."""
    n = len(labels)
    values = np.outer(np.arange(n), np.arange(n_columns)).astype(np.float32)
    return FeatureTable(
        paths=np.array([f"{i}.mp3" for i in range(n)], dtype=object),
        labels=np.array(labels, dtype=object),
        groups=np.full(n, "", dtype=object),
        names=[f"a.{i:02}" for i in range(n_columns)],
        values=values,
    )


def test_values_are_those_of_the_genre_without_missing_ones() -> None:
    table = table_of(["x", "y", "x", "y"])
    table.values[2, 3] = np.nan
    found = distributions(table, ["a.03", "a.01"])
    assert list(found.values) == ["a.01", "a.03"]  # in the table's order
    assert {genre: list(rows) for genre, rows in found.values["a.03"].items()} == {
        "x": [0], "y": [3, 9],
    }  # fmt: skip
    assert (found.n_genres_left_out, found.n_features_left_out) == (0, 0)


def test_too_many_features_are_counted() -> None:
    found = distributions(table_of(["x", "y"] * 3), ["a.*"])
    assert len(found.values) + found.n_features_left_out == 20
    assert len(distributions(table_of(["x", "y"] * 3)).values) == DEFAULT_FEATURES


def test_the_smallest_genres_are_left_out() -> None:
    labels = [f"g{i:02}" for i in range(MOST_GENRES + 2) for _ in range(i + 1)]
    found = distributions(table_of(labels), ["a.05"])
    assert found.n_genres_left_out == 2
    assert list(found.values["a.05"]) == [f"g{i:02}" for i in range(2, MOST_GENRES + 2)]


def test_a_pattern_without_a_column_is_an_error() -> None:
    with pytest.raises(TableError, match=r"no column b\.\*; the first of 20 is a\.00"):
        distributions(table_of(["x", "y"]), ["a.01", "b.*"])
