"""From paths on the command line to tracks with labels and groups."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from genreclf.csvtext import read_rows
from genreclf.errors import TableError, shortened
from genreclf.files import on_disk

# What libsndfile decodes, by the suffixes in use. Kept as a list of our own, because asking
# soundfile would cost its import in every command that looks for files.
AUDIO_SUFFIXES = frozenset(
    (
        *(".aif", ".aifc", ".aiff", ".au", ".avr", ".caf", ".flac", ".htk", ".ircam", ".mat4"),
        *(".mat5", ".mp1", ".mp2", ".mp3", ".mpc2k", ".nist", ".oga", ".ogg", ".opus", ".paf"),
        *(".pvf", ".rf64", ".sd2", ".sds", ".sf", ".snd", ".sph", ".svx", ".voc", ".w64"),
        *(".wav", ".wave", ".wavex", ".wve", ".xi"),
    )
)
# What takes the extra ``codecs``. Films are not searched for, but decoded if named.
CODEC_SUFFIXES = frozenset(
    (
        *(".aac", ".ac3", ".amr", ".ape", ".dff", ".dsf", ".dts", ".eac3", ".m4a", ".m4b", ".m4r"),
        *(".mka", ".mlp", ".mp+", ".mpc", ".oma", ".ra", ".shn", ".tak", ".thd", ".tta", ".weba"),
        *(".wma", ".wv"),
    )
)


@dataclass(frozen=True, slots=True)
class Track:
    """One piece of music: where it is, what it is called, and what it belongs with.

    ``group`` holds together what must not straddle folds: an artist, an album, a recording.
    ``assignments`` are the columns of folds and splits that a manifest has, with what they say of
    this track, the empty string for nothing.
    """

    path: Path
    label: str | None = None
    group: str | None = None
    assignments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The tracks found, with what was seen on the way: in short, and track by track."""

    tracks: list[Track]
    passed_over: int = 0
    notes: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)


def find_tracks(paths: Iterable[str | Path], labels: str | Path = "folder") -> Sources:
    """List the tracks behind files and folders.

    Parameters
    ----------
    paths : iterable of str or Path
        Audio files and folders. Folders are searched recursively, in sorted order, without
        following links to folders; hidden files and files without an audio suffix are passed
        over and counted. A file named outright becomes a track whatever its name, also when it
        does not exist: decoding will say so.
    labels : "folder", "tags", "none", or path of a manifest
        ``"folder"`` takes the name of the first folder below the given one, ``blues`` of
        ``music/blues/artist/a.mp3`` where ``music`` was given; of a file directly in the given
        folder, that folder's own name; of a file given by name, its parent folder's. Tags are for
        ``label_tracks`` to read. A manifest is a CSV file with columns ``path,label[,group]``, its
        paths relative to the manifest; columns of folds and splits (``is_assignment``) go with
        its tracks.

    Returns
    -------
    Sources

    Raises
    ------
    TableError
        If the manifest cannot be read, or a file has two labels.
    """
    tracks: list[Track] = []
    passed_over = 0
    for path in map(Path, paths):
        found, others = _search(path) if path.is_dir() else ([path], 0)
        passed_over += others
        if labels == "folder":
            tracks += [Track(file, _folder_label(file, path)) for file in found]
        else:
            tracks += map(Track, found)
    if labels == "folder":
        _check_labels(tracks)
    if labels in ("folder", "none", "tags"):
        return Sources(tracks, passed_over)
    return _with_manifest(tracks, passed_over, Path(labels))


def read_path_list(lines: Iterable[str]) -> Iterator[Path]:
    """Read one path a line, as ``find`` prints them; empty lines are skipped."""
    for line in lines:
        name = line.rstrip("\r\n")
        if name:
            yield Path(name)


def is_assignment(column: str) -> bool:
    """Tell by its name whether a column holds folds or a split: ``fold``, ``artist_split``."""
    return column.lower().endswith(("fold", "folds", "split"))


def found_in_paths(paths: Iterable[str], pattern: str, what: str) -> list[str]:
    """Return what the first parenthesis of a regular expression (or all of it) finds in paths.

    Parameters
    ----------
    paths : iterable of str
    pattern : str
    what : "label" or "group"
        What is looked for.

    Returns
    -------
    list of str
        The empty string for a path without a match.

    Raises
    ------
    TableError
        If it is no regular expression, or matches no path.
    """
    paths = list(paths)
    option = f"--{what}-regex {pattern}"
    try:
        found = [re.search(pattern, path) for path in paths]
    except re.error as error:
        raise TableError(f"{option}: no regular expression: {error}") from None
    texts = ["" if match is None else match[match.re.groups and 1] or "" for match in found]
    if not any(texts):
        raise TableError(f"{option}: finds no {what} in any path, the first being {paths[0]}")
    return texts


def _search(folder: Path) -> tuple[list[Path], int]:
    files: list[Path] = []
    passed_over = 0
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in AUDIO_SUFFIXES | CODEC_SUFFIXES and not name.startswith("."):
                files.append(path)
            else:
                passed_over += 1
    # As if they were files, so that they are told of and counted like files that fail.
    files += [Path(error.filename) for error in unreadable]
    return files, passed_over


def _folder_label(file: Path, given: Path) -> str | None:
    """Name the first folder below the given path, or the one that the file is in."""
    below = file.relative_to(given).parts
    if len(below) > 1:
        return below[0]
    # ``a.mp3`` and ``../a.mp3`` have a parent folder too, if not in their spelling. Links are not
    # followed: a link in blues/ is blues.
    folder = given if below else file.parent
    return Path(os.path.abspath(folder)).name or None  # noqa: PTH100


def _check_labels(tracks: Iterable[Track]) -> None:
    """Refuse a file that was found below two given folders and has a label of each."""
    labels: dict[Path, str | None] = {}
    for track in tracks:
        if labels.setdefault(track.path, track.label) != track.label:
            raise TableError(
                f"{track.path}: its label is {labels[track.path]} by one of the given paths, and "
                f"{track.label} by another: labels are the first folder below each; give one of "
                "them only, or find labels by --label-regex"
            )


@dataclass(frozen=True, slots=True)
class _Listed:
    """What a manifest says of a file, by column, and in which line it says so first."""

    path: str
    line: int
    cells: dict[str, str]


def _with_manifest(tracks: list[Track], passed_over: int, manifest: Path) -> Sources:
    assignments, listed = _read_manifest(manifest)
    labelled: list[Track] = []
    seen: set[str] = set()
    for track in tracks:
        key = _key(track.path)
        seen.add(key)
        cells = listed[key].cells if key in listed else {}
        labelled.append(
            replace(
                track,
                label=cells.get("label"),
                group=cells.get("group"),
                assignments=tuple((name, cells.get(name, "")) for name in assignments),
            )
        )
    notes = []
    if unlisted := sum(key not in listed for key in seen):
        notes.append(f"{unlisted} of the files are not in {manifest}: no label")
    if absent := len(listed.keys() - seen):
        rows = "1 row of" if absent == 1 else f"{absent} rows of"
        notes.append(f"the file was not found for {rows} {manifest}")
    return Sources(labelled, passed_over, notes)


def _key(path: Path) -> str:
    """Return what all spellings of a path share, and links to it."""
    return os.path.normcase(os.path.realpath(path))


def _read_manifest(manifest: Path) -> tuple[list[str], dict[str, _Listed]]:
    """Return the columns of folds and splits, and what is said of each file."""
    try:
        names, rows = read_rows(manifest)
        if missing := {"path", "label"} - set(names):
            raise TableError(
                f"{manifest}: no column {' and no column '.join(sorted(missing))}; "
                f"it has {shortened(', '.join(names)) or 'no columns'}; a manifest has the columns "
                "path,label[,group]"
            )
        assignments = list(dict.fromkeys(filter(is_assignment, names)))
        listed: dict[str, _Listed] = {}
        for line, row in rows:
            if row.get("path"):
                said = {name: row.get(name, "") for name in ("label", "group", *assignments)}
                new = _Listed(row["path"], line, {n: cell for n, cell in said.items() if cell})
                key = _key(manifest.parent / on_disk(row["path"]))
                listed[key] = _united(listed[key], new, manifest) if key in listed else new
    except FileNotFoundError:
        raise TableError(
            f"{manifest}: no such file; labels are tags, folder, none or a manifest"
        ) from None
    except (OSError, ValueError, csv.Error) as error:  # not UTF-8, a NUL in a path
        raise TableError(f"{manifest}: cannot be read as a manifest: {error}") from None
    return assignments, listed


def _united(first: _Listed, other: _Listed, manifest: Path) -> _Listed:
    """Put together two rows of one file, which may say the same or something more."""
    for name, one in first.cells.items():
        two = other.cells.get(name, one)
        if one != two:
            as_well = "" if first.path == other.path else f" (as {shortened(other.path)})"
            raise TableError(
                f"{manifest}: the {name} of {shortened(first.path)} is {shortened(one)} in line "
                f"{first.line}, and {shortened(two)} in line {other.line}{as_well}; a track has "
                f"one {name}: keep one of the rows"
            )
    return replace(first, cells=first.cells | other.cells)
