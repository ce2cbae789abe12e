"""NPZ archives from anyone: without pickles, of a bounded size, with texts that exist."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray


@contextmanager
def open_npz(path: Path) -> Iterator[NpzFile]:
    """Open an archive, whose arrays are read when they are asked for.

    Raises
    ------
    ValueError
        If it unpacks to far more than its size.
    """
    with ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > max(2**30, 100 * path.stat().st_size):
        raise ValueError(f"it unpacks to {unpacked / 2**30:.0f} GiB, a hundred times its size")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        yield arrays


def strings(array: NDArray[Any]) -> NDArray[np.object_]:
    """Make Python strings of numpy's, refusing code points that would crash Python."""
    if array.dtype.kind == "U":
        codes = np.ascontiguousarray(array).reshape(-1)
        codes = codes.view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.max(initial=0) > sys.maxunicode:
            raise ValueError("it holds code points that do not exist")
    return array.astype(object)
