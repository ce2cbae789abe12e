"""Labels in CSV files: tables and manifests of which only the labels change.

Every other character stays: the configuration above the names, decimal marks, quotes, line breaks.
"""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

from genreclf.csvtext import LONGEST_LINE, Head, Records, check_last_row, open_text, read_head
from genreclf.errors import shortened
from genreclf.files import written_whole
from genreclf.tables.numbers import is_number

_ROWS_LOOKED_AT = 20  # to tell features from other columns


class TextColumns(NamedTuple):
    """Some columns of a file as texts, and whether it is a feature table."""

    columns: dict[str, list[str]]
    is_table: bool


class _Record(NamedTuple):
    """A row: its text with its line break, its cells, and the number of lines it takes."""

    text: str
    cells: list[str]
    n_lines: int


def read_csv_texts(path: Path, keep: Callable[[str], bool]) -> TextColumns:
    """Read the columns whose names ``keep`` accepts.

    A file with other columns of numbers, or with a configuration, is a feature table.

    Raises
    ------
    ValueError
        If it is not a CSV file.
    """
    with open_text(path, errors="surrogateescape") as file:
        head = read_head(file)
        file.seek(head.start)
        places = {name: place for place, name in enumerate(head.names) if keep(name)}
        columns: dict[str, list[str]] = {name: [] for name in places}
        numbers = set(range(head.n_fields)) - set(places.values())
        records = _records(file, head)
        last = next(records, None)  # the names
        for n, record in enumerate(record for record in records if any(record.cells)):
            last, cells = record, record.cells
            for name, place in places.items():
                columns[name].append(cells[place] if place < len(cells) else "")
            if n < _ROWS_LOOKED_AT:
                numbers = {i for i in numbers if i < len(cells) and is_number(cells[i])}
        if last is not None:
            check_last_row(len(last.cells), last.text.splitlines(keepends=True), head)
    return TextColumns(columns, head.header is not None or bool(numbers))


def write_csv_texts(path: Path, column: str, new: Mapping[int, str], output: Path) -> None:
    """Write a CSV file with other cells in one column; ``new`` maps rows, from 0, to cells.

    Raises
    ------
    ValueError
        If one of the rows has no such cell.
    """
    with open_text(path, errors="surrogateescape") as file:
        head = read_head(file)
        place = head.names.index(column)
        file.seek(0)
        with (
            written_whole(output) as aside,
            aside.open("w", encoding=file.encoding, errors=file.errors, newline="") as text,
        ):
            text.writelines(file.readline() for _ in range(head.n_above))
            records = _records(file, head)
            text.write(next(records).text)
            row, line = 0, head.n_above + 1
            for record in records:
                line += record.n_lines
                changed = any(record.cells) and row in new
                if changed and place >= len(record.cells):
                    raise ValueError(f"line {line} has no {column}: is the file cut off?")
                text.write(
                    _with_cell(record, place, new[row], head.separator) if changed else record.text
                )
                row += any(record.cells)


def _records(file: TextIO, head: Head) -> Iterator[_Record]:
    """Yield all rows from here on, empty ones too."""
    lines: list[str] = []

    def remembered() -> Iterator[str]:
        for line in iter(partial(file.readline, LONGEST_LINE), ""):
            lines.append(line)
            yield line

    for cells in Records(remembered(), head.separator, head.n_above):
        yield _Record("".join(lines), cells, len(lines))
        lines.clear()


def _with_cell(record: _Record, place: int, cell: str, separator: str) -> str:
    """Return the text of a row with another cell, in quotes if it was or needs to be."""
    field = re.compile(rf'(?:"(?:[^"]|"")*")?[^{re.escape(separator)}\r\n]*')
    spans: list[tuple[int, int]] = []
    start = 0
    while len(spans) <= place and (match := field.match(record.text, start)):
        spans.append(match.span())
        start = match.end() + 1
    start, stop = spans[-1]
    if record.text[start : start + 1] == '"' or set(cell) & {separator, '"', "\r", "\n"}:
        written = '"' + cell.replace('"', '""') + '"'
    else:
        written = cell
    text = record.text[:start] + written + record.text[stop:]
    expected = [*record.cells[:place], cell, *record.cells[place + 1 :]]
    if next(Records(io.StringIO(text, newline=""), separator)) != expected:
        raise ValueError(f"the quotes of {shortened(record.text)} are damaged: is it cut off?")
    return text
