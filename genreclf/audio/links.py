"""Files that consist of several, one after the other: chained Ogg, joined FLAC and AAC.

Recorders of radio streams write them, and ``cat`` does. libsndfile reads only the first.
A FLAC that was written into a pipe does not state its length; it is found from the last frame.
Layout: RFC 3533 (Ogg), RFC 9639 (FLAC), ISO/IEC 13818-7 (ADTS).
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, NamedTuple

from genreclf.audio.parts import Part
from genreclf.library.containers import id3_end

_BLOCK = 2**20  # what is read at a time


# --- Ogg -------------------------------------------------------------------------------------

_FIRST_PAGE = 2  # flag of the page that begins a stream
_LONGEST_PAGE_HEADER = 27 + 255


def ogg_links(path: Path) -> list[tuple[int, int]]:
    """Return where each link of a chain starts and stops.

    Most Ogg files have one link; other files have none. A link begins where a stream begins after
    pages of other streams. Several streams that begin together (sound and pictures) are one link.
    """
    starts, after_others = [], True
    with path.open("rb") as file:
        for at, flags in _pages(file):
            begins = bool(flags & _FIRST_PAGE)
            if begins and after_others:
                starts.append(at)
            after_others = not begins
        stop = file.seek(0, 2)
    return [*pairwise([*starts, stop])]


def _pages(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the place and the flags of each page."""
    if file.read(4) != b"OggS":
        return
    at = base = 0
    block = b""
    while True:
        if at + _LONGEST_PAGE_HEADER > base + len(block):
            base = at
            file.seek(base)
            block = file.read(_BLOCK)
        within = at - base
        if block[within : within + 4] == b"OggS" and len(block) >= within + 27:
            yield at, block[within + 5]
            segments = block[within + 27 : within + 27 + block[within + 26]]
            at += 27 + len(segments) + sum(segments)
        else:
            found = block.find(b"OggS", within + 1)
            if found < 0 and len(block) < _BLOCK:
                return
            at = base + (found if found >= 0 else len(block) - 3)


# --- AAC -------------------------------------------------------------------------------------

_ADTS_HEADER_SIZE = 7


def adts_links(path: Path) -> list[tuple[int, int]]:
    """Return where each stretch of an AAC (ADTS) starts and stops; none if it is no such file.

    A stretch ends where the sample rate, the number of channels or the profile changes.
    """
    starts: list[int] = []
    current = b""
    with path.open("rb") as file:
        frames = _adts_frames(file, id3_end(file))
        for (at, stop, kind), (following, _, same) in pairwise(frames):
            # Only where a frame of the same kind follows; garbage may look like a single frame.
            if kind != current and kind == same and stop == following:
                starts.append(at)
                current = kind
        end = file.seek(0, 2)
    return [*pairwise([*starts, end])]


def _adts_frames(file: BinaryIO, at: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield where each frame starts and stops, and the bits that tell what kind it is."""
    file.seek(at)
    if not _is_adts(file.read(2)):
        return
    base, block = at, b""
    while True:
        if at + _ADTS_HEADER_SIZE > base + len(block):
            base = at
            file.seek(base)
            block = file.read(_BLOCK)
            if len(block) < _ADTS_HEADER_SIZE:
                return
        within = at - base
        head = block[within : within + _ADTS_HEADER_SIZE]
        size = int.from_bytes(head[3:6]) >> 5 & 0x1FFF
        if _is_adts(head) and size >= _ADTS_HEADER_SIZE:
            yield at, at + size, bytes((head[1] & 8, head[2] & 0xFD, head[3] & 0xC0))
            at += size
        else:
            found = block.find(b"\xff", within + 1)
            at = base + (found if found >= 0 else len(block))


def _is_adts(head: bytes) -> bool:
    return head[:1] == b"\xff" and head[1] & 0xF6 == 0xF0


# --- FLAC ------------------------------------------------------------------------------------

_STREAM_INFO = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_HEADER_SIZE = 4 + 4 + 34
_FRAME = re.compile(rb"\xff[\xf8\xf9]")
_N_PROBES = 8
_LONGEST_WINDOW = 2**22


class FlacLink(NamedTuple):
    """One FLAC file in a file.

    Attributes
    ----------
    parts : list of Part
        What to give libsndfile to read, with a header that states the length.
    last_block : int or None
        First sample of the last block, if the header in the file does not state the length. Then
        that block may be incomplete.
    shorter : list of Part or None
        The link without its last block.
    """

    parts: list[Part]
    last_block: int | None = None
    shorter: list[Part] | None = None


class _Info(NamedTuple):
    """What STREAMINFO says."""

    block_size: int
    sample_rate_hz: int
    channels: int
    n_samples: int
    frame_size: int  # bytes that no frame exceeds


class _Frame(NamedTuple):
    """Where a frame is in the file, and the samples that it holds."""

    at: int
    start: int
    stop: int


def flac_links(path: Path) -> list[FlacLink]:
    """Return the links of a FLAC that libsndfile would not read to the end; otherwise nothing.

    The whole file is searched only if the number of its last frame, or of some in between, is not
    what the header leads to expect.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        start = id3_end(file)
        info = _info(file, start)
        if info is None or _is_one(file, info, start, size):
            return []
        starts = _magics(file, start)
        links = [
            _link(file, at, stop) for at, stop in zip(starts, [*starts[1:], size], strict=True)
        ]
    if len(links) == 1 and links[0].last_block is None:
        return []
    return links


def _info(file: BinaryIO, at: int) -> _Info | None:
    file.seek(at)
    head = file.read(_HEADER_SIZE)
    if len(head) < _HEADER_SIZE or not _STREAM_INFO.match(head):
        return None
    block_size = int.from_bytes(head[10:12])
    packed = int.from_bytes(head[18:26])  # 20 + 3 + 5 + 36 bits
    channels, bits = (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    frame_size = block_size * channels * (bits + 1) // 8 + 64
    return _Info(block_size, packed >> 44, channels, packed & (2**36 - 1), frame_size)


def _is_one(file: BinaryIO, info: _Info, start: int, size: int) -> bool:
    """Tell whether a FLAC is one file whose frames end at the length in its header."""
    last = _last_frame(file, info, start, size)
    if last is None:
        return True
    if last.stop != info.n_samples:
        return False
    window, before = 2 * info.frame_size, -1
    for i in range(1, _N_PROBES):
        at = start + (size - start) * i // _N_PROBES
        frame = next(iter(_frames(file, info, at, at + window)), None)
        if frame is not None:
            if frame.start < before:
                return False
            before = frame.start
    return True


def _magics(file: BinaryIO, start: int) -> list[int]:
    """Find all places where a FLAC file begins."""
    found, at = [], start
    while True:
        file.seek(at)
        block = file.read(_BLOCK + _HEADER_SIZE)
        found += [at + match.start() for match in _STREAM_INFO.finditer(block)]
        if len(block) < _BLOCK + _HEADER_SIZE:
            return sorted(set(found))
        at += _BLOCK


def _link(file: BinaryIO, start: int, stop: int) -> FlacLink:
    info = _info(file, start)
    last = info and _last_frame(file, info, start, stop)
    if info is None or last is None or info.n_samples >= last.stop:
        return FlacLink([(start, stop)])
    rest = start + _HEADER_SIZE, stop
    complete: list[Part] = [_with_length(file, start, last.stop), rest]
    shorter: list[Part] = [_with_length(file, start, last.start), rest]
    return FlacLink(complete, last.start, shorter)


def _with_length(file: BinaryIO, start: int, n_samples: int) -> bytes:
    file.seek(start)
    head = bytearray(file.read(_HEADER_SIZE))
    packed = int.from_bytes(head[18:26]) >> 36 << 36 | n_samples
    head[18:26] = packed.to_bytes(8)
    return bytes(head)


def _last_frame(file: BinaryIO, info: _Info, start: int, stop: int) -> _Frame | None:
    """Find the last frame that follows another one, or the only frame."""
    window = min(3 * info.frame_size + 2**16, _LONGEST_WINDOW)
    frames = _frames(file, info, max(start, stop - window), stop)
    stops = {frame.stop for frame in frames}
    following = [frame for frame in frames if frame.start in stops]
    return (following or frames)[-1] if frames else None


def _frames(file: BinaryIO, info: _Info, start: int, stop: int) -> list[_Frame]:
    """Find all bytes that look like the header of a frame and have the right checksum."""
    file.seek(start)
    data = file.read(stop - start)
    found = []
    for match in _FRAME.finditer(data):
        head = data[match.start() : match.start() + 16]
        numbers = _parse(head, info) if len(head) >= 6 else None
        if numbers is not None:
            found.append(_Frame(start + match.start(), *numbers))
    return found


def _parse(head: bytes, info: _Info) -> tuple[int, int] | None:
    """Read the first sample of a frame, and the one after its last, from its header."""
    size_code, rate_code = head[2] >> 4, head[2] & 15
    if size_code == 0 or rate_code == 15 or head[3] >> 4 > 10 or head[3] & 1:
        return None
    number_size = 8 - (head[4] ^ 0xFF).bit_length()  # as in UTF-8
    if number_size in (1, 8):
        return None
    number = head[4] & 0x7F >> number_size
    for byte in head[5 : 4 + (number_size or 1)]:
        if byte >> 6 != 2:
            return None
        number = number << 6 | byte & 0x3F
    at = 4 + (number_size or 1)
    told = {6: 1, 7: 2}.get(size_code, 0)
    size = _block_size(size_code, int.from_bytes(head[at : at + told]))
    at += told + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if at >= len(head) or _checksum(head[:at]) != head[at]:
        return None
    start = number if head[1] & 1 else number * info.block_size
    return start, start + size


def _block_size(code: int, told: int) -> int:
    if code == 1:
        return 192
    if code < 6:
        return 576 << code - 2
    return told + 1 if code < 8 else 256 << code - 8


def _checksum(data: bytes) -> int:
    """CRC-8 with the polynomial x^8 + x^2 + x + 1."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value << 1 ^ (0x107 if value & 0x80 else 0)
    return value
