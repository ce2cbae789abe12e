"""What libsndfile does not know or takes long to find in mp3 files.

Their lengths: a variable-rate mp3 says its length in a Xing (or Info, or VBRI) frame at its
start. Without one, libsndfile guesses from the first frame's bit rate, may be wrong by any factor,
and then reads no further than its guess. Walking from frame header to frame header gives the true
count; with a Xing frame that tells it put in front, the same bytes decode and seek as they should.

Their middles: nothing but that walk leads to a sample, and libmpg123 takes 1.3 µs a frame for it,
a tenth of a second for half an hour. Here it is a fifth of that, and libsndfile is given only what
it is to decode. Header layout: ISO/IEC 11172-3 and 13818-3; Xing frame: as LAME and libmpg123 have
it.
"""

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["with_true_length", "without_what_precedes"]

# Bit rates of layer III in kbit/s, by index; index 0 (free format) and 15 are not walked.
_MPEG1_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_HZ = (44_100, 48_000, 32_000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # version bits: MPEG 1, 2 and 2.5 halve the rates once and twice
_LARGEST_FILE = 2**29  # what gets a frame in front has to be held in memory
_LARGEST_GAP = 2**16  # of zeros or garbage, before the first frame
_BLOCK = 2**18  # what is walked is read in such parts, so that long files need no more memory
# libmpg123 decodes four frames in vain after a seek.
_FRAMES_BEFORE = 8
# Samples lie later than their number says, by the delays that the first frame tells to drop: up
# to 4,095 and the decoder's own 529, which is nine frames of MPEG 2.
_FRAMES_AFTER = 16


class _Header(NamedTuple):
    """What four bytes at the start of a frame say."""

    length: int
    bit_rate: int
    samples: int
    side_information: int
    constant: int  # the bits that do not change within a stream, and whether it is mono


class _Start(NamedTuple):
    """The first frame: where it is in the file, what comes before it, and what is in it."""

    at: int
    gap: int  # bytes between an ID3v2 tag, or the file's beginning, and the frame
    frame: bytes
    header: _Header


class _Lengths(dict[bytes, int]):
    """From a frame's four bytes to its length, or to 0 if it is none of the same stream.

    Each four are parsed once; a stream has some hundreds.
    """

    def __init__(self, first: _Header) -> None:
        self._constant = first.constant

    def __missing__(self, head: bytes) -> int:
        header = _parse(head, 0)
        self[head] = header.length if header and header.constant == self._constant else 0
        return self[head]


def with_true_length(path: Path) -> bytes | None:
    """Return the mp3 with a frame in front that tells its length.

    Returns
    -------
    bytes or None
        None where the file itself will do: no mp3, or its length is told, or its bit rate is
        constant.
    """
    with path.open("rb") as file:
        if not file.read(3).startswith((b"ID3", b"\xff")) and path.suffix.lower() != ".mp3":
            return None
        first = _find_start(file)
        if first is None or _tells_length(first.frame) or path.stat().st_size > _LARGEST_FILE:
            return None
        lengths = _Lengths(first.header)
        _, n_frames = _walk(file, first.at, None, lengths)
        rates = {head[2] >> 4 for head, length in lengths.items() if length}
        if len(rates) == 1 and first.gap == 0:
            return None
        file.seek(first.at)
        stream = file.read()
    return _xing_frame(first.frame, n_frames, len(stream)) + stream


def without_what_precedes(mp3: BinaryIO, start: int, stop: int) -> tuple[bytes, int] | None:
    """Return the part of an mp3 that the samples from start to stop are decoded from.

    Frames are left out between the first two and these samples. The first one tells a delay,
    which so shifts these samples as it shifts those of the whole file; the second is the first
    to be decoded, and what that leaves in the decoder is heard, if only in the last bit.

    Returns
    -------
    stream : bytes
        Decodes bit for bit as the file does.
    n_dropped : int
        Sample n of the file is sample n - n_dropped of the stream.

    or None where that is not certain: what stands before the samples is not frame after frame of
    one kind, or there is little or nothing to leave out.
    """
    first = _find_start(mp3)
    if first is None or first.gap:
        return None
    n_dropped = start // first.header.samples - _FRAMES_BEFORE
    n_kept = stop // first.header.samples + _FRAMES_AFTER - n_dropped
    if n_dropped <= 0:
        return None
    at, pieces, lengths = first.at, [], _Lengths(first.header)
    for n_frames, kept in ((2, True), (n_dropped, False), (n_kept, True)):
        end, n_walked = _walk(mp3, at, n_frames, lengths)
        if n_walked < n_frames:
            return None
        if kept:
            mp3.seek(at)
            pieces.append(mp3.read(end - at))
        at = end
    return b"".join(pieces), n_dropped * first.header.samples


def _find_start(file: BinaryIO) -> _Start | None:
    file.seek(0)
    tag = _after_id3(file.read(10))
    file.seek(tag)
    beginning = file.read(_LARGEST_GAP + 4096)
    gap = _first_frame(beginning)
    if gap is None:
        return None
    header = _parse(beginning, gap)
    return header and _Start(tag + gap, gap, beginning[gap : gap + header.length], header)


def _after_id3(beginning: bytes) -> int:
    """Return where an ID3v2 tag ends."""
    if beginning[:3] != b"ID3" or len(beginning) < 10:
        return 0
    if max(beginning[3], *beginning[6:10]) > 0x7F:  # libmpg123 does not take it for a tag
        return 0
    size = 0
    for byte in beginning[6:10]:
        size = size << 7 | byte
    return size + (20 if beginning[5] & 0x10 else 10)


def _first_frame(data: bytes) -> int | None:
    """Find a frame header that two others follow, at once or after zeros or garbage."""
    at = data.find(b"\xff")
    while 0 <= at < _LARGEST_GAP:
        header = _parse(data, at)
        if header is not None and _followed(data, at, header):
            return at
        at = data.find(b"\xff", at + 1)
    return None


def _followed(data: bytes, at: int, header: _Header) -> bool:
    for _ in range(2):
        at += header.length
        following = _parse(data, at)
        if following is None or following.constant != header.constant:
            return False
        header = following
    return True


def _parse(data: bytes, at: int) -> _Header | None:
    """Read a layer III frame header, or None if there is none."""
    if at + 4 > len(data):
        return None
    word = int.from_bytes(data[at : at + 4])
    version, layer = word >> 19 & 3, word >> 17 & 3
    rate, frequency = word >> 12 & 15, word >> 10 & 3
    if word >> 21 != 0x7FF or version == 1 or layer != 1 or rate in (0, 15) or frequency == 3:
        return None
    mpeg1 = version == 3
    bit_rate = (_MPEG1_KBPS if mpeg1 else _MPEG2_KBPS)[rate] * 1000
    hz = _MPEG1_HZ[frequency] >> _HALVINGS[version]
    samples = 1152 if mpeg1 else 576
    mono = word >> 6 & 3 == 3
    side = (17 if mono else 32) if mpeg1 else (9 if mono else 17)
    length = samples // 8 * bit_rate // hz + (word >> 9 & 1)
    return _Header(length, bit_rate, samples, side, word & 0xFFFE_0C00 | mono)


def _tells_length(frame: bytes) -> bool:
    return any(mark in frame[:200] for mark in (b"Xing", b"Info", b"VBRI"))


def _walk(file: BinaryIO, at: int, at_most: int | None, lengths: _Lengths) -> tuple[int, int]:
    """Go from header to header; return where that ends, and after how many frames."""
    n_frames = 0
    while n_frames != at_most:
        file.seek(at)
        block, within, before = file.read(_BLOCK), 0, n_frames
        while n_frames != at_most and (length := lengths[block[within : within + 4]]):
            within += length
            n_frames += 1
        if n_frames == before:
            break
        at += within
    return at, n_frames


def _xing_frame(header: bytes, n_frames: int, n_bytes: int) -> bytes:
    """Make an empty frame of the stream's kind that tells how many frames follow."""
    # A middling bit rate (index 9), no padding, no checksum: room for what is to be told.
    head = bytes((header[0], header[1] | 1, 9 << 4 | header[2] & 0x0C, header[3]))
    parsed = _parse(head, 0)
    if parsed is None:
        raise ValueError("not a frame header")
    told = b"Xing" + struct.pack(">III", 3, n_frames, n_bytes + parsed.length)
    return (head + bytes(parsed.side_information) + told).ljust(parsed.length, b"\0")
