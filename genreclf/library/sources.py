"""Find the tracks in files and folders, with labels from folders or a manifest."""

import csv
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from genreclf.csvtext import read_rows
from genreclf.errors import TableError, shortened
from genreclf.files import on_disk

# Suffixes of what libsndfile decodes. Not asked of soundfile, whose import takes time.
AUDIO_SUFFIXES = frozenset(
    (
        *(".aif", ".aifc", ".aiff", ".au", ".avr", ".caf", ".flac", ".htk", ".ircam", ".mat4"),
        *(".mat5", ".mp1", ".mp2", ".mp3", ".mpc2k", ".nist", ".oga", ".ogg", ".opus", ".paf"),
        *(".pvf", ".rf64", ".sd2", ".sds", ".sf", ".snd", ".sph", ".svx", ".voc", ".w64"),
        *(".wav", ".wave", ".wavex", ".wve", ".xi"),
    )
)
# Suffixes of what needs the extra ``codecs``. Films are not searched for, but decoded if named.
CODEC_SUFFIXES = frozenset(
    (
        *(".aac", ".ac3", ".amr", ".ape", ".dff", ".dsf", ".dts", ".eac3", ".m4a", ".m4b", ".m4r"),
        *(".mka", ".mlp", ".mp+", ".mpc", ".oma", ".ra", ".shn", ".tak", ".thd", ".tta", ".weba"),
        *(".wma", ".wv"),
    )
)


@dataclass(frozen=True, slots=True)
class Track:
    """One piece of music.

    Tracks of one ``group`` (an artist, an album, a recording) are never in two folds.
    ``assignments`` are the columns of folds and splits in a manifest, with this track's cells.
    """

    path: Path
    label: str | None = None
    group: str | None = None
    assignments: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The tracks found, the number of other files, and notes: in short, and track by track."""

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
        following links to folders; hidden files and files without an audio suffix are skipped and
        counted. A file given by name becomes a track, whatever its name, even if it does not
        exist: decoding reports that.
    labels : "folder", "tags", "none", or path of a manifest
        ``"folder"`` takes the name of the first folder below the given one: ``blues`` for
        ``music/blues/artist/a.mp3`` if ``music`` was given. A file directly in the given folder
        gets that folder's name, a file given by name its parent folder's. Tags are read by
        ``label_tracks``. A manifest is a CSV file with columns ``path,label[,group]`` and paths
        relative to it; its columns of folds and splits (``is_assignment``) are kept.

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
    """Return True for names of columns of folds and splits: ``fold``, ``artist_split``."""
    return column.lower().endswith(("fold", "folds", "split"))


def found_in_paths(paths: Iterable[str], pattern: str, what: str) -> list[str]:
    """Return what a regular expression, or its first parenthesis, matches in each path.

    ``what`` is "label" or "group". The empty string stands for a path without a match.

    Raises
    ------
    TableError
        If it is not a regular expression, or matches no path.
    """
    paths = list(paths)
    option = f"--{what}-regex {pattern}"
    try:
        found = [re.search(pattern, path) for path in paths]
    except re.error as error:
        raise TableError(f"{option}: not a regular expression: {error}") from None
    texts = ["" if match is None else match[match.re.groups and 1] or "" for match in found]
    if not any(texts):
        raise TableError(f"{option}: finds no {what} in any path, such as {paths[0]}")
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
    # As if they were files, so that they are reported and counted like files that fail.
    files += [Path(error.filename) for error in unreadable]
    return files, passed_over


def _folder_label(file: Path, given: Path) -> str | None:
    """Return the first folder below the given path, or the one that the file is in."""
    below = file.relative_to(given).parts
    if len(below) > 1:
        return below[0]
    # Absolute, since the spellings ``a.mp3`` and ``../a.mp3`` do not name the folder. Links are not
    # followed: a link in blues/ is blues.
    folder = given if below else file.parent
    return Path(os.path.abspath(folder)).name or None  # noqa: PTH100


def _check_labels(tracks: Iterable[Track]) -> None:
    """Refuse a file that was found below two given folders and has a label of each."""
    labels: dict[Path, str | None] = {}
    for track in tracks:
        if labels.setdefault(track.path, track.label) != track.label:
            raise TableError(
                f"{track.path}: its label is {labels[track.path]} below one of the given paths and "
                f"{track.label} below another; give only one of them, or use --label-regex"
            )


@dataclass(frozen=True, slots=True)
class _Listed:
    """A file in a manifest: its cells by column, and its first line."""

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
    """Return the same for all spellings of a path, and for links to it."""
    return os.path.normcase(os.path.realpath(path))


def _read_manifest(manifest: Path) -> tuple[list[str], dict[str, _Listed]]:
    """Return the columns of folds and splits, and each file."""
    try:
        names, rows = read_rows(manifest)
        if missing := {"path", "label"} - set(names):
            raise TableError(
                f"{manifest}: no column {' and no column '.join(sorted(missing))}; "
                f"it has {shortened(', '.join(names)) or 'no columns'}; a manifest has the columns "
                "path,label[,group]"
            )
        assignments = list(dict.fromkeys(filter(is_assignment, names)))
        columns = ["label", "group", *assignments]
        listed: dict[str, _Listed] = {}
        for line, row in rows:
            if row.get("path"):
                cells = {name: row[name] for name in columns if row.get(name)}
                new = _Listed(row["path"], line, cells)
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
    """Unite two rows of one file, which must not contradict each other."""
    for name, one in first.cells.items():
        two = other.cells.get(name, one)
        if one != two:
            alias = "" if first.path == other.path else f" (as {shortened(other.path)})"
            raise TableError(
                f"{manifest}: the {name} of {shortened(first.path)} is {shortened(one)} in line "
                f"{first.line}, and {shortened(two)} in line {other.line}{alias}; a track has one "
                f"{name}, so keep only one of these rows"
            )
    return replace(first, cells=first.cells | other.cells)
