"""From paths on the command line to tracks with labels and groups."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from genreclf.errors import TableError
from genreclf.files import on_disk

__all__ = ["AUDIO_SUFFIXES", "CODEC_SUFFIXES", "Sources", "Track", "find_tracks", "groups_of"]

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
    """

    path: Path
    label: str | None = None
    group: str | None = None


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
        ``"folder"`` takes each file's parent folder's name; tags are for ``label_tracks`` to read.
        A manifest is a CSV file with columns ``path,label[,group]``, its paths relative to the
        manifest.

    Returns
    -------
    Sources

    Raises
    ------
    TableError
        If the manifest cannot be read.
    """
    files: list[Path] = []
    passed_over = 0
    for path in map(Path, paths):
        if path.is_dir():
            found, others = _search(path)
            files += found
            passed_over += others
        else:
            files.append(path)
    tracks = [Track(path) for path in files]
    if labels in ("none", "tags"):
        return Sources(tracks, passed_over)
    if labels == "folder":
        return Sources([_with_folder_label(track) for track in tracks], passed_over)
    return _with_manifest(tracks, passed_over, Path(labels))


def read_path_list(lines: Iterable[str]) -> Iterator[Path]:
    """Read one path a line, as ``find`` prints them; empty lines are skipped."""
    for line in lines:
        name = line.rstrip("\r\n")
        if name:
            yield Path(name)


def groups_of(paths: Iterable[str], pattern: str) -> list[str]:
    """Return what the first parenthesis of a regular expression (or all of it) finds in paths.

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
    try:
        found = [re.search(pattern, path) for path in paths]
    except re.error as error:
        raise TableError(f"--group-regex {pattern}: no regular expression: {error}") from None
    groups = ["" if match is None else match[match.re.groups and 1] or "" for match in found]
    if not any(groups):
        raise TableError(
            f"--group-regex {pattern}: finds no group in any path, the first being {paths[0]}"
        )
    return groups


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


def _with_folder_label(track: Track) -> Track:
    # ``a.mp3`` and ``../a.mp3`` have a parent folder too, if not in their spelling. Links are not
    # followed: a link in blues/ is blues.
    absolute = os.path.abspath(track.path)  # noqa: PTH100
    return replace(track, label=Path(absolute).parent.name or None)


def _with_manifest(tracks: list[Track], passed_over: int, manifest: Path) -> Sources:
    listed = _read_manifest(manifest)
    labelled: list[Track] = []
    seen: set[str] = set()
    for track in tracks:
        key = os.path.realpath(track.path)
        seen.add(key)
        label, group = listed.get(key, (None, None))
        labelled.append(replace(track, label=label, group=group))
    notes = []
    if unlisted := sum(key not in listed for key in seen):
        notes.append(f"{unlisted} of the files are not in {manifest}: no label")
    if absent := len(listed.keys() - seen):
        notes.append(f"{absent} rows of {manifest} name no file that was found here")
    return Sources(labelled, passed_over, notes)


def _read_manifest(manifest: Path) -> Mapping[str, tuple[str | None, str | None]]:
    listed = {}
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"path", "label"} - set(reader.fieldnames or [])
            if missing:
                raise TableError(
                    f"{manifest}: no column {' and no column '.join(sorted(missing))}; "
                    "a manifest has the columns path,label[,group]"
                )
            for row in reader:
                if row["path"]:
                    key = os.path.realpath(manifest.parent / on_disk(row["path"]))
                    listed[key] = (row["label"] or None, row.get("group") or None)
    except FileNotFoundError:
        raise TableError(
            f"{manifest}: no such file; labels are tags, folder, none or a manifest"
        ) from None
    except (OSError, ValueError, csv.Error) as error:  # not UTF-8, a NUL in a path
        raise TableError(f"{manifest}: cannot be read as a manifest: {error}") from None
    return listed
