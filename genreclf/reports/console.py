"""Text on a console: tables that fit its width, facts, notes and configurations."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

from genreclf.errors import one_line

_ANY_WIDTH = 10_000
_NAME_WIDTH = 30  # of a file name that a table must have room for


def printable(text: object) -> str:
    """Escape what would steer a terminal, break a line, or be read as rich's markup.

    Characters that standard output cannot encode are escaped here, before columns get their width.
    """
    return escape(shown(one_line(text)))


def shown(text: str, instead: str | None = None) -> str:
    """Return a text as standard output can encode it: escaped, or replaced by ``instead``."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    encoded = text.encode(encoding, "backslashreplace").decode(encoding)
    return encoded if instead is None or encoded == text else instead


class Records(Table):
    """A table that drops its lines, and then its columns, if the console is too narrow.

    Without columns, each row is a list of its cells with their names.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print the table, or its rows one below the other."""
        if not self._fits(console, options):
            self.box, self.padding, self.pad_edge = None, (0, 1, 0, 0), False
        if self._fits(console, options):
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield self.title
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            name = Column(max_width=options.max_width // 3)
            grid = Table.grid(name, Column(overflow="fold"), padding=(0, 2))
            for column, cell in zip(self.columns, cells, strict=True):
                if cell != "":
                    whole = escape(cell.path) if isinstance(cell, FilePath) else cell
                    grid.add_row(column.header, whole)
            yield grid
            yield ""
        if self.caption:
            yield self.caption

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        """Return True if there is room for the longest word of each column."""
        wide = options.update(max_width=_ANY_WIDTH)
        return self.__rich_measure__(console, wide).minimum <= options.max_width


def right(name: str) -> Column:
    """Return a column that is aligned to the right."""
    return Column(name, justify="right", no_wrap=True)


@dataclass(frozen=True)
class FilePath:
    """A path in a column of a table. If it is too long, its beginning is cut off first."""

    path: str

    @classmethod
    def of(cls, path: object) -> "FilePath":
        """Return the path as standard output can encode it."""
        return cls(shown(one_line(path)))

    @property
    def name(self) -> str:
        """The last part."""
        return self.path.replace("\\", "/").rpartition("/")[2]

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Ask for room for at least the name."""
        longest = cell_len(self.path)
        return Measurement(min(longest, 1 + cell_len(self.name), _NAME_WIDTH), longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print as much of it as there is room for."""
        yield Text(self.fitted(options.max_width), no_wrap=True)

    def fitted(self, width: int) -> str:
        """Cut off the beginning, or the middle of a name that is itself too long."""
        if cell_len(self.path) <= width:
            return self.path
        gap = shown("…", "...")
        room = max(width - len(gap), 0)
        head = 0 if cell_len(self.name) <= room else room // 2
        return set_cell_size(self.name, head) + gap + _tail(self.path, room - head)


def _tail(text: str, width: int) -> str:
    """Return the end of a text that takes ``width`` columns of a terminal."""
    start = len(text)
    while start and cell_len(text[start - 1 :]) <= width:
        start -= 1
    return text[start:]


def genre_counts(labels: Iterable[str]) -> str:
    """List genres with their numbers of tracks in one line."""
    counts = Counter(labels)
    unlabelled = counts.pop("", 0)
    named = genre_numbers(dict(sorted(counts.items())))
    return ", ".join(filter(None, (named, f"without label {unlabelled}" * bool(unlabelled))))


def genre_numbers(numbers: Mapping[str, int]) -> str:
    """List genres, each with a number, in one line."""
    return ", ".join(f"{printable(genre)} {n}" for genre, n in numbers.items())


def print_line(text: str, console: Console) -> None:
    """Print a line without colours."""
    console.print(text, highlight=False)


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print each note on a line of its own."""
    for note in notes:
        console.print(f"note: {one_line(note)}", markup=False, highlight=False)


def print_facts(facts: Sequence[tuple[str, object]], console: Console) -> None:
    """Print names and values in two columns."""
    grid = Table.grid(padding=(0, 2))
    for name, value in facts:
        grid.add_row(printable(name), printable(value))
    console.print(grid)


def print_config(tree: dict[str, Any], console: Console) -> None:
    """Print a configuration, a key per line."""
    for line in config_lines(tree):
        console.print(f"  {line}", markup=False, highlight=False)


def config_lines(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Write a configuration as lines of ``key = value``, as ``--set`` takes them."""
    for key, value in tree.items():
        if key == "views":
            for i, view in enumerate(value):
                yield from config_lines(view, f"views.{i}.")
        elif isinstance(value, dict):
            yield from config_lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {json.dumps(value)}"
