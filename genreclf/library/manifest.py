"""Manifests that genreclf writes: the labels of all tracks, for ``extract --labels``."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from genreclf.errors import is_utf8
from genreclf.files import on_disk, written_whole


def write_manifest(
    file: Path, paths: Sequence[str], columns: Mapping[str, Sequence[str]], folder: Path
) -> int:
    """Write a CSV file with the column ``path`` and others; relative paths start at its folder.

    Parameters
    ----------
    file : Path
    paths : sequence of str
        Of each row; rows without a path are left out.
    columns : mapping of str to sequence of str
        ``label``, ``group`` and others, of each row.
    folder : Path
        Where the relative paths in ``paths`` start.

    Returns
    -------
    int
        How many tracks are left out, because their names are not text in UTF-8.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    n_left_out = 0
    with (
        written_whole(file) as aside,
        aside.open("w", encoding="utf-8", newline="") as text,
    ):
        writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(["path", *columns])
        for row in (row for row, path in enumerate(paths) if path):
            cells = [
                _from(file.parent, paths[row], folder),
                *(columns[name][row] for name in columns),
            ]
            if all(map(is_utf8, cells)):
                writer.writerow(cells)
            else:
                n_left_out += 1
    return n_left_out


def _from(start: Path, path: str, folder: Path) -> str:
    """Return a relative path as seen from another folder."""
    if Path(path).is_absolute() or start.absolute() == folder.absolute():
        return path
    try:
        return os.path.relpath(folder / on_disk(path), start)
    except ValueError:  # on another drive of Windows; a NUL
        return path
