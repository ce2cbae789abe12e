"""Find tracks by paths that may be written in another way, or on another machine."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from genreclf.errors import TableError, shortened
from genreclf.files import on_disk


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
        self._by_name: dict[str, list[str]] = {}
        for path in self._rows:
            self._by_name.setdefault(_name(path), []).append(path)

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
            alike = self._by_name.get(_name(text), [])
            found = self._same_file(text, alike) or _same_end(text, alike)
            if found:
                return sorted(row for one in found for row in self._rows[one])
        raise TableError(f"{path}: no such track")

    def _same_file(self, text: str, candidates: Sequence[str]) -> list[str]:
        wanted = _resolved(text, self._folder)
        return [path for path in candidates if _resolved(path, self._folder) == wanted]


def _readings(path: str) -> Iterator[str]:
    r"""Yield a path as it is, and without the escapes of ``audit --csv`` (``\\``, ``\udce9``)."""
    yield path
    if "\\" in path:
        try:
            yield path.encode("latin-1", "backslashreplace").decode("unicode_escape")
        except UnicodeDecodeError:
            return


def _name(path: str) -> str:
    return next(reversed(_parts(path)), "")


def _parts(path: str) -> tuple[str, ...]:
    """Return the parts of a path without ``.`` and ``..`` at its beginning."""
    parts = PurePath(unicodedata.normalize("NFC", path)).parts
    first = next((i for i, part in enumerate(parts) if part != ".."), len(parts))
    return parts[first:]


def _resolved(path: str, folder: Path) -> str:
    try:
        return os.path.normcase(os.path.realpath(folder / on_disk(path)))
    except ValueError:  # a NUL, which no file has in its name
        return path


def _same_end(path: str, candidates: Sequence[str]) -> list[str]:
    """Return the candidate of which the path is the end, or which is the end of the path."""
    found: list[str] = []
    longest = 0
    for candidate in candidates:
        n = min(len(_parts(candidate)), len(_parts(path)))
        if n >= max(longest, 1) and _parts(candidate)[-n:] == _parts(path)[-n:]:
            found = [candidate] if n > longest else [*found, candidate]
            longest = n
    if len(found) > 1:
        raise TableError(
            f"{path}: could be {shortened(found[0])} or {shortened(found[1])}; give more of the "
            "path"
        )
    return found
