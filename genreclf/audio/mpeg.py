"""The frames of MPEG audio files (mp3, mp2, mp1): where they are and how many.

Where no Xing or Info frame states the length of an mp3, libsndfile estimates it from the size of
the file and the first bit rate. That counts tags as audio, and is wrong for variable rates. Here
the frames are counted instead, which takes 2 to 3 ms for a song of four minutes. Tags, zeros and
garbage between them are left out.

The places of the frames also lead to the middle of a file much faster than libmpg123 does.
Header layout: ISO/IEC 11172-3 and 13818-3. Xing and VBRI frames: as LAME and Fraunhofer write them.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import BinaryIO, NamedTuple

from genreclf.audio.parts import Part
from genreclf.library.containers import after_id3

# Bit rates in kbit/s by index, from 1. Index 0 (free format) and 15 are not supported.
_KBPS = {
    ("MPEG 1", 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    ("MPEG 1", 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    ("MPEG 1", 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    ("MPEG 2", 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    ("MPEG 2", 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    ("MPEG 2", 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = (44_100, 48_000, 32_000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # version bits: MPEG 1, 2 and 2.5 halve the rates once and twice
_BLOCK = 2**18  # bytes that are read at a time, so that long files need no more memory
# Bytes that are neither frame nor tag. Searching them for frames takes up to 3 µs a byte.
_MOST_GARBAGE = 2**20
_THREE_FRAMES = 3 * 2881  # 2,881 bytes is the longest frame: MPEG 2.5, layer II, 160 kbit/s
_MOST_RUNS = 10_000
_MOST_TAGS = 1000  # in a row
# A stream may end a little before its header says without being damaged: encoders pad, count the
# header as a frame, and the lengths of some variable-rate files are estimates.
MISSING_SECONDS_ALLOWED = 0.1
# Eleven set bits, a version and a layer.
_SYNC = re.compile(rb"\xff(?=[\xe2-\xe7\xf2-\xf7\xfa-\xff])")
# What other files begin with, where a tag may stand in front.
_OTHERS = (
    *(b"fLaC", b"OggS", b"FORM", b"caff", b"riff", b".snd", b"wvpk", b"MAC ", b"TTA1", b"MPCK"),
    *(b"MP+", b"tBaK", b"ajkg"),
)
# libmpg123 decodes four frames in vain after a seek.
_FRAMES_BEFORE = 8
# Decoders drop the first samples, as many as the first frame says: up to 4,095, and 529 of their
# own. All others lie that much later in the stream, which is up to nine frames of MPEG 2.
_FRAMES_AFTER = 16
_DECODER_DELAY = 529  # samples, of layer III


class _Header(NamedTuple):
    """What four bytes at the start of a frame say."""

    length: int
    samples: int
    sample_rate_hz: int
    xing_at: int
    constant: int  # the bits that do not change within a stream, and whether it is mono


class _Run(NamedTuple):
    """Frames that follow each other without a gap."""

    header: _Header
    start: int
    stop: int
    last: int  # where the last frame begins
    n_frames: int
    longest: int
    marks: list[tuple[int, int]]  # place in the file and number of a frame, some hundreds apart


class _Stated(NamedTuple):
    """What a Xing, Info or VBRI frame says; 0 for what it leaves out."""

    n_frames: int
    n_bytes: int
    n_delayed: int = 0  # samples in front that are no audio


class _Lengths(dict[bytes, int]):
    """The length of a frame by its first four bytes; 0 if it is no frame of the same stream.

    Each header is parsed once; a stream has a few hundred different ones.
    """

    def __init__(self, first: _Header) -> None:
        self._constant = first.constant

    def __missing__(self, head: bytes) -> int:
        header = _parse(head, 0)
        self[head] = header.length if header and header.constant == self._constant else 0
        return self[head]


@dataclass(frozen=True)
class Mpeg:
    """Frames of one kind, without what is between them.

    Attributes
    ----------
    n_samples : int or None
        Length. None where the first frame states it: then libsndfile knows it to the sample.
    n_there : int
        Samples that the frames hold, fewer than ``n_samples`` if the file breaks off.
    n_delayed : int
        Samples in front of these that the encoder added.
    whole_file : bool
        Whether libsndfile reads the whole file correctly by itself.
    """

    sample_rate_hz: int
    n_samples: int | None
    n_there: int
    n_delayed: int
    whole_file: bool
    _runs: tuple[_Run, ...]

    @property
    def parts(self) -> list[Part]:
        """What to give libsndfile to read.

        It stops at the length that it estimates from the first frame. Where that frame is longer
        than the others, the estimate is too low; so the frames are given several times over.
        """
        parts: list[Part] = [(run.start, run.stop) for run in self._runs]
        if self.n_samples is None:
            return parts
        n_bytes = sum(run.stop - run.start for run in self._runs)
        return parts * self._times(n_bytes, sum(run.n_frames for run in self._runs))

    def part(self, path: Path, start: int, stop: int) -> tuple[bytes, int] | None:
        """Return the frames that the samples from start to stop are decoded from.

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
        run = self._runs[0]
        start, stop = start + self.n_delayed, stop + self.n_delayed
        n_dropped = start // run.header.samples - _FRAMES_BEFORE
        n_kept = stop // run.header.samples + _FRAMES_AFTER - n_dropped
        if n_dropped <= 0 or 2 + n_dropped + n_kept > run.n_frames:
            return None
        lengths = _Lengths(run.header)
        with path.open("rb") as file:
            pieces = []
            for first, after in ((0, 2), (2 + n_dropped, 2 + n_dropped + n_kept)):
                at, end = _place(file, run, first, lengths), _place(file, run, after, lengths)
                file.seek(at)
                pieces.append(file.read(end - at))
        stream = b"".join(pieces)
        times = 1 if self.n_samples is None else self._times(len(stream), 2 + n_kept)
        return stream * times, n_dropped * run.header.samples - self.n_delayed

    def _times(self, n_bytes: int, n_frames: int) -> int:
        longest = max(run.longest for run in self._runs)
        return longest * n_frames // max(n_bytes, 1) + 1


def find_mpeg(path: Path) -> list[Mpeg]:
    """Find the frames of an mp3, mp2 or mp1.

    Returns
    -------
    list of Mpeg
        One for each change of sample rate, channels or layer; most files have one. Empty if it
        is no such file.
    """
    status = path.stat()
    return list(_found(path, status.st_size, (status.st_mtime_ns, status.st_ino)))


def after_tags(path: Path) -> int:
    """Return where the tags at the beginning of a file end."""
    with path.open("rb") as file:
        return _after_tags(file, 0)


@lru_cache(maxsize=1)  # one window after the other is decoded from one file
def _found(path: Path, size: int, _version: tuple[int, int]) -> tuple[Mpeg, ...]:
    with path.open("rb") as file:
        if not _may_be_mpeg(file, path.suffix.lower()):
            return ()
        runs = list(_runs(file, size))
        kinds = [list(same) for _, same in groupby(runs, lambda run: run.header.constant)]
        alone = len(kinds) == 1
        found = [_judged(file, kind, size if alone else None) for kind in kinds]
    return tuple(mpeg for mpeg in found if mpeg.n_there > 0)


def _may_be_mpeg(file: BinaryIO, suffix: str) -> bool:
    head = file.read(24)
    if head[:4] == b"RIFF":
        return head[20:22] in (b"\x50\0", b"\x55\0")  # WAV that holds layer II or III
    if not head.startswith((b"ID3", b"\xff")) and suffix not in (".mp3", ".mp2", ".mp1"):
        return False
    file.seek(_after_tags(file, 0))
    return not file.read(4).startswith(_OTHERS)


def _judged(file: BinaryIO, runs: list[_Run], size: int | None) -> Mpeg:
    """Decide where the length comes from: the first frame's header, or the count of frames.

    The header is trusted if as many frames are there, or if the file was cut. Otherwise that frame
    is left out. ``size`` is the size of the file, or None if it holds frames of other kinds too.
    """
    first = runs[0]
    rate, samples = first.header.sample_rate_hz, first.header.samples
    counted = sum(run.n_frames for run in runs)
    stated, believed = _stated(file, first), counted
    if stated is not None:
        counted -= 1
        believed = counted
        missing = stated.n_frames - counted
        tolerance = 1 + int(MISSING_SECONDS_ALLOWED * rate / samples)
        cut = missing > tolerance and size is not None and _is_cut(stated, runs, missing)
        by_libsndfile = _stated(file, first, marks=(b"Xing", b"Info")) is not None
        if by_libsndfile and stated.n_frames and size and (abs(missing) <= tolerance or cut):
            whole = len(runs) == 1 and first.start in (0, after_id3(file, 0))
            return Mpeg(rate, None, counted * samples, 0, whole, tuple(runs))
        if cut:
            believed = stated.n_frames
        runs = [_without_first(file, first), *runs[1:]]
    runs = [run for run in runs if run.n_frames]
    delayed = stated.n_delayed if stated else 0
    n_samples, n_there = believed * samples - delayed, counted * samples - delayed
    return Mpeg(rate, n_samples, n_there, delayed, False, tuple(runs))


def _is_cut(stated: _Stated, runs: list[_Run], missing: int) -> bool:
    """Tell whether frames are missing where the header says so: bytes are, or there is a hole."""
    if not stated.n_bytes or len(runs) > 1:
        return True
    run = runs[0]
    missing_bytes = run.start + stated.n_bytes - run.stop
    return missing_bytes > missing / 2 * (run.stop - run.start) / run.n_frames


def _without_first(file: BinaryIO, run: _Run) -> _Run:
    start = run.start + run.header.length
    marks = [(start, 0), *((at, n - 1) for at, n in run.marks[1:])]
    file.seek(start)
    header = _parse(file.read(4), 0) or run.header
    return run._replace(header=header, start=start, n_frames=run.n_frames - 1, marks=marks)


def _stated(
    file: BinaryIO, run: _Run, marks: Sequence[bytes] = (b"Xing", b"Info", b"VBRI")
) -> _Stated | None:
    """Read the header that a first frame may be, in place of audio."""
    file.seek(run.start)
    frame = file.read(run.header.length)
    at = run.header.xing_at
    if frame[36:40] == b"VBRI" and b"VBRI" in marks and len(frame) >= 54:
        return _Stated(int.from_bytes(frame[50:54]), int.from_bytes(frame[46:50]))
    checksum = 0 if frame[1] & 1 else 2
    if not at or frame[at : at + 4] not in marks or any(frame[4 + checksum : at]):
        return None
    flags, at = int.from_bytes(frame[at + 4 : at + 8]), at + 8
    told = []
    for flag, n_bytes in ((1, 4), (2, 4), (4, 100), (8, 4)):
        told.append(int.from_bytes(frame[at : at + 4]) if flags & flag else 0)
        at += n_bytes if flags & flag else 0
    delay = int.from_bytes(frame[at + 21 : at + 23]) >> 4
    by_lame = frame[at : at + 4] in (b"LAME", b"Lavc", b"Lavf", b"L3.9")
    return _Stated(told[0], told[1], delay + _DECODER_DELAY if by_lame else 0)


# --- walking over the frames -----------------------------------------------------------------


def _runs(file: BinaryIO, size: int) -> Iterator[_Run]:
    """Find all frames; a frame that two of its kind do not follow is garbage."""
    garbage, start = _MOST_GARBAGE, _after_tags(file, 0)
    at = _next_frame(file, start if start < size else 0, garbage)  # no tag is longer
    for _ in range(_MOST_RUNS):
        if at is None:
            return
        run = _walk(file, at, size)
        after = _after_tags(file, run.stop)
        at = _next_frame(file, after, 0)
        if at is None:
            # The last frame may be cut off, and the next ones begin where its end would be.
            at = _next_frame(file, run.last + 4, run.stop - run.last - 4)
            if at is not None:
                run = run._replace(stop=run.last, n_frames=run.n_frames - 1)
        if at is None and garbage > 0:
            at = _next_frame(file, after, garbage)
            garbage -= (at or after) - after
        yield run


def _next_frame(file: BinaryIO, at: int, most_garbage: int) -> int | None:
    """Find the next frame that two others follow; zeros or garbage may come before it."""
    for garbage in sorted({0, min(2**16, most_garbage), most_garbage}):
        file.seek(at)
        data = file.read(garbage + _THREE_FRAMES)
        for found in _SYNC.finditer(data):
            if found.start() > garbage:
                break
            if _is_followed(data, found.start()):
                return at + found.start()
    return None


def _after_tags(file: BinaryIO, at: int) -> int:
    """Return where the tags that begin here end; several may follow each other."""
    for _ in range(_MOST_TAGS):
        file.seek(at)
        head = file.read(32)
        if head.startswith(b"TAG"):
            after = at + (227 if head[3:4] == b"+" else 128)
        elif head.startswith(b"APETAGEX") and len(head) == 32 and head[23] & 0x20:
            after = at + 32 + int.from_bytes(head[12:16], "little")
        else:
            after = after_id3(file, at)
        if after == at:
            break
        at = after
    return at


def _is_followed(data: bytes, at: int) -> bool:
    """Tell whether a frame begins here that two others of its kind follow."""
    first = header = _parse(data, at)
    for _ in range(2):
        if header is None or first is None:
            return False
        at += header.length
        header = _parse(data, at)
        if header is None or header.constant != first.constant:
            return False
    return True


def _walk(file: BinaryIO, start: int, size: int) -> _Run:
    """Go from frame to frame, as long as each follows the one before and is complete."""
    file.seek(start)
    first = _parse(file.read(4), 0)
    if first is None:
        raise ValueError("not a frame header")
    lengths, marks = _Lengths(first), []
    at, last, n_frames = start, start, 0
    while True:
        file.seek(at)
        block, within, before = file.read(_BLOCK), 0, n_frames
        begun = 0
        while length := lengths[block[within : within + 4]]:
            begun = within
            within += length
            n_frames += 1
        if n_frames == before:
            break
        marks.append((at, before))
        at, last = at + within, at + begun
    if at > size:
        at, n_frames = last, n_frames - 1
    return _Run(first, start, at, last, n_frames, max(lengths.values()), marks)


def _place(file: BinaryIO, run: _Run, index: int, lengths: _Lengths) -> int:
    """Return where a frame of a run begins, counting from the nearest mark."""
    at, n = run.marks[bisect_right(run.marks, index, key=lambda mark: mark[1]) - 1]
    file.seek(at)
    block, within = file.read(_BLOCK + _THREE_FRAMES), 0
    for _ in range(index - n):
        within += lengths[block[within : within + 4]]
    return at + within


def _parse(data: bytes, at: int) -> _Header | None:
    """Read a frame header, or None if there is none."""
    if at + 4 > len(data):
        return None
    word = int.from_bytes(data[at : at + 4])
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    rate, frequency = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or rate in (0, 15) or frequency == 3:
        return None
    mpeg = "MPEG 1" if version == 3 else "MPEG 2"
    bit_rate = _KBPS[mpeg, layer][rate - 1] * 1000
    hz = _HZ[frequency] >> _HALVINGS[version]
    padding = word >> 9 & 1
    samples = {1: 384, 2: 1152, 3: 1152 if version == 3 else 576}[layer]
    if layer == 1:
        length = (12 * bit_rate // hz + padding) * 4
    else:
        length = samples // 8 * bit_rate // hz + padding
    mono = word >> 6 & 3 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return _Header(length, samples, hz, 4 + side if layer == 3 else 0, word & 0xFFFE_0C00 | mono)
