"""The frames that a table's tracks keep, in a file of raw half-precision numbers beside it.

Read by memory-mapping: of a store of gigabytes only the tracks that are asked for come into memory.
What is in it is told by the table: the store begins with a digest of the table's configuration and
paths, so that frames are never taken for those of other tracks.
"""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError
from genreclf.files import beside, written_whole

Halves = NDArray[np.float16]

_MAGIC = b"genreclf frames\n"
_HEADER_BYTES = len(_MAGIC) + hashlib.sha256().digest_size


def frames_path(table: Path) -> Path:
    """Return the file that holds the frames of a table."""
    return beside(table, ".frames")


def write_frames(
    table: Path, frames: Halves, config: ExtractionConfig, paths: NDArray[np.object_]
) -> None:
    """Write the store of a table, whole or not at all.

    Parameters
    ----------
    table : Path
    frames : (n_tracks, n_kept) float16
    config : ExtractionConfig
    paths : (n_tracks,) array of str
    """
    with written_whole(frames_path(table)) as aside, aside.open("wb") as file:
        file.write(_header(config, paths))
        np.ascontiguousarray(frames, dtype="<f2").tofile(file)


def read_frames(
    table: Path, n_kept: int, config: ExtractionConfig, paths: NDArray[np.object_]
) -> Halves:
    """Map the store of a table into memory, (n_tracks, n_kept) float16.

    Raises
    ------
    TableError
        If it is not there, or is not that of these tracks in this order.
    """
    store = frames_path(table)
    if not store.is_file():  # a named pipe would be waited for
        raise TableError(
            f"{table}: was extracted with frames, but {store.name} is not beside it; bring it "
            "there, or extract again"
        )
    with store.open("rb") as file:
        header = file.read(_HEADER_BYTES)
        n_bytes = os.fstat(file.fileno()).st_size - _HEADER_BYTES
    if not header.startswith(_MAGIC):
        raise TableError(f"{store}: holds no frames; extract {table.name} again")
    if header != _header(config, paths):
        raise TableError(
            f"{store}: holds the frames of other tracks, or in another order, than {table.name}; "
            "extract again"
        )
    if n_bytes != 2 * len(paths) * n_kept:
        raise TableError(f"{store}: is damaged: cut off or too long; extract {table.name} again")
    return np.memmap(store, "<f2", "r", _HEADER_BYTES, (len(paths), n_kept))


def _header(config: ExtractionConfig, paths: NDArray[np.object_]) -> bytes:
    names = b"\0".join(os.fsencode(path) for path in paths)
    return _MAGIC + hashlib.sha256(config.fingerprint.encode() + b"\0" + names).digest()
