"""Decode with libsndfile."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from genreclf.audio.audiofile import AudioFile, AudioInfo, Samples
from genreclf.audio.segments import Segment, open_segments

# The size that SoX writes into the header of an AIFF for a pipe; other programs write larger ones.
_UNKNOWN_SIZE = 0x7F00_0000 - 2**16
# The log line of the chunk with the audio in WAV, AU and AIFF; W64 has one for the whole file only.
_SHORTENED = re.compile(r"^ *(?:data|Data Size|SSND|riff) *: (\d+) \(should be (\d+)\)", re.M)


class SndFile(AudioFile):
    """A file, segments of one, or bytes in memory, decoded by libsndfile.

    Raises
    ------
    soundfile.LibsndfileError, OSError, TypeError, ValueError
        If it cannot be decoded.
    """

    def __init__(self, source: Path | BinaryIO, segments: Sequence[Segment] = ()) -> None:
        self._opened: BinaryIO | None = None
        if isinstance(source, Path) and segments:
            source = self._opened = open_segments(source, segments)
        try:
            self._file = soundfile.SoundFile(_native(source))
        except BaseException:
            self._close_segments()
            raise
        self.info = AudioInfo(
            _declared_frames(self._file),
            self._file.samplerate,
            self._file.channels,
            self._file.format,
            self._file.subtype,
        )

    @property
    def seekable(self) -> bool:
        """Whether libsndfile can seek in it, which it cannot in GSM."""
        return bool(self._file.seekable())

    def read(self, start: int, stop: int) -> Samples:
        """Decode samples ``start`` to ``stop``."""
        try:
            self._file.seek(start)
            return np.asarray(self._file.read(stop - start, dtype="float32", always_2d=True))
        except (soundfile.LibsndfileError, RuntimeError, ValueError):
            return np.empty((0, self.info.channels), dtype=np.float32)

    def close(self) -> None:
        """Close the file, and the one that its segments are read from."""
        self._file.close()
        self._close_segments()

    def _close_segments(self) -> None:
        if self._opened is not None:
            self._opened.close()


def _native(source: Path | BinaryIO) -> str | bytes | BinaryIO:
    """Return a name as soundfile needs it: on POSIX as bytes, which need not be text."""
    if not isinstance(source, Path):
        return source
    return os.fsencode(source) if os.name == "posix" else str(source)


def _declared_frames(file: soundfile.SoundFile) -> int:
    """Return the length that the header declares, even if the file ends earlier.

    For uncompressed audio libsndfile returns the actual length, and mentions the declared one only
    in its log: ``data : 384000 (should be 191978)``. A stream of unknown length declares
    the largest possible number; then the length that is there counts.
    """
    found = _SHORTENED.search(file.extra_info)
    if found:
        declared, there = map(int, found.groups())
        if there < declared < _UNKNOWN_SIZE:
            return round(file.frames * declared / there)
    return int(file.frames)
