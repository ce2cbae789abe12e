"""Corrections of labels: reading them, what they change, and the file that undoes the changes."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genreclf.csvtext import read_rows
from genreclf.errors import TableError, is_utf8, shortened
from genreclf.files import written_whole
from genreclf.library.labelmap import spelling
from genreclf.library.pathmatching import PathIndex
from genreclf.library.tags import clean

NOT_MUSIC = "not music"  # the choice of the review page for speech, noise and the like
_COLUMNS = ["path", "label", "row"]


@dataclass(frozen=True, slots=True)
class Correction:
    """The label that a track should have.

    Attributes
    ----------
    path : str
    label : str
        The empty string and ``NOT_MUSIC`` stand for no label.
    line : int
        In the file.
    row : int or None
        Number of the row in the table, from 0. Only files that undo changes have it; their labels
        are taken literally.
    """

    path: str
    label: str
    line: int
    row: int | None = None

    @property
    def is_not_music(self) -> bool:
        """Whether a listener heard that the track is no music."""
        return self.label == NOT_MUSIC and self.row is None

    @property
    def wanted(self) -> str:
        """The label to write."""
        return "" if self.is_not_music else self.label


@dataclass(frozen=True, slots=True)
class Corrections:
    """The corrections in a file."""

    file: Path
    items: list[Correction]


@dataclass(frozen=True, slots=True)
class Change:
    """A label before and after; ``row`` counts from 0, and no label is the empty string."""

    row: int
    path: str
    before: str
    after: str

    def __str__(self) -> str:
        track = self.path or f"row {self.row + 1}"
        return f"{track}: {self.before or 'no label'} -> {self.after or 'no label'}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What corrections, or new names of genres, change in a table.

    Attributes
    ----------
    changes : list of Change
        In the order of the rows.
    n_same : int
        Rows that have the wanted label already.
    not_music : list of str
        Paths of the tracks that are no music, and so have no label.
    problems : list of str
        Corrections that fit no track, and labels that no track has.
    """

    changes: list[Change]
    n_same: int = 0
    not_music: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def labels(self) -> dict[int, str]:
        """The new label of each row that changes."""
        return {change.row: change.after for change in self.changes}


def read_corrections(file: Path) -> Corrections:
    """Read a CSV file with the columns ``path,label``; other columns are ignored.

    Raises
    ------
    TableError
        If it cannot be read, has no corrections, or a row lacks its path.
    """
    try:
        names, rows = read_rows(file, errors="surrogateescape")
        if missing := {"path", "label"} - set(names):
            raise ValueError(
                f"no column {' and no column '.join(sorted(missing))}; corrections have the "
                "columns path,label"
            )
        items = [_correction(cells, line) for line, cells in rows]
    except FileNotFoundError:
        raise TableError(f"{file}: no such file") from None
    except (OSError, ValueError, csv.Error) as error:
        reason = shortened(getattr(error, "strerror", None) or error, 200)
        raise TableError(f"{file}: cannot be read as corrections: {reason}") from None
    if not items:
        raise TableError(f"{file}: holds no corrections")
    return Corrections(file, items)


def _correction(cells: Mapping[str, str], line: int) -> Correction:
    path, given, row = (cells.get(name, "") for name in _COLUMNS)
    if row.isascii() and row.isdigit() and int(row) > 0:
        return Correction(path, given, line, int(row) - 1)
    if not path:
        raise ValueError(f"line {line} has no path")
    label = clean(given)
    if given.strip() and not label:
        raise ValueError(f"line {line}: its label is too long, or is not text")
    if not is_utf8(given):
        raise ValueError(f"the label in line {line} is not text in UTF-8; save it as CSV UTF-8")
    return Correction(path, label, line)


def plan_corrections(
    corrections: Corrections, paths: Sequence[str], labels: Sequence[str], folder: Path
) -> Plan:
    """Find the tracks of corrections, and what changes.

    Parameters
    ----------
    corrections : Corrections
    paths, labels : sequence of str
        Of each row of the table.
    folder : Path
        Where relative paths of the table start.

    Raises
    ------
    TableError
        If two corrections contradict each other, or none fits a track.
    """
    index = PathIndex(paths, folder)
    chosen: dict[int | str, Correction] = {}
    problems: dict[str, None] = {}
    for correction in corrections.items:
        found: Sequence[int | str]
        try:
            found = _rows(correction, index, paths)
        except TableError as error:
            problems[str(error)] = None
            found = [correction.path]
        for key in found:
            _check_agreement(chosen.setdefault(key, correction), correction, corrections.file)
    by_row = {key: chosen[key] for key in chosen if isinstance(key, int)}
    if not by_row:
        raise TableError(
            f"{corrections.file}: none of its paths is in the table: {next(iter(problems))}; a "
            "path must be that of a track, or its end"
        )
    not_music = [paths[row] for row in sorted(by_row) if by_row[row].is_not_music]
    new = {row: correction.wanted for row, correction in by_row.items()}
    return _plan(new, paths, labels, not_music=not_music, problems=list(problems))


def _rows(correction: Correction, index: PathIndex, paths: Sequence[str]) -> list[int]:
    row = correction.row
    if row is not None and row < len(paths) and paths[row] == correction.path:
        return [row]
    return index.find(correction.path)


def _check_agreement(first: Correction, other: Correction, file: Path) -> None:
    if first.label != other.label:
        raise TableError(
            f"{file}: the label of {shortened(other.path, 200)} is {_shown(first.label)} in line "
            f"{first.line}, and {_shown(other.label)} in line {other.line}; keep only one of these "
            "lines"
        )


def plan_renaming(
    pairs: Sequence[tuple[str, str]], paths: Sequence[str], labels: Sequence[str]
) -> Plan:
    """Find the tracks of genres that get another name.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Old and new name. All are renamed at once, so that two names can be exchanged. An empty new
        name removes the label.
    paths, labels : sequence of str
        Of each row of the table.

    Raises
    ------
    TableError
        If an old name is empty or has two new ones, or if no track has any of the old names.
    """
    names: dict[str, str] = {}
    for old, new in pairs:
        if not old or names.setdefault(old, clean(new)) != clean(new):
            why = "two new names" if old else "no name"
            raise TableError(f"{_shown(old)}: has {why}; a genre is renamed once")
        if new.strip() and not clean(new):
            raise TableError(f"{shortened(new)}: is too long for a genre, or is not text")
    problems = [_no_such_genre(old, labels) for old in names if old not in set(labels)]
    if len(problems) == len(names):
        raise TableError("; ".join(problems))
    new_labels = {row: names[label] for row, label in enumerate(labels) if label in names}
    return _plan(new_labels, paths, labels, problems=problems)


def _no_such_genre(name: str, labels: Iterable[str]) -> str:
    alike = [label for label in sorted(set(labels)) if label and spelling(label) == spelling(name)]
    hint = f"; there is {' and '.join(map(_shown, alike))}" if alike else ""
    return f"no track has the label {_shown(name)}{hint}"


def _shown(label: str) -> str:
    return repr(shortened(label)) if label else "no label"


def _plan(
    new: Mapping[int, str],
    paths: Sequence[str],
    labels: Sequence[str],
    not_music: Sequence[str] = (),
    problems: Sequence[str] = (),
) -> Plan:
    changes = [
        Change(row, paths[row], labels[row], new[row])
        for row in sorted(new)
        if labels[row] != new[row]
    ]
    return Plan(changes, len(new) - len(changes), list(not_music), list(problems))


def write_undo(file: Path, changes: Iterable[Change]) -> None:
    """Write corrections that bring the labels before the changes back, row by row.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    with (
        written_whole(file) as aside,
        aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as text,
    ):
        # With quotes, because a lone carriage return would get none.
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((change.path, change.before, change.row + 1) for change in changes)
