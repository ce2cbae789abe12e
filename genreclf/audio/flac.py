"""Find the parts of a FLAC file (RFC 9639) that libsndfile does not read.

libsndfile reads only the first of several FLAC files that are joined. If a file was written into a
pipe, its header does not state the length, and libsndfile loses the last block.
"""

import re
from pathlib import Path
from typing import BinaryIO, NamedTuple

from genreclf.audio.segments import Segment
from genreclf.audio.sndfile import SndFile
from genreclf.library.containers import BLOCK_BYTES
from genreclf.library.streamtags import id3_end

_STREAM_INFO = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_HEADER_BYTES = 4 + 4 + 34
_SYNC = re.compile(rb"\xff[\xf8\xf9]")
_N_PROBES = 8
_LONGEST_WINDOW = 2**22


class FlacLink(NamedTuple):
    """One FLAC file in a file.

    Attributes
    ----------
    segments : list of Segment
        What to decode, with a header that states the length.
    last_block : int or None
        First sample of the last block, if the header in the file does not state the length. Then
        that block may be incomplete.
    shorter : tuple of Segment
        The link without its last block.
    """

    segments: tuple[Segment, ...]
    last_block: int | None = None
    shorter: tuple[Segment, ...] = ()


class _Info(NamedTuple):
    """The fields of STREAMINFO that are needed."""

    block_size: int
    n_samples: int
    frame_bytes: int  # no frame is longer


class _Frame(NamedTuple):
    """Where a frame is in the file, and the samples that it holds."""

    at: int
    start: int
    stop: int


def open_flac(path: Path, link: FlacLink) -> SndFile:
    """Open a link, without its last block if that is incomplete and no length is stated."""
    file = SndFile(path, link.segments)
    if link.last_block is None or len(file.read(link.last_block, file.info.n_frames)):
        return file
    file.close()
    return SndFile(path, link.shorter)


def flac_links(path: Path) -> list[FlacLink]:
    """Return the links of a FLAC that libsndfile would not read to the end; otherwise nothing.

    The whole file is searched only if the number of its last frame, or of some frames in between,
    contradicts the header.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = id3_end(file)
        info = _info(file, start)
        if info is None or _is_one(file, info, start, size):
            return []
        starts = _find_headers(file, start)
        stops = [*starts[1:], size]
        links = [_link(file, at, stop) for at, stop in zip(starts, stops, strict=True)]
    if len(links) == 1 and links[0].last_block is None:
        return []
    return links


def _info(file: BinaryIO, at: int) -> _Info | None:
    file.seek(at)
    head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or not _STREAM_INFO.match(head):
        return None
    block_size = int.from_bytes(head[10:12])
    packed = int.from_bytes(head[18:26])  # 20 + 3 + 5 + 36 bits
    channels, bits = (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    return _Info(block_size, packed & (2**36 - 1), block_size * channels * (bits + 1) // 8 + 64)


def _is_one(file: BinaryIO, info: _Info, start: int, size: int) -> bool:
    """Return True if a FLAC is one file whose frames end at the length in its header."""
    last = _last_frame(file, info, start, size)
    if last is None:
        return True
    if last.stop != info.n_samples:
        return False
    places = [start + (size - start) * i // _N_PROBES for i in range(1, _N_PROBES)]
    found = [_frames(file, info, at, at + 2 * info.frame_bytes)[:1] for at in places]
    numbers = [frame.start for frames in found for frame in frames]
    return numbers == sorted(numbers)


def _find_headers(file: BinaryIO, start: int) -> list[int]:
    """Find all places where a FLAC file begins."""
    found, at = set(), start
    while True:
        file.seek(at)
        block = file.read(BLOCK_BYTES + _HEADER_BYTES)
        found |= {at + match.start() for match in _STREAM_INFO.finditer(block)}
        if len(block) < BLOCK_BYTES + _HEADER_BYTES:
            return sorted(found)
        at += BLOCK_BYTES


def _link(file: BinaryIO, start: int, stop: int) -> FlacLink:
    info = _info(file, start)
    last = info and _last_frame(file, info, start, stop)
    if info is None or last is None or info.n_samples >= last.stop:
        return FlacLink(((start, stop),))
    file.seek(start)
    head, rest = file.read(_HEADER_BYTES), (start + _HEADER_BYTES, stop)
    complete, shorter = ((_with_length(head, n), rest) for n in (last.stop, last.start))
    return FlacLink(complete, last.start, shorter)


def _with_length(head: bytes, n_samples: int) -> bytes:
    packed = int.from_bytes(head[18:26]) >> 36 << 36 | n_samples
    return head[:18] + packed.to_bytes(8) + head[26:]


def _last_frame(file: BinaryIO, info: _Info, start: int, stop: int) -> _Frame | None:
    """Find the last frame that follows another one, or the only frame."""
    window = min(3 * info.frame_bytes + 2**16, _LONGEST_WINDOW)
    frames = _frames(file, info, max(start, stop - window), stop)
    stops = {frame.stop for frame in frames}
    following = [frame for frame in frames if frame.start in stops]
    return (following or frames)[-1] if frames else None


def _frames(file: BinaryIO, info: _Info, start: int, stop: int) -> list[_Frame]:
    """Find all bytes that look like the header of a frame and have the right checksum."""
    file.seek(start)
    data = file.read(stop - start)
    found = []
    for match in _SYNC.finditer(data):
        samples = _samples_of_frame(data[match.start() : match.start() + 16], info)
        if samples is not None:
            found.append(_Frame(start + match.start(), *samples))
    return found


def _samples_of_frame(head: bytes, info: _Info) -> tuple[int, int] | None:
    """Read the first sample of a frame, and the one after its last, from its header."""
    if len(head) < 6:
        return None
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10 or head[3] & 1:
        return None
    n_bytes = 8 - (head[4] ^ 0xFF).bit_length()  # length of the number, coded as in UTF-8
    if n_bytes in (1, 8) or any(byte >> 6 != 2 for byte in head[5 : 4 + n_bytes]):
        return None
    number = head[4] & 0x7F >> n_bytes
    for byte in head[5 : 4 + n_bytes]:
        number = number << 6 | byte & 0x3F
    at = 4 + (n_bytes or 1)
    size_bytes = {6: 1, 7: 2}.get(size_code, 0)
    size = _block_size(size_code, int.from_bytes(head[at : at + size_bytes]))
    at += size_bytes + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(head) or _checksum(head[:at]) != head[at]:
        return None
    start = number if head[1] & 1 else number * info.block_size
    return start, start + size


def _block_size(code: int, stated: int) -> int:
    if code == 1:
        return 192
    if code < 6:
        return 576 << code - 2
    return stated + 1 if code < 8 else 256 << code - 8


def _checksum(data: bytes) -> int:
    """CRC-8 with the polynomial x^8 + x^2 + x + 1."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value << 1 ^ (0x107 if value & 0x80 else 0)
    return value
