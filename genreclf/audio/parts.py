"""Read parts of a file as if they were a file of their own."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

# (start, stop) in the file, or bytes to insert.
Part: TypeAlias = tuple[int, int] | bytes

_BUFFER = 2**16


def open_parts(path: Path, parts: Sequence[Part]) -> BinaryIO:
    """Open parts of a file; they are read only when needed.

    Parameters
    ----------
    path : Path
    parts : sequence of (start, stop) or bytes
        In the order in which they are read. A part may come twice.
    """
    return io.BufferedReader(_Parts(path, parts), _BUFFER)


class _Parts(io.RawIOBase):
    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self._file = path.open("rb", buffering=0)
        self._parts = [part for part in parts if _size(part)]
        self._starts = [0, *accumulate(map(_size, self._parts))]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        at = (0, self._at, self._starts[-1])[whence] + offset
        if at < 0:
            raise ValueError(f"seek to {at}")
        self._at = at
        return at

    def readinto(self, buffer: Any) -> int:
        if self._at >= self._starts[-1]:
            return 0
        index = bisect_right(self._starts, self._at) - 1
        part, skipped = self._parts[index], self._at - self._starts[index]
        view = memoryview(buffer)[: _size(part) - skipped]
        if isinstance(part, bytes):
            view[:] = part[skipped : skipped + len(view)]
            n = len(view)
        else:
            self._file.seek(part[0] + skipped)
            n = self._file.readinto(view) or 0
        self._at += n
        return n

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _size(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part[1] - part[0]
