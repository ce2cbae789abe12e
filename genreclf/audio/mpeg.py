"""Decode mp3, mp2 and mp1 with libsndfile, with the length that their frames add up to.

Where no Xing or Info frame states the length of an mp3, libsndfile estimates it from the size of
the file and the first bit rate. That counts tags as audio, and is wrong for variable rates: 8.8 s
instead of 44 s. So the frames are counted, which takes 2 ms for a song of four minutes.

Xing and VBRI frames: as LAME and Fraunhofer write them.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

import soundfile

from genreclf.audio.audiofile import MISSING_SECONDS_ALLOWED, AudioFile, Samples
from genreclf.audio.mpegframes import Run, find_runs, may_be_mpeg
from genreclf.audio.segments import Segment
from genreclf.audio.sndfile import SndFile
from genreclf.library.streamtags import after_id3

_DECODER_DELAY = 529  # samples, of layer III
# After a seek, libmpg123 decodes four frames and discards them.
_FRAMES_BEFORE = 8
# Decoders drop the first samples: the number that the first frame states (up to 4,095), and 529 of
# their own. All other samples are that much later in the stream, up to nine frames of MPEG 2.
_FRAMES_AFTER = 16


@dataclass(frozen=True)
class Mpeg:
    """Frames of one kind, without what is between them.

    Attributes
    ----------
    n_samples : int or None
        Length. None where the first frame states it: then libsndfile knows it to the sample.
    n_present : int
        Samples that the frames hold, fewer than ``n_samples`` if the file breaks off.
    n_delayed : int
        Samples in front of these that the encoder added.
    is_plain : bool
        Whether libsndfile reads the whole file correctly by itself.
    """

    n_samples: int | None
    n_present: int
    n_delayed: int
    is_plain: bool
    runs: tuple[Run, ...]

    @property
    def segments(self) -> list[Segment]:
        """The segments of the file to decode."""
        segments: list[Segment] = [(run.start, run.stop) for run in self.runs]
        n_bytes = sum(run.stop - run.start for run in self.runs)
        return segments * self._repeats(n_bytes, sum(run.n_frames for run in self.runs))

    def excerpt(self, path: Path, start: int, stop: int) -> tuple[bytes, int] | None:
        """Return the frames that the samples from start to stop are decoded from.

        This is faster than a seek by libmpg123: by 9 ms for the middle of a song of four minutes
        (8 % of the default extraction), by 0.1 s for that of an hour.

        The first two frames of the file come before them. The first may state a delay, which has
        to shift these samples as it shifts those of the whole file. The second is the first to
        be decoded, and what it leaves in the decoder changes later samples in the last bit.

        Returns
        -------
        stream : bytes
            Decodes bit for bit as the file does.
        n_dropped : int
            Sample n of the file is sample n - n_dropped of the stream.

        or None where there is little to leave out, or the samples are not all in the first run.
        """
        run = self.runs[0]
        start, stop = start + self.n_delayed, stop + self.n_delayed
        n_dropped = start // run.header.samples - _FRAMES_BEFORE
        n_used = stop // run.header.samples + _FRAMES_AFTER - n_dropped
        if n_dropped <= 0 or 2 + n_dropped + n_used > run.n_frames:
            return None
        stream = b""
        with path.open("rb") as file:
            for first, after in ((0, 2), (2 + n_dropped, 2 + n_dropped + n_used)):
                at, end = run.place(file, first), run.place(file, after)
                file.seek(at)
                stream += file.read(end - at)
        stream *= self._repeats(len(stream), 2 + n_used)
        return stream, n_dropped * run.header.samples - self.n_delayed

    def _repeats(self, n_bytes: int, n_frames: int) -> int:
        """Return how often to give the frames to libsndfile.

        It stops at the length that it estimates from the first frame. Where that frame is longer
        than the others, the estimate is too low.
        """
        if self.n_samples is None:
            return 1
        longest = max(run.longest for run in self.runs)
        return longest * n_frames // max(n_bytes, 1) + 1


class MpegFile(AudioFile):
    """An mp3, mp2 or mp1 whose frames have been counted."""

    def __init__(self, path: Path, mpeg: Mpeg) -> None:
        self._path, self._mpeg = path, mpeg
        self._file = SndFile(path, () if mpeg.is_plain else mpeg.segments)
        self.info, self._n_present = self._file.info, self._file.info.n_frames
        if mpeg.n_samples is not None:
            self.info = replace(self.info, n_frames=mpeg.n_samples)
            self._n_present = mpeg.n_present

    def read(self, start: int, stop: int) -> Samples:
        """Decode samples ``start`` to ``stop``."""
        stop = max(start, min(stop, self._n_present))
        excerpt = self._mpeg.excerpt(self._path, start, stop)
        if excerpt is not None:
            stream, n_dropped = excerpt
            with suppress(soundfile.LibsndfileError), SndFile(BytesIO(stream)) as file:
                samples = file.read(start - n_dropped, stop - n_dropped)
                if len(samples) == stop - start:
                    return samples
        delay = self._mpeg.n_delayed
        return self._file.read(start + delay, stop + delay)

    def blocks(self, size: int, start: int, stop: int) -> Iterator[Samples]:
        """Decode samples ``start`` to ``stop`` in blocks of (size, channels)."""
        delay = self._mpeg.n_delayed
        return self._file.blocks(size, start + delay, min(stop, self._n_present) + delay)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def find_mpeg(path: Path) -> tuple[Mpeg, ...]:
    """Find the frames of an mp3, mp2 or mp1.

    Returns
    -------
    tuple of Mpeg
        One for each change of sample rate, channels or layer; most files have one. Empty if it
        is no such file.
    """
    status = path.stat()
    return _find(path, status.st_size, (status.st_mtime_ns, status.st_ino))


@lru_cache(maxsize=1)  # for successive windows of one file
def _find(path: Path, size: int, _version: tuple[int, int]) -> tuple[Mpeg, ...]:
    with path.open("rb") as file:
        if not may_be_mpeg(path, file):
            return ()
        runs = find_runs(file, size)
        kinds = [list(same) for _, same in groupby(runs, lambda run: run.header.constant)]
        found = [_with_length(file, kind, is_alone=len(kinds) == 1) for kind in kinds]
    return tuple(mpeg for mpeg in found if mpeg.n_present > 0)


class _Stated(NamedTuple):
    """What a Xing, Info or VBRI frame says; 0 for what it leaves out."""

    n_frames: int
    n_bytes: int
    n_delayed: int = 0  # samples at the beginning that are not audio
    is_vbri: bool = False


def _with_length(file: BinaryIO, runs: list[Run], *, is_alone: bool) -> Mpeg:
    """Take the length from the first frame's header, or from the count of frames.

    The header is trusted if as many frames are there, or if the file was cut. Otherwise that frame
    is left out. ``is_alone`` says that the file holds no frames of other kinds.
    """
    first = runs[0]
    rate, samples = first.header.sample_rate_hz, first.header.samples
    counted = declared = sum(run.n_frames for run in runs)
    stated = _stated(file, first)
    if stated is not None:
        counted = declared = counted - 1
        missing = stated.n_frames - counted
        tolerance = 1 + int(MISSING_SECONDS_ALLOWED * rate / samples)
        cut = missing > tolerance and is_alone and _is_cut(stated, runs, missing)
        known = bool(stated.n_frames) and is_alone and not stated.is_vbri  # to libsndfile
        if known and (abs(missing) <= tolerance or cut):
            plain = len(runs) == 1 and first.start in (0, after_id3(file, 0))
            return Mpeg(None, counted * samples, 0, plain, tuple(runs))
        if cut:
            declared = stated.n_frames
        runs = [first.without_first(file), *runs[1:]]
    delay = stated.n_delayed if stated else 0
    present = tuple(run for run in runs if run.n_frames)
    return Mpeg(declared * samples - delay, counted * samples - delay, delay, False, present)


def _is_cut(stated: _Stated, runs: list[Run], missing: int) -> bool:
    """Return True if frames are missing where the header says so: bytes are, or there is a hole."""
    if not stated.n_bytes or len(runs) > 1:
        return True
    run = runs[0]
    missing_bytes = run.start + stated.n_bytes - run.stop
    return missing_bytes > missing / 2 * (run.stop - run.start) / run.n_frames


def _stated(file: BinaryIO, run: Run) -> _Stated | None:
    """Read the header that a first frame may be, in place of audio."""
    file.seek(run.start)
    frame = file.read(run.header.length)
    if frame[36:40] == b"VBRI" and len(frame) >= 54:
        return _Stated(_number(frame, 50), _number(frame, 46), is_vbri=True)
    at = run.header.xing_at
    checksum = 0 if frame[1] & 1 else 2
    if not at or frame[at : at + 4] not in (b"Xing", b"Info") or any(frame[4 + checksum : at]):
        return None
    flags, at = _number(frame, at + 4), at + 8
    values = []
    for flag, n_bytes in ((1, 4), (2, 4), (4, 100), (8, 4)):
        values.append(_number(frame, at) if flags & flag else 0)
        at += n_bytes if flags & flag else 0
    delay = int.from_bytes(frame[at + 21 : at + 23]) >> 4
    by_lame = frame[at : at + 4] in (b"LAME", b"Lavc", b"Lavf", b"L3.9")
    return _Stated(values[0], values[1], delay + _DECODER_DELAY if by_lame else 0)


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4])
