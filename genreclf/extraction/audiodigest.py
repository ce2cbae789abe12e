"""A digest of the audio in a file, which stays the same when the tags change.

Tags, pictures, padding and the place of the audio in the file are left out. Everything else is
digested, so that two files have the same digest only if they decode to the same samples. If a file
does not follow its format, all of it is digested.
"""

import hashlib
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Literal

from genreclf.library.containers import (
    Box,
    DamagedError,
    OggPage,
    asf_objects,
    atoms,
    chunks,
    flac_blocks,
    kind_of,
    ogg_pages,
)
from genreclf.library.streamtags import Span, bare_stream, id3_end, read_at

_BLOCK_BYTES = 2**18
_Part = bytes | Span

_FLAC_TAGS = {1, 2, 4, 6}  # blocks of padding, of applications, Vorbis comments and pictures
_VORBIS_COMMENT, _PICTURE = 4, 6
_CHUNKS_OF_TAGS = {b"id3 ", b"ID3 ", b"NAME", b"AUTH", b"(c) ", b"ANNO"}
_OGG_HEADERS = ((b"\x01vorbis", 3), (b"OpusHead", 2))
_OGG_FLAC = b"\x7fFLAC"
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
# The way down to the tables of samples.
_MP4_CHILD = {b"moov": b"trak", b"trak": b"mdia", b"mdia": b"minf", b"minf": b"stbl"}
_MP4_SPACE = {b"free", b"skip", b"wide"}
_MP4_OFFSETS = {b"stco": 4, b"co64": 8}  # bytes of each
# Objects of ASF: the header and its extension, with the number of bytes before the objects in
# them; then the objects for tags and padding.
_ASF_PARENTS = {
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): 30,
    bytes.fromhex("b503bf5f2ea9cf118ee300c00c205365"): 46,
}
_ASF_TAGS = {
    bytes.fromhex(guid)
    for guid in (
        "3326b2758e66cf11a6d900aa0062ce6c", "40a4d0d207e3d21197f000a0c95ea850",
        "eacbf8c5af5b77488467aa8c44fa4cca", "941c23449894d149a1411d134e457054",
        "74d40618dfca0945a4ba9aabcb96aae8",
    )
}  # fmt: skip
# The only tag that changes decoding: the number of samples that the encoder added.
_GAPLESS = re.compile(b"iTunSMPB.{61}", re.DOTALL)


def audio_digest(path: Path) -> bytes:
    """Return the SHA-256 of the audio in a file and of the headers that decoders need.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        kind = kind_of(file, path.suffix)
        try:
            return _digest(file, kind, _PARTS.get(kind, _whole)(file))
        except DamagedError:
            return _digest(file, "whole", _whole(file))


def _digest(file: BinaryIO, kind: str, parts: Iterable[_Part]) -> bytes:
    hasher = hashlib.sha256(kind.encode())
    for part in parts:
        size = len(part) if isinstance(part, bytes) else part.stop - part.start
        hasher.update(size.to_bytes(8))  # so that different parts never give the same bytes
        if isinstance(part, bytes):
            hasher.update(part)
            continue
        file.seek(part.start)
        while size and (block := file.read(min(size, _BLOCK_BYTES))):
            hasher.update(block)
            size -= len(block)
    return hasher.digest()


def _require(is_intact: bool) -> None:
    if not is_intact:
        raise DamagedError


def _size(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_END)


def _content(file: BinaryIO, box: Box) -> bytes:
    return read_at(file, box.body, box.size)


def _whole(file: BinaryIO) -> Iterator[_Part]:
    yield Span(0, _size(file))


def _stream(file: BinaryIO) -> Iterator[_Part]:
    span = bare_stream(file)
    _require(span.start < span.stop)
    yield span


def _mp3(file: BinaryIO) -> Iterator[_Part]:
    head = read_at(file, id3_end(file), 4)
    is_frame = head[:1] == b"\xff" and head[1:2] >= b"\xe0"
    _require(is_frame or head == b"TTA1")  # otherwise the size of a tag is wrong
    yield from _stream(file)


def _flac(file: BinaryIO) -> Iterator[_Part]:
    span = bare_stream(file)
    at = span.start
    for block in flac_blocks(file, span.start):
        if block.name[0] in _FLAC_TAGS:
            _require_lengths(block.name[0], _content(file, block))
        else:
            yield block.name + _content(file, block)
        at = block.stop
    sync = read_at(file, at, 2)
    _require(sync in (b"\xff\xf8", b"\xff\xf9") and at < span.stop)
    yield Span(at, span.stop)


def _require_lengths(kind: int, block: bytes) -> None:
    """Require that the lengths in Vorbis comments and pictures fit exactly, as libFLAC does."""

    def behind_text(at: int) -> int:
        return at + 4 + int.from_bytes(block[at : at + 4], order)

    order: Literal["big", "little"] = "big" if kind == _PICTURE else "little"
    if kind == _PICTURE:  # type, MIME type, description, four numbers, the picture
        _require(behind_text(behind_text(behind_text(4)) + 16) == len(block))
    elif kind == _VORBIS_COMMENT:  # the name of the encoder, and a number of comments
        at = behind_text(0)
        n_comments, at = int.from_bytes(block[at : at + 4], order), at + 4
        while n_comments and at < len(block):
            n_comments, at = n_comments - 1, behind_text(at)
        _require(n_comments == 0 and at == len(block))


def _chunked(file: BinaryIO) -> Iterator[_Part]:
    end = at = _size(file)
    _require(read_at(file, 0, 4) in (b"RIFF", b"FORM"))
    yield read_at(file, 8, 4)
    for chunk in chunks(file):
        at = chunk.stop
        # Audio that states no size continues to the end of the file: no tags are behind it.
        _require(at <= end and not (chunk.name in (b"data", b"SSND") and chunk.size == 0))
        is_info = chunk.name == b"LIST" and read_at(file, chunk.body, 4) == b"INFO"
        if chunk.name not in _CHUNKS_OF_TAGS and not is_info:
            yield chunk.name
            yield Span(chunk.body, at)
    _require(end - at < 8)


def _ogg(file: BinaryIO) -> Iterator[_Part]:
    pages = _intact_pages(file)
    first, *others = _ogg_headers(pages)
    if first.startswith(_OGG_FLAC):
        yield first[9:]  # behind the number of headers
        yield from (block for block in others if not block or block[0] & 0x7F not in _FLAC_TAGS)
    else:
        yield first
        yield from others[1:]
    for page, body in pages:
        yield page.header[4:18]  # version, flags, position and stream; not number and checksum
        yield page.lengths
        yield body


def _intact_pages(file: BinaryIO) -> Iterator[tuple[OggPage, bytes]]:
    """Yield the pages; each has to be complete, and the next one of its stream."""
    numbers: dict[bytes, int] = {}
    stop = 0
    for page in ogg_pages(file):
        header, body = page.header, read_at(file, page.body, sum(page.lengths))
        unchecked = header[:22] + bytes(4) + header[26:] + page.lengths + body
        _require(_ogg_checksum(unchecked) == int.from_bytes(header[22:26], "little"))
        stream, number = header[14:18], int.from_bytes(header[18:22], "little")
        _require(page.start == stop and number == numbers.get(stream, number))
        numbers[stream], stop = number + 1, page.stop
        yield page, body
    _require(stop == _size(file))


def _ogg_checksum(page: bytes) -> int:
    """Return the checksum of Ogg, which is that of zip files with all bits in reverse order."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 2**32 - 1) ^ (2**32 - 1)
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED))


def _ogg_headers(pages: Iterator[tuple[OggPage, bytes]]) -> list[bytes]:
    """Return the packets before the audio, which begins on a new page."""
    packets: list[bytes] = []
    packet, n_headers, stream = bytearray(), 1, None
    for page, body in pages:
        stream = stream or page.header[14:18]
        _require(page.header[14:18] == stream)
        at = 0
        for length in page.lengths:
            packet += body[at : at + length]
            at += length
            if length < 255:
                packets.append(bytes(packet))
                packet.clear()
        if packets and n_headers == 1:
            n_headers = _n_ogg_headers(packets[0])
        _require(len(packets) <= n_headers)
        if len(packets) == n_headers and not packet:
            return packets
    raise DamagedError


def _n_ogg_headers(first: bytes) -> int:
    if first.startswith(_OGG_FLAC):
        n_others = int.from_bytes(first[7:9])
        _require(n_others > 0)  # 0 stands for an unknown number
        return 1 + n_others
    known = [n for magic, n in _OGG_HEADERS if first.startswith(magic)]
    _require(bool(known))
    return known[0]


def _mp4(file: BinaryIO) -> Iterator[_Part]:
    top = list(atoms(file, 0, _size(file)))
    media = [atom for atom in top if atom.name == b"mdat"]
    _require(len(media) == 1 and not any(atom.name == b"moof" for atom in top))
    for atom in top:
        if atom.name == b"moov":
            yield from _movie(file, atom, media[0].start)
        elif atom.name not in _MP4_SPACE:
            yield Span(atom.start, atom.stop)


def _movie(file: BinaryIO, parent: Box, media_start: int) -> Iterator[_Part]:
    """Yield the parts of a movie, with offsets counted from where the media data begin."""
    yield parent.name
    for atom in atoms(file, parent.body, parent.stop):
        if atom.name == _MP4_CHILD.get(parent.name):
            yield from _movie(file, atom, media_start)
        elif atom.name == b"udta":
            yield from _GAPLESS.findall(_content(file, atom))
        elif atom.name in _MP4_OFFSETS:
            yield from _offsets(_content(file, atom), _MP4_OFFSETS[atom.name], media_start)
        elif atom.name not in _MP4_SPACE:
            yield Span(atom.start, atom.stop)
    yield b""  # the end of the parent


def _offsets(table: bytes, n_bytes: int, media_start: int) -> Iterator[bytes]:
    _require(len(table) % n_bytes == 0)
    yield table[:8]
    for at in range(8, len(table), n_bytes):
        offset = int.from_bytes(table[at : at + n_bytes]) - media_start
        yield offset.to_bytes(8, signed=True)


def _asf(file: BinaryIO) -> Iterator[_Part]:
    yield from _asf_parts(file, 0, _size(file), depth=0)


def _asf_parts(file: BinaryIO, start: int, stop: int, depth: int) -> Iterator[_Part]:
    for box in asf_objects(file, start, stop):
        if box.name in _ASF_PARENTS and depth < 2:
            yield box.name
            yield from _asf_parts(file, box.start + _ASF_PARENTS[box.name], box.stop, depth + 1)
        elif box.name not in _ASF_TAGS:
            yield Span(box.start, box.stop)


_PARTS: Mapping[str, Callable[[BinaryIO], Iterator[_Part]]] = {
    "mp3": _mp3,
    "aac": _stream,
    "ape": _stream,
    "flac": _flac,
    "wav": _chunked,
    "aiff": _chunked,
    "ogg": _ogg,
    "mp4": _mp4,
    "asf": _asf,
}
