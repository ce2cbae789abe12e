"""CSV files as people have them: by their encoding, separators and decimal marks, whole or cut off.

Spreadsheets save what they show: with a byte order mark or as UTF-16, with semicolons or tabs, with
decimal commas, and with the configuration in our first line spread over cells.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from genreclf.errors import shortened

_LONGEST_LINE = 2**24
_SEPARATORS = ",;\t"
_QUOTED = re.compile(r'"[^"]*"')
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
# Between the signs of JSON. None of our configurations has one of those in a text.
_WORD = re.compile(r"[^{}\[\],:]+")
_JSON_VALUE = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?|true|false|null")
_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_GROUPS = {mark: re.compile(rf"[1-9]\d{{0,2}}({re.escape(mark)}\d{{3}})+") for mark in ".,"}


@dataclass(frozen=True, slots=True)
class Head:
    """What stands above the rows of a table.

    Attributes
    ----------
    names : list of str
        Of the columns; empty where a cell is.
    separator : str
    start : int
        Where in the file the line with the names begins, as ``tell`` gives it.
    n_above : int
        How many lines are above that.
    header : dict or None
        The configuration that an own table has in its first line.
    """

    names: list[str]
    separator: str
    start: int
    n_above: int = 0
    header: dict[str, Any] | None = None

    @property
    def n_fields(self) -> int:
        """How many fields a whole row has; behind the last name, spreadsheets put empty cells."""
        return max((i + 1 for i, name in enumerate(self.names) if name.strip()), default=0)


@contextmanager
def open_text(path: Path, errors: str = "strict") -> Iterator[TextIO]:
    """Open a CSV file in the encoding that its byte order mark says, UTF-8 without one.

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
    """Tell whether the last line lacks its line break."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 2))
        return not file.read().strip(b"\0").endswith((b"\n", b"\r"))


def read_head(file: TextIO) -> Head:
    """Read what stands above the rows.

    Raises
    ------
    ValueError
        If it is no text, or the configuration is damaged.
    """
    start, n_above, separator, header = 0, 0, None, None
    line = _line(file)
    while line and not line.strip():
        start, n_above = file.tell(), n_above + 1
        line = _line(file)
    if match := re.fullmatch(r'"?sep=(.)"?\s*', line):  # for Excel's eyes only
        separator, start, n_above = match[1], file.tell(), n_above + 1
        line = _line(file)
    if line.lstrip('"').startswith("# {"):
        header, start, n_above = _configuration(line), file.tell(), n_above + 1
        line = _line(file)
    separator = separator or _separator(line)
    file.seek(start)
    return Head(next(_records(file, separator), []), separator, start, n_above, header)


def _records(file: TextIO, separator: str) -> Iterator[list[str]]:
    # Not by iteration over the file, after which it cannot tell where it is.
    return csv.reader(iter(partial(file.readline, _LONGEST_LINE), ""), delimiter=separator)


def _line(file: TextIO) -> str:
    line = file.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE:
        raise ValueError(f"its first line is over {_LONGEST_LINE:,} characters")
    if "\0" in line:
        raise ValueError("it is not text in UTF-8 (is it UTF-16 without a byte order mark?)")
    return line


def _separator(line: str) -> str:
    """Return what separates names; the comma, where all separators are equally frequent."""
    outside = _QUOTED.sub("", line)
    return max(_SEPARATORS, key=outside.count)


def _configuration(line: str) -> dict[str, Any] | None:
    """Read the first line of an own table, whatever a spreadsheet made of it."""
    for text in _readings(line):
        try:
            found = json.loads(text[2:])
        except (ValueError, RecursionError):
            continue
        return found if isinstance(found, dict) and "config" in found else None
    raise ValueError(
        "its first line, the configuration, is damaged; extract the table anew, or delete the line "
        "to have it read as a table from elsewhere"
    )


def _readings(line: str) -> Iterator[str]:
    """Yield a line as it is, with its cells joined, and with quotes around all words."""
    yield line
    [cells] = csv.reader([line], delimiter=_separator(line))
    cells = [re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", cell) for cell in cells]  # decimal commas
    joined = ",".join(cells).strip(", \r\n")
    yield joined
    yield _with_quotes(joined)


def _with_quotes(text: str) -> str:
    """Put every word of JSON in quotes again: those at the beginning of a cell are lost."""

    def quoted(match: re.Match[str]) -> str:
        word = match[0].strip()
        return word.lower() if _JSON_VALUE.fullmatch(word.lower()) else json.dumps(word)

    return text[:2] + _WORD.sub(quoted, text[2:].replace('"', ""))


def check_levels(file: TextIO, head: Head) -> None:
    """Refuse several rows of names, as pandas writes them for columns of several levels.

    Raises
    ------
    ValueError
        If there are any, with what to do.
    """
    file.seek(head.start)
    rows = list(islice(_records(file, head.separator), 5))
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


def short_rows(file: TextIO, head: Head) -> tuple[list[int], bool]:
    """Find rows with fewer fields than there are names.

    Returns
    -------
    lines : list of int
        The lines in which they end.
    last : bool
        Whether the last row is one of them.
    """
    file.seek(head.start)
    reader = csv.reader(file, delimiter=head.separator)
    lines, last = [], False
    for record in reader:
        if any(record):
            last = len(record) < head.n_fields
            if last:
                lines.append(head.n_above + reader.line_num)
    return lines, last


def is_number(text: str) -> bool:
    """Tell whether a cell holds a number, whatever its decimal mark."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return False
    return match[1].count(".") + match[1].count(",") < 2 or _thousands_mark(match[1]) is not None


def decimal_marks(numbers: Iterable[str]) -> tuple[str, str]:
    """Tell which sign is before decimals, and which between thousands.

    Parameters
    ----------
    numbers : iterable of str
        Of one table.

    Raises
    ------
    ValueError
        If they contradict each other, or could be read in two ways.
    """
    alone: dict[str, str] = {}  # sign to a number with one such sign
    grouped: dict[str, str] = {}  # sign to a number in which it can only be between thousands
    groups_only = {".": True, ",": True}
    for number in numbers:
        digits = re.sub(r"^[+-]|[eE].*$", "", number.strip())
        signs = [sign for sign in digits if sign in ".,"]
        if len(signs) == 1:
            alone.setdefault(signs[0], number)
            groups_only[signs[0]] &= _GROUPS[signs[0]].fullmatch(digits) is not None
        elif mark := _thousands_mark(digits):
            grouped.setdefault(mark, number)
    return _agreed_marks(alone, grouped, groups_only)


def _thousands_mark(digits: str) -> str | None:
    """Return the sign between thousands of a number with several signs; None if it is no number."""
    for thousands, decimal in (",.", ".,"):
        whole, _, rest = digits.partition(decimal)
        if _GROUPS[thousands].fullmatch(whole) and (not rest or rest.isdigit()):
            return thousands
    return None


def _agreed_marks(
    alone: dict[str, str], grouped: dict[str, str], groups_only: dict[str, bool]
) -> tuple[str, str]:
    if len(grouped) == 1:
        [(thousands, cell)] = grouped.items()
        decimal = "," if thousands == "." else "."
        if thousands not in alone or groups_only[thousands]:
            return decimal, thousands
        raise ValueError(_mixed(cell, alone[thousands]))
    if grouped or len(alone) > 1:
        raise ValueError(_mixed(*(grouped or alone).values()))
    if "," in alone and groups_only[","]:
        raise ValueError(
            f"{alone[',']} could be thousands or have a decimal comma; save the table with decimal "
            "points and without a sign between thousands"
        )
    return (",", ".") if "," in alone else (".", ",")


def _mixed(one: str, other: str) -> str:
    return (
        f"{one} and {other} do not have the same decimal mark; save the table with decimal points "
        "in all columns"
    )


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Read a small CSV file.

    Returns
    -------
    names : list of str
        Of the columns.
    rows : list of (int, dict of str to str)
        The line in which a row ends, and its cells by column; rows that are empty are left out.

    Raises
    ------
    ValueError
        If it is not text, a row has more fields than there are names, or the last has fewer.
    """
    try:
        with open_text(path) as file:
            head = read_head(file)
            file.seek(head.start)
            lines = list(file)
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8; save it as CSV UTF-8") from None
    reader = csv.reader(lines, delimiter=head.separator)
    next(reader, None)
    rows, began, n_last = [], reader.line_num, head.n_fields
    last = began
    for record in reader:
        if any(record):
            line = head.n_above + reader.line_num
            if any(record[len(head.names) :]):
                raise ValueError(
                    f"line {line} has {len(record)} fields, and the names are {len(head.names)}; "
                    "a text with a comma in it needs quotes"
                )
            rows.append((line, dict(zip(head.names, record, strict=False))))
            last, n_last = began, len(record)
        began = reader.line_num
    if n_last < head.n_fields or _is_open(lines[last:], head.separator):
        raise ValueError(
            f"its last row has {n_last} of {head.n_fields} fields, or a quote without an end: is "
            "the file cut off? An empty field needs its comma"
        )
    return head.names, rows


def _is_open(lines: list[str], separator: str) -> bool:
    """Tell whether a quoted cell has no end."""
    try:
        list(csv.reader(lines, delimiter=separator, strict=True))
    except csv.Error as error:
        return "end of data" in str(error)
    return False
