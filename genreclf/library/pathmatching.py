"""Find tracks by paths that may be written in another way, or on another machine."""

import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TypeAlias

from genreclf.errors import TableError, shortened
from genreclf.files import on_disk

_Parts: TypeAlias = tuple[str, ...]


class PathIndex:
    """Finds rows by path: the same text, the same file, or the same end of the path.

    Parameters
    ----------
    paths : sequence of str
        The path of each row; the empty string for a row without one.
    folder : Path
        Where relative paths start.
    """

    def __init__(self, paths: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._rows: dict[str, list[int]] = {}
        for row, path in enumerate(paths):
            if path:
                self._rows.setdefault(path, []).append(row)
        # Only files of the same name are compared further.
        self._named: dict[str, dict[str, _Parts]] = {}
        for path in self._rows:
            parts = _parts(path)
            self._named.setdefault(_last(parts), {})[path] = parts
        self._files: dict[str, dict[str, list[str]]] = {}

    def find(self, path: str) -> list[int]:
        """Return the rows of a track.

        ``music/rock/a.mp3`` also finds ``rock/a.mp3`` and ``/home/me/music/rock/a.mp3``, unless
        several tracks fit equally well.

        Raises
        ------
        TableError
            If no track fits, or several do.
        """
        for text in _readings(path):
            if text in self._rows:
                return self._rows[text]
        for text in _readings(path):
            parts = _parts(text)
            found = self._same_file(text, _last(parts))
            if not found:
                found = _same_end(text, parts, self._named.get(_last(parts), {}))
            if found:
                return sorted(row for one in found for row in self._rows[one])
        raise TableError(f"{path}: no such track")

    def _same_file(self, text: str, name: str) -> list[str]:
        if name not in self._named:
            return []
        if name not in self._files:
            files: dict[str, list[str]] = {}
            for path in self._named[name]:
                files.setdefault(_resolved(path, self._folder), []).append(path)
            self._files[name] = files
        return self._files[name].get(_resolved(text, self._folder), [])


def _readings(path: str) -> Iterator[str]:
    r"""Yield a path as it is, and without the escapes of ``audit --csv`` (``\\``, ``\udce9``)."""
    yield path
    if "\\" in path:
        try:
            yield path.encode("latin-1", "backslashreplace").decode("unicode_escape")
        except UnicodeDecodeError:
            return


def _parts(path: str) -> _Parts:
    """Return the parts of a path without ``.`` and ``..`` at its beginning."""
    parts = PurePath(unicodedata.normalize("NFC", path)).parts
    first = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return parts[first:]


def _last(parts: _Parts) -> str:
    return parts[-1] if parts else ""


def _resolved(path: str, folder: Path) -> str:
    try:
        return os.path.normcase(os.path.realpath(folder / on_disk(path)))
    except ValueError:  # a NUL, which no file has in its name
        return path


def _same_end(text: str, parts: _Parts, candidates: Mapping[str, _Parts]) -> list[str]:
    """Return the candidate of which the path is the end, or which is the end of the path."""
    found: list[str] = []
    longest = 1
    for candidate, others in candidates.items():
        n = min(len(others), len(parts))
        if n >= longest and others[-n:] == parts[-n:]:
            found = [candidate] if n > longest else [*found, candidate]
            longest = n
    if len(found) > 1:
        raise TableError(
            f"{text}: could be {shortened(found[0])} or {shortened(found[1])}; give more of the "
            "path"
        )
    return found
