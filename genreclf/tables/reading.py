"""Reading feature tables of genreclf and of others: columns, configurations, joins and parts."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from genreclf.config.load import extraction_config_from_dict
from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError, listed, shortened
from genreclf.features.pooling import feature_names
from genreclf.library.sources import found_in_paths, is_assignment
from genreclf.tables.columns import Columns, choose_features, matches, row_numbers
from genreclf.tables.formats import table_parts
from genreclf.tables.frames import Frames
from genreclf.tables.kept import with_kept
from genreclf.tables.numbers import is_number
from genreclf.tables.storage import Content, read_content
from genreclf.tables.table import FeatureTable, Texts


def load_table(path: str | Path, columns: Columns | None = None) -> FeatureTable:
    """Read a feature table, made by genreclf or by something else.

    Parameters
    ----------
    path : str or Path
        CSV, Parquet or NPZ, by its suffix; or a folder of Parquet files.
    columns : Columns, optional
        For a table that genreclf did not make. Columns that are named there are never features;
        nor are columns whose names say that they hold folds or a split, nor columns that are not
        numbers (with a note each).

    Raises
    ------
    TableError
        If the file is not a table, or lacks a column that was named.
    """
    return load_tables([path], columns)[0]


def load_tables(paths: Sequence[str | Path], columns: Columns | None = None) -> list[FeatureTable]:
    """Read several tables; a column that was named has to be in one of them.

    See ``load_table``.
    """
    columns = columns or Columns()
    sources = [Path(path) for path in paths]
    contents = {path: _read_joined(path, columns) for path in sources if not path.is_dir()}
    _check_named(columns, contents, sources)
    tables = []
    for path in sources:
        if path in contents:
            tables.append(_table(contents[path], columns, path))
        else:
            parts = [load_table(part, columns) for part in table_parts(path)]
            tables.append(concatenated(path, parts))
    return tables


def _check_named(columns: Columns, contents: dict[Path, Content], sources: Sequence[Path]) -> None:
    names = [str(name) for content in contents.values() for name in content.frame.columns]
    for name in [*sorted(columns.asked_for), *columns.patterns]:
        if contents and not any(matches(have, [name]) for have in names):
            where = ", ".join(map(str, sources))
            raise TableError(f"{where}: no column {name}; it has {listed(names)}")


def _read_joined(path: Path, columns: Columns) -> Content:
    content = _read_without_numbers(path, columns)
    for other in columns.join:
        more = _read_without_numbers(other, columns)
        joined = _join(content.frame, more.frame, other)
        notes = [*content.notes, *more.notes]
        if lost := len(content.frame) - len(joined):
            notes.append(f"{lost} of {len(content.frame)} tracks are left out: not in {other}")
        content = Content(joined, None, notes)
    return content


def _read_without_numbers(path: Path, columns: Columns) -> Content:
    content = read_content(path, columns)
    numbers = row_numbers(content.frame, columns)
    note = f"columns that number the rows, and are not features: {listed(numbers)}"
    notes = [*content.notes, note] if numbers else content.notes
    return content._replace(frame=content.frame.drop(columns=numbers), notes=notes)


def _join(frame: pd.DataFrame, other: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Add the columns of another table of the same tracks; columns that both have must agree."""
    frame, other = (part.rename(columns={"filename": "path"}) for part in (frame, other))
    for part in (frame, other):
        if "path" not in part or part["path"].duplicated().any():
            raise TableError(f"{source}: joining needs a column path with every track once")
    joined = frame.merge(other, on="path", how="inner", suffixes=(None, "\0"))
    for name in frame.columns.intersection(other.columns).drop("path"):
        ours, theirs = joined[name].astype(object), joined.pop(f"{name}\0").astype(object)
        if not ((ours == theirs) | (ours.isna() & theirs.isna())).all():
            raise TableError(f"{source}: column {name} is in both tables with other values")
    return joined


def _table(content: Content, columns: Columns, path: Path) -> FeatureTable:
    frame, header, notes = content
    if frame.empty:
        raise TableError(f"{path}: the table has no rows")
    features, feature_notes = choose_features(frame, columns, is_own=header is not None)
    if not features:
        one = len(frame.columns) == 1 and "," in frame.columns[0]
        why = "each row is in one cell" if one else f"there are {listed(frame.columns)}"
        raise TableError(f"{path}: no numeric columns that could be features; {why}")
    config, config_notes = _configuration(content, features, path)
    paths = _texts(frame, "path" if "path" in frame else "filename")
    labels, groups = _texts(frame, columns.label), _texts(frame, columns.group)
    if columns.group_regex is not None:
        groups[:] = found_in_paths(paths, columns.group_regex, "group")
    notes = [*notes, *feature_notes, *config_notes, *_notes_on_rows(paths, labels)]
    table = FeatureTable(
        paths=paths,
        labels=labels,
        groups=groups,
        names=features,
        values=_values(frame[features], path),
        config=config,
        folds=_texts(frame, columns.folds) if columns.folds else None,
        split=_texts(frame, columns.split) if columns.split else None,
        assignments={
            name: _texts(frame, name)
            for name in frame.columns
            if is_assignment(name) and name not in (columns.label, columns.group)
        },
        notes=notes,
    )
    return with_kept(table, path)


def _configuration(
    content: Content, features: list[str], path: Path
) -> tuple[ExtractionConfig | None, list[str]]:
    """Return the configuration of a table of genreclf, unless it has other features by now."""
    if content.header is None:
        return None, []
    config = extraction_config_from_dict(content.header["config"], str(path))
    names = feature_names(config)
    _check_numbers(content.frame, names, path)
    if added := sorted(set(features) - set(names)):
        made = f"since the configuration in it does not make {listed(added)}"
        return None, [f"read as a table that genreclf did not make, {made}"]
    return config, []


def _check_numbers(frame: pd.DataFrame, names: Iterable[str], path: Path) -> None:
    """Refuse a table of genreclf with features that are not numbers any more."""
    for name in names:
        if name in frame and not pd.api.types.is_numeric_dtype(frame[name]):
            row, cell = next(
                (row, cell)
                for row, cell in enumerate(frame[name], 1)
                if not pd.isna(cell) and not is_number(str(cell))
            )
            raise TableError(
                f"{path}: {name} of track {row} is {shortened(cell)}, which is not a number: did a "
                "spreadsheet make a date of it? Correct the cell, or extract the table again"
            )


def _values(frame: pd.DataFrame, path: Path) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused, NaN is missing
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
    if (infinite := np.isinf(values).any(axis=0)).any():
        name = frame.columns[int(infinite.argmax())]
        raise TableError(f"{path}: column {name} is not finite in single precision")
    return values


def _texts(frame: pd.DataFrame, column: str | None) -> Texts:
    if column not in frame:
        return np.full(len(frame), "", dtype=object)
    values = frame[column]
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")  # folds 1.0, 2.0 and missing are 1, 2 and missing
    return np.array([_text(value) for value in values], dtype=object)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return "" if pd.isna(value) else str(value)


def _notes_on_rows(paths: Texts, labels: Texts) -> list[str]:
    """Name paths that occur twice, and genres that are probably one genre with two spellings."""
    notes = []
    if twice := [path for path, n in Counter(paths[paths != ""]).items() if n > 1]:
        notes.append(
            f"paths in several rows, which count as copies of one recording: {listed(twice)}"
        )
    spellings: dict[str, list[str]] = {}
    for label in sorted(set(labels)):
        key = " ".join(unicodedata.normalize("NFKC", label).casefold().split())
        spellings.setdefault(key, []).append(label)
    if alike := [_side_by_side(several) for several in spellings.values() if len(several) > 1]:
        notes.append(
            "genres that differ only in upper case, spaces or the encoding of accents, and remain "
            f"separate: {listed(alike)}"
        )
    return notes


def _side_by_side(labels: list[str]) -> str:
    composed = {unicodedata.normalize("NFC", label) for label in labels}
    # In ASCII if they look the same: an accent may be part of the letter or follow it.
    spelt = map(repr if len(composed) == len(labels) else ascii, labels)
    return " and ".join(spelt)


def concatenated(path: Path, parts: list[FeatureTable]) -> FeatureTable:
    """Put the parts of a table, the files of a folder, one after the other.

    Raises
    ------
    TableError
        If their columns or configurations differ.
    """
    first = parts[0]
    if any(part.names != first.names or part.config != first.config for part in parts):
        raise TableError(f"{path}: its files have different columns or configurations")

    def all_of(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in parts])

    def assigned(name: str) -> Texts:
        empty = [np.full(len(part), "", dtype=object) for part in parts]
        return np.concatenate(
            [part.assignments.get(name, none) for part, none in zip(parts, empty, strict=True)]
        )

    paths, labels = all_of("paths"), all_of("labels")
    notes = [note for part in parts for note in part.notes]
    return replace(
        first,
        paths=paths,
        labels=labels,
        groups=all_of("groups"),
        values=all_of("values"),
        frames=Frames.joined([part.frames for part in parts]),
        excerpts=None if any(part.excerpts is None for part in parts) else all_of("excerpts"),
        folds=None if first.folds is None else all_of("folds"),
        split=None if first.split is None else all_of("split"),
        assignments={
            name: assigned(name)
            for name in dict.fromkeys(name for part in parts for name in part.assignments)
        },
        notes=list(dict.fromkeys([*notes, *_notes_on_rows(paths, labels)])),
    )
