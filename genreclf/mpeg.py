"""The true length of mp3 files whose header does not tell it.

A variable-rate mp3 says its length in a Xing (or Info, or VBRI) frame at its start. Without one,
libsndfile guesses from the first frame's bit rate, may be wrong by any factor, and then reads no
further than its guess. Walking from frame header to frame header gives the true count in some
milliseconds; with a Xing frame that tells it put in front, the same bytes decode and seek as they
should. Header layout: ISO/IEC 11172-3 and 13818-3; Xing frame: as LAME and libmpg123 have it.
"""

import io
import struct
from pathlib import Path
from typing import NamedTuple

__all__ = ["with_true_length"]

# Bit rates of layer III in kbit/s, by index; index 0 (free format) and 15 are not walked.
_MPEG1_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_MPEG1_HZ = (44_100, 48_000, 32_000)
_HALVINGS = {3: 0, 2: 1, 0: 2}  # version bits: MPEG 1, 2 and 2.5 halve the rates once and twice
_LARGEST_FILE = 2**29  # what is walked has to be held in memory
_LARGEST_GAP = 2**16  # of zeros or garbage, before the first frame


class _Header(NamedTuple):
    """What four bytes at the start of a frame say."""

    length: int
    bit_rate: int
    samples: int
    side_information: int
    constant: int  # the bits that do not change within a stream


def with_true_length(path: Path) -> io.BytesIO | None:
    """Return the mp3 with a frame in front that tells its length.

    Returns
    -------
    BytesIO or None
        None where the file itself will do: no mp3, or its length is told, or its bit rate is
        constant.
    """
    with path.open("rb") as file:
        head = file.read(10)
        if not head.startswith((b"ID3", b"\xff")) and path.suffix.lower() != ".mp3":
            return None
        start = _after_id3(head)
        file.seek(start)
        beginning = file.read(_LARGEST_GAP + 4096)
        first = _first_frame(beginning)
        if first is None or path.stat().st_size > _LARGEST_FILE:
            return None
        header = _parse(beginning, first)
        if header is None or _tells_length(beginning[first : first + header.length]):
            return None
        file.seek(start + first)
        stream = file.read()
    n_frames, varies = _walk(stream, header)
    if not varies and first == 0:
        return None
    return io.BytesIO(_xing_frame(stream[:4], n_frames, len(stream)) + stream)


def _after_id3(beginning: bytes) -> int:
    """Return where an ID3v2 tag ends."""
    if beginning[:3] != b"ID3" or len(beginning) < 10:
        return 0
    size = 0
    for byte in beginning[6:10]:
        size = size << 7 | byte & 0x7F
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
    return _Header(length, bit_rate, samples, side, word & 0xFFFE_0C00)


def _tells_length(frame: bytes) -> bool:
    return any(mark in frame[:200] for mark in (b"Xing", b"Info", b"VBRI"))


def _walk(stream: bytes, first: _Header) -> tuple[int, bool]:
    """Count frames from header to header, and tell whether their bit rates vary."""
    n_frames, at, rates = 0, 0, set()
    while (header := _parse(stream, at)) and header.constant == first.constant:
        n_frames += 1
        rates.add(header.bit_rate)
        at += header.length
    return n_frames, len(rates) > 1


def _xing_frame(header: bytes, n_frames: int, n_bytes: int) -> bytes:
    """Make an empty frame of the stream's kind that tells how many frames follow."""
    # A middling bit rate (index 9), no padding, no checksum: room for what is to be told.
    head = bytes((header[0], header[1] | 1, 9 << 4 | header[2] & 0x0C, header[3]))
    parsed = _parse(head, 0)
    if parsed is None:
        raise ValueError("not a frame header")
    told = b"Xing" + struct.pack(">III", 3, n_frames, n_bytes + parsed.length)
    return (head + bytes(parsed.side_information) + told).ljust(parsed.length, b"\0")
