"""Read segments of a file as if they were a file of their own."""

import io
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

# (start, stop) in the file, or bytes to insert.
Segment: TypeAlias = tuple[int, int] | bytes

_BUFFER_BYTES = 2**16


def open_segments(path: Path, segments: Sequence[Segment]) -> BinaryIO:
    """Open segments of a file in the given order; one may occur more than once."""
    return io.BufferedReader(_Segments(path, segments), _BUFFER_BYTES)


class _Segments(io.RawIOBase):
    def __init__(self, path: Path, segments: Sequence[Segment]) -> None:
        self._file = path.open("rb", buffering=0)
        self._segments = [segment for segment in segments if _size(segment)]
        self._starts = [0, *accumulate(map(_size, self._segments))]
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
        segment, skipped = self._segments[index], self._at - self._starts[index]
        view = memoryview(buffer)[: _size(segment) - skipped]
        if isinstance(segment, bytes):
            view[:] = segment[skipped : skipped + len(view)]
            n = len(view)
        else:
            self._file.seek(segment[0] + skipped)
            n = self._file.readinto(view) or 0
        self._at += n
        return n

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _size(segment: Segment) -> int:
    return len(segment) if isinstance(segment, bytes) else segment[1] - segment[0]
