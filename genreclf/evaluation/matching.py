"""Reduce several feature tables to the tracks that they have in common."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genreclf.errors import TableError, shortened
from genreclf.tables.table import FeatureTable, Texts

Indices = NDArray[np.intp]


def match_tracks(tables: Mapping[str, FeatureTable]) -> tuple[list[FeatureTable], list[str]]:
    """Reduce tables to the labelled tracks that all of them hold, in the order of the first one.

    Parameters
    ----------
    tables : mapping of str to FeatureTable
        By name.

    Returns
    -------
    tables : list of FeatureTable
        With the same paths, labels, groups and published folds; what one table lacks is taken from
        the others.
    notes : list of str

    Raises
    ------
    TableError
        If a track has no path or occurs twice in a table, if no track is in all tables, or if two
        tables contradict each other.
    """
    notes = [f"{name}: {note}" for name, table in tables.items() for note in table.notes]
    matched = [replace(table, notes=[]) for table in tables.values()]
    if len(matched) > 1:
        rows, lost = _common_rows(tables)
        matched = [table.take(rows_of) for table, rows_of in zip(matched, rows, strict=True)]
        notes += lost
    by_name = dict(zip(tables, matched, strict=True))
    agreed: dict[str, Any] = {
        column: _agreed(column, by_name) for column in ("labels", "groups", "folds", "split")
    }
    notes += replace(matched[0], **agreed).labelled().notes
    known = agreed["labels"] != ""
    return [replace(table, **agreed).take(known) for table in matched], notes


def _common_rows(tables: Mapping[str, FeatureTable]) -> tuple[list[Indices], list[str]]:
    """Return each table's rows of the common tracks, and notes on the other tracks."""
    paths = {name: pd.Index(table.paths) for name, table in tables.items()}
    for name, index in paths.items():
        if "" in index or not index.is_unique:
            raise TableError(
                f"{name}: a table that is compared with others needs a column path in which no "
                "track occurs twice (genreclf audit names them)"
            )
    first, *others = paths.values()
    common = first[np.all([first.isin(other) for other in others], axis=0)]
    if not len(common):
        raise TableError(
            "no track is in every table: "
            + ", ".join(f"{name} has {index[0]!r}" for name, index in paths.items())
            + "; tracks are matched by path, so the paths have to be the same"
        )
    rows = [index.get_indexer(common) for index in paths.values()]
    notes = [
        f"{len(table) - len(common)} of {len(table)} tracks of {name} are not in all tables and "
        "are left out"
        for name, table in tables.items()
        if len(table) > len(common)
    ]
    return rows, notes


def _agreed(column: str, tables: Mapping[str, FeatureTable]) -> Texts | None:
    """Return a column of the common tracks; one table fills the gaps of another."""
    agreed: Texts | None = None
    source = ""
    for name, table in tables.items():
        values: Texts | None = getattr(table, column)
        if agreed is None or values is None:
            agreed, source = (values, name) if agreed is None else (agreed, source)
            continue
        differing = np.flatnonzero((values != agreed) & (values != "") & (agreed != ""))
        if len(differing):
            row = differing[0]
            raise TableError(
                f"{name}: {column} of {len(differing)} tracks differ from those in {source}: "
                f"{table.paths[row]} is {shortened(values[row])!r} here and "
                f"{shortened(agreed[row])!r} there"
            )
        agreed = np.where(agreed == "", values, agreed)
    return agreed
