"""CSV files as spreadsheets write them.

They have a byte order mark or are in UTF-16, have other separators, and spread the configuration in
the first line of our tables over cells.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

LONGEST_LINE = 2**24
_SEPARATORS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"')
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# Words between the punctuation of JSON, which no text of our configurations contains.
_WORD = re.compile(r"[^{}\[\],:]+")
_JSON_VALUE = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?|true|false|null")


@dataclass(frozen=True, slots=True)
class Head:
    """What is above the rows of a table.

    Attributes
    ----------
    names : list of str
        Of the columns; an empty cell is an empty name.
    separator : str
    start : int
        Position of the line with the names, as ``tell`` returns it.
    n_above : int
        Number of lines above it.
    header : dict or None
        The first line of a table of genreclf, with its configuration.
    """

    names: list[str]
    separator: str
    start: int
    n_above: int = 0
    header: dict[str, Any] | None = None

    @property
    def n_fields(self) -> int:
        """Number of fields of a row; spreadsheets add empty cells after the last name."""
        return max((i + 1 for i, name in enumerate(self.names) if name.strip()), default=0)


class Records:
    """The rows of a CSV file one by one, with an error that says where a quote may lack its end.

    Parameters
    ----------
    lines : iterable of str
    separator : str
    n_above : int
        Number of lines above them.
    strict : bool
        Refuse damaged quotes.
    """

    def __init__(
        self, lines: Iterable[str], separator: str, n_above: int = 0, *, strict: bool = False
    ) -> None:
        self._reader = csv.reader(lines, delimiter=separator, strict=strict)
        self._n_above = n_above

    @property
    def line(self) -> int:
        """The line in which the last row ends."""
        return self._n_above + self._reader.line_num

    def __iter__(self) -> "Records":
        return self

    def __next__(self) -> list[str]:
        began = self.line + 1
        try:
            return next(self._reader)
        except csv.Error as error:
            if "field limit" not in str(error):
                raise
            raise ValueError(
                f"line {began} has a field of over {csv.field_size_limit():,} characters; does a "
                "quote lack its end?"
            ) from None


@contextmanager
def open_text(path: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Open a CSV file in the encoding of its byte order mark, or UTF-8 without one.

    Raises
    ------
    ValueError
        If it is a workbook.
    """
    with path.open("rb") as file:
        first = file.read(4)
    if first == b"PK\x03\x04":
        raise ValueError("it is a workbook or an archive; save it as CSV")
    encoding = next((_BOMS[mark] for mark in _BOMS if first.startswith(mark)), "utf-8")
    errors = "strict" if encoding == "utf-16" else errors
    with path.open(encoding=encoding, errors=errors, newline="") as text:
        yield text


def ends_within_a_line(path: Path) -> bool:
    """Return True if the last line has no line break."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2))
        return not file.read().strip(b"\0").endswith((b"\n", b"\r"))


def read_head(file: TextIO) -> Head:
    """Read what is above the rows.

    Raises
    ------
    ValueError
        If it is not text, or the configuration is damaged.
    """
    start, n_above, separator, header = 0, 0, None, None
    line = _line(file)
    while line and not line.strip():
        start, n_above = file.tell(), n_above + 1
        line = _line(file)
    if match := re.fullmatch(r'"?sep=(.)"?\s*', line):  # a line "sep=;" for Excel
        separator, start, n_above = match[1], file.tell(), n_above + 1
        line = _line(file)
    if line.lstrip('"').startswith("# {"):
        header, start, n_above = _configuration(line), file.tell(), n_above + 1
        line = _line(file)
    separator = separator or _separator(line)
    file.seek(start)
    names = next(records(file, separator, n_above), [])
    return Head(names, separator, start, n_above, header)


def records(file: TextIO, separator: str, n_above: int) -> Records:
    """Return the rows; unlike with an iterator of the file, ``tell`` still works."""
    return Records(iter(partial(file.readline, LONGEST_LINE), ""), separator, n_above)


def _line(file: TextIO) -> str:
    line = file.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise ValueError(f"its first line is over {LONGEST_LINE:,} characters")
    if "\0" in line:
        raise ValueError("it is not text in UTF-8 (is it UTF-16 without a byte order mark?)")
    return line


def _separator(line: str) -> str:
    """Return the most frequent separator; the comma if several are."""
    outside = _QUOTED.sub("", line)
    return max(_SEPARATORS, key=outside.count)


def _configuration(line: str) -> dict[str, Any] | None:
    """Read the first line of a table of genreclf, even after a spreadsheet changed it."""
    for text in _readings(line):
        try:
            found = json.loads(text[2:])
        except (ValueError, RecursionError):
            continue
        return found if isinstance(found, dict) and "config" in found else None
    raise ValueError(
        "its first line, the configuration, is damaged; extract the table again, or delete the "
        "line to read it as a table that genreclf did not make"
    )


def _readings(line: str) -> Iterator[str]:
    """Yield the line as it is, with its cells joined, and with quotes around all words."""
    yield line
    [cells] = Records([line], _separator(line))
    cells = [re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", cell) for cell in cells]  # decimal commas
    joined = ",".join(cells).strip(", \r\n")
    yield joined
    yield _with_quotes(joined)


def _with_quotes(text: str) -> str:
    """Put quotes around every word of JSON; spreadsheets remove those at the start of a cell."""

    def quoted(match: re.Match[str]) -> str:
        word = match[0].strip()
        return word.lower() if _JSON_VALUE.fullmatch(word.lower()) else json.dumps(word)

    return text[:2] + _WORD.sub(quoted, text[2:].replace('"', ""))


def read_rows(
    path: Path, errors: str = "strict"
) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a small CSV file.

    Parameters
    ----------
    path : Path
    errors : str
        What to do with bytes that are not UTF-8; see ``open``.

    Returns
    -------
    names : list of str
        Of the columns.
    rows : list of (int, dict of str to str)
        The line in which a row ends, and its cells by column; empty rows are left out.

    Raises
    ------
    ValueError
        If it is not text, a row has more fields than there are names, or the last row has fewer.
    """
    try:
        with open_text(path, errors) as file:
            head = read_head(file)
            file.seek(head.start)
            lines = list(file)
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8; save it as CSV UTF-8") from None
    reader = Records(lines, head.separator, head.n_above)
    next(reader, None)
    rows, began, n_last = [], reader.line, head.n_fields
    last = began
    for record in reader:
        if any(record):
            line = reader.line
            if any(record[len(head.names) :]):
                raise ValueError(
                    f"line {line} has {len(record)} fields, but there are {len(head.names)} names; "
                    "a text with a comma in it needs quotes"
                )
            rows.append((line, dict(zip(head.names, record, strict=False))))
            last, n_last = began, len(record)
        began = reader.line
    check_last_row(n_last, lines[last - head.n_above :], head)
    return head.names, rows


def check_last_row(n_fields: int, lines: list[str], head: Head) -> None:
    """Refuse a file that was visibly cut off within its last row.

    Parameters
    ----------
    n_fields : int
        Of the last row.
    lines : list of str
        From the last row on.
    head : Head

    Raises
    ------
    ValueError
        If the row has too few fields, or a quoted cell without an end.
    """
    if n_fields < head.n_fields or _is_open(lines, head.separator):
        raise ValueError(
            f"its last row has {n_fields} of {head.n_fields} fields, or a quote without an end: is "
            "the file cut off? An empty field needs its comma"
        )


def _is_open(lines: list[str], separator: str) -> bool:
    """Return True if a quoted cell has no end."""
    try:
        list(Records(lines, separator, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False
