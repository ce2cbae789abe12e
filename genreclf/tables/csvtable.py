"""Feature tables in CSV files, ours or a spreadsheet's: any decimal mark, whole or cut off."""

from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from genreclf.csvtext import Head, Records, ends_within_a_line, open_text, read_head, records
from genreclf.errors import shortened
from genreclf.library.sources import is_assignment
from genreclf.tables.columns import Columns
from genreclf.tables.numbers import decimal_marks, is_number

# No table of features has as many; one that has was made to fill the memory.
MOST_COLUMNS = 100_000
_MISSING = [
    *("", "NA", "N/A", "n/a", "<NA>", "NaN", "nan", "NULL", "null", "None", "-"),
    # Errors of spreadsheets, in English and in German.
    *("#N/A", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?", "#NULL!"),
    *("#NV", "#WERT!", "#BEZUG!", "#ZAHL!"),
]


def read_csv(path: Path, columns: Columns) -> tuple[pd.DataFrame, dict[str, Any] | None, list[str]]:
    """Read the columns, the header that only tables of genreclf have, and notes.

    Raises
    ------
    ValueError
        If it is not a table, or is cut off.
    """
    with open_text(path, errors="surrogateescape") as file:
        head = read_head(file)
        check_number(len(head.names))  # pandas would take a minute
        _check_levels(file, head)
        frame = _without_empty(_parsed(file, head, columns), head)
        notes = _check_end(file, head, frame, ends_within_a_line(path))
    return frame, head.header, notes


def check_number(n_columns: int) -> None:
    """Refuse a table with too many columns."""
    if n_columns > MOST_COLUMNS:
        raise ValueError(f"it has {n_columns:,} columns; at most {MOST_COLUMNS:,} are read")


def _check_levels(file: TextIO, head: Head) -> None:
    """Refuse several rows of names, as pandas writes them for columns of several levels."""
    file.seek(head.start)
    rows = list(islice(records(file, head.separator, head.n_above), 5))
    if len(rows) < 3 or any(map(is_number, rows[1][1:])):
        return
    for n, row in enumerate(rows[2:], 2):
        if len(row) > 2 and row[0].strip() and not any(map(str.strip, row[1:])):
            levels = ", ".join(level[0] or level[1] for level in rows[:n])
            raise ValueError(
                f"it has {n} header rows ({shortened(levels)}) and one with the name of the index, "
                f"{shortened(row[0])}, as FMA's tables have; a table has one header row: join them "
                "into one, and add a column label, as docs/how-to/pandas.md shows"
            )


def _parsed(file: TextIO, head: Head, columns: Columns) -> pd.DataFrame:
    """Read texts as they are, and numbers with any decimal mark."""
    names = _parse(file, head, nrows=0).columns
    texts = [name for name in names if name in columns.never_features or is_assignment(name)]
    others = [name for name in names if name not in texts]
    # "NA" may be the name of a genre, but is not a number.
    options: dict[str, Any] = {"na_values": dict.fromkeys(others, _MISSING)}
    frame = _parse(file, head, dtype=dict.fromkeys(texts, object), **options)
    features = [name for name in others if columns.is_feature(name)]
    if marked := [name for name in features if _has_marks(frame[name])]:
        fractions = [name for name in features if _has_fractions(frame[name])]
        cells = _parse(file, head, dtype=object, usecols=[*marked, *fractions], **options)
        frame[cells.columns] = _numbers(cells)
    return frame


def _parse(file: TextIO, head: Head, **options: Any) -> pd.DataFrame:
    file.seek(head.start)
    try:
        return pd.read_csv(
            file, sep=head.separator, index_col=False, keep_default_na=False, low_memory=False,
            encoding_errors="surrogateescape", **options,
        )  # fmt: skip
    except pd.errors.ParserError as error:
        if "EOF inside string" in str(error):
            raise ValueError("it ends within a quoted text: is the file cut off?") from None
        raise


def _has_marks(column: "pd.Series[Any]") -> bool:
    """Return True if all cells are numbers, but some have marks that pandas does not read."""
    cells = column.dropna()
    if pd.api.types.is_numeric_dtype(cells) or cells.empty:
        return False
    return all(isinstance(cell, str) and is_number(cell) for cell in cells)


def _has_fractions(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_float_dtype(column) and bool((column.dropna() % 1 != 0).any())


def _numbers(texts: pd.DataFrame) -> pd.DataFrame:
    """Read numbers with decimal commas, or with marks between thousands."""
    cells = {cell for name in texts.columns for cell in texts[name].dropna()}
    decimal, thousands = decimal_marks(sorted(cells))

    def number(cell: str) -> float:
        return float(cell.replace(thousands, "").replace(decimal, "."))

    return texts.apply(lambda column: column.map(number, na_action="ignore").astype(np.float64))


def _without_empty(frame: pd.DataFrame, head: Head) -> pd.DataFrame:
    """Leave out empty rows, and empty columns without a name."""
    without_name = frame.columns[[not name.strip() for name in head.names]]
    frame = frame.drop(columns=[name for name in without_name if frame[name].isna().all()])
    if frame.shape[1] and _is_empty(frame.iloc[:, -1]).any():
        frame = frame[~frame.apply(_is_empty).all(axis=1)].reset_index(drop=True)
    return frame


def _is_empty(column: "pd.Series[Any]") -> "pd.Series[bool]":
    return column.isna() | (column.astype(object) == "")


def _check_end(file: TextIO, head: Head, frame: pd.DataFrame, unfinished: bool) -> list[str]:
    """Refuse a file that was visibly cut off within a row, and return notes on doubtful rows."""
    lines: list[int] = []
    last = False
    if frame.size and _is_empty(frame.iloc[:, -1]).any():
        lines, last = _short_rows(file, head)
        last |= unfinished and bool(_is_empty(frame.iloc[-1:, -1]).all())
    if last or (lines and head.header):
        where = f"line {lines[-1 if last else 0]}" if lines else "the last line"
        raise ValueError(f"{where} has too few fields: is the file cut off?")
    if unfinished and head.header:
        raise ValueError(
            "its last line has no end: is the file cut off? If it is whole, add a line break"
        )
    notes = []
    if lines:
        notes.append(
            f"{len(lines)} rows have fewer fields than the table has columns, the first in line "
            f"{lines[0]}; the other fields count as missing"
        )
    if unfinished:
        notes.append("the last line has no line break; if the file is cut off, its end is wrong")
    return notes


def _short_rows(file: TextIO, head: Head) -> tuple[list[int], bool]:
    """Return the lines in which rows with too few fields end, and whether the last row is one."""
    file.seek(head.start)
    reader = Records(file, head.separator, head.n_above)
    lines, last = [], False
    for record in reader:
        if any(record):
            last = len(record) < head.n_fields
            if last:
                lines.append(reader.line)
    return lines, last
