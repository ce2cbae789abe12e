"""Find the frames of MPEG audio (mp3, mp2, mp1): header layout of ISO/IEC 11172-3 and 13818-3."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from genreclf.library.streamtags import after_tags

# Bit rates in kbit/s by index, from 1. Index 0 (free format) and 15 are not supported.
_KBPS_MPEG_1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_MPEG_2_LAYER_1 = (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_KBPS_MPEG_2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_HZ = (44_100, 48_000, 32_000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # by version bits: MPEG 2 halves the rates, MPEG 2.5 quarters them
_BLOCK_BYTES = 2**18  # bytes per read, so that long files need no more memory
# Bytes that are neither frame nor tag. Searching them for frames takes up to 3 µs a byte.
_MOST_GARBAGE = 2**20
_THREE_FRAMES = 3 * 2881  # 2,881 bytes is the longest frame: MPEG 2.5, layer II, 160 kbit/s
_MOST_RUNS = 10_000
# Eleven set bits, a version and a layer.
_SYNC = re.compile(rb"\xff(?=[\xe2-\xe7\xf2-\xf7\xfa-\xff])")
# The first bytes of other files, which may follow a tag.
_OTHER_FORMATS = (
    *(b"fLaC", b"OggS", b"FORM", b"caff", b"riff", b".snd", b"wvpk", b"MAC ", b"TTA1", b"MPCK"),
    *(b"MP+", b"tBaK", b"ajkg"),
)


class Header(NamedTuple):
    """The first four bytes of a frame."""

    length: int
    samples: int
    sample_rate_hz: int
    xing_at: int
    constant: int  # the bits that are constant within a stream, and whether it is mono


class Run(NamedTuple):
    """Frames that follow each other without a gap."""

    header: Header
    start: int
    stop: int
    last: int  # where the last frame begins
    n_frames: int
    longest: int
    marks: list[tuple[int, int]]  # position and number of every few hundredth frame

    def place(self, file: BinaryIO, index: int) -> int:
        """Return where a frame begins, counting from the nearest mark."""
        lengths = _Lengths(self.header)
        at, n = self.marks[bisect_right(self.marks, index, key=lambda mark: mark[1]) - 1]
        file.seek(at)
        block, within = file.read(_BLOCK_BYTES + _THREE_FRAMES), 0
        for _ in range(index - n):
            within += lengths[block[within : within + 4]]
        return at + within

    def without_first(self, file: BinaryIO) -> "Run":
        """Leave out the first frame."""
        start = self.start + self.header.length
        marks = [(start, 0), *((at, n - 1) for at, n in self.marks[1:])]
        file.seek(start)
        header = parse_header(file.read(4)) or self.header
        return self._replace(header=header, start=start, n_frames=self.n_frames - 1, marks=marks)


class _Lengths(dict[bytes, int]):
    """The length of a frame by its first four bytes; 0 if it is not a frame of the same stream.

    Each header is parsed once; a stream has a few hundred different ones.
    """

    def __init__(self, first: Header) -> None:
        self._constant = first.constant

    def __missing__(self, head: bytes) -> int:
        header = parse_header(head)
        self[head] = header.length if header and header.constant == self._constant else 0
        return self[head]


def parse_header(data: bytes, at: int = 0) -> Header | None:
    """Read a frame header; None if there is none."""
    if at + 4 > len(data):
        return None
    word = int.from_bytes(data[at : at + 4])
    version, layer = word >> 19 & 3, 4 - (word >> 17 & 3)
    rate, frequency = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer == 4 or rate in (0, 15) or frequency == 3:
        return None
    is_mpeg_1, mono, padding = version == 3, word >> 6 & 3 == 3, word >> 9 & 1
    if is_mpeg_1:
        bit_rate = _KBPS_MPEG_1[layer][rate - 1] * 1000
    else:
        bit_rate = (_KBPS_MPEG_2_LAYER_1 if layer == 1 else _KBPS_MPEG_2)[rate - 1] * 1000
    hz = _HZ[frequency] >> _HALVINGS[version]
    samples = {1: 384, 2: 1152, 3: 1152 if is_mpeg_1 else 576}[layer]
    if layer == 1:
        length = (12 * bit_rate // hz + padding) * 4
    else:
        length = samples // 8 * bit_rate // hz + padding
    side = (17 if mono else 32) if is_mpeg_1 else (9 if mono else 17)
    return Header(length, samples, hz, 4 + side if layer == 3 else 0, word & 0xFFFE_0C00 | mono)


def may_be_mpeg(path: Path, file: BinaryIO) -> bool:
    """Return False if the first bytes, or the name, are those of other formats."""
    head = file.read(24)
    if head[:4] == b"RIFF":
        return head[20:22] in (b"\x50\0", b"\x55\0")  # WAV that holds layer II or III
    suffix = path.suffix.lower()
    if not head.startswith((b"ID3", b"\xff")) and suffix not in (".mp3", ".mp2", ".mp1"):
        return False
    file.seek(after_tags(file))
    return not file.read(4).startswith(_OTHER_FORMATS)


def find_runs(file: BinaryIO, size: int) -> Iterator[Run]:
    """Find all frames; a frame that two of its kind do not follow is garbage."""
    garbage, start = _MOST_GARBAGE, after_tags(file)
    at = _next_frame(file, start if start < size else 0, garbage)  # no tag is longer
    for _ in range(_MOST_RUNS):
        if at is None:
            return
        run = _walk(file, at, size)
        after = after_tags(file, run.stop)
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


def _is_followed(data: bytes, at: int) -> bool:
    """Return True if a frame begins here that two others of its kind follow."""
    first = header = parse_header(data, at)
    for _ in range(2):
        if header is None or first is None:
            return False
        at += header.length
        header = parse_header(data, at)
        if header is None or header.constant != first.constant:
            return False
    return True


def _walk(file: BinaryIO, start: int, size: int) -> Run:
    """Go from frame to frame, as long as each follows the one before and is complete."""
    file.seek(start)
    first = parse_header(file.read(4))
    if first is None:
        raise ValueError("not a frame header")
    lengths, marks = _Lengths(first), []
    at, last, n_frames = start, start, 0
    while True:
        file.seek(at)
        block, within, before = file.read(_BLOCK_BYTES), 0, n_frames
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
    return Run(first, start, at, last, n_frames, max(lengths.values()), marks)
