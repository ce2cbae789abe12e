"""The kind of a file, and where its tags are.

Some containers have a place for tags (WAV, AIFF, MP4, Ogg, ASF). Other files are a bare stream with
tags around it: ID3v2 in front; APEv2, Lyrics3 and ID3v1 behind, in any order and number.
"""

import os
from collections.abc import Iterator
from typing import BinaryIO, Literal, NamedTuple

_MAGICS = (
    (b"fLaC", "flac"), (b"TTA1", "mp3"), (b"ADIF", "aac"),
    *((magic, "ape") for magic in (b"MAC ", b"wvpk", b"MPCK", b"MP+", b"OFR ", b"tBaK")),
)  # fmt: skip
_CONTAINERS = (
    (0, b"OggS", "ogg"), (4, b"ftyp", "mp4"), (0, b"DSD ", "dsf"),
    (0, bytes.fromhex("3026b2758e66cf11"), "asf"), (8, b"WAVE", "wav"), (8, b"AIF", "aiff"),
)  # fmt: skip
_FORMS = {"wav": (b"RIFF", b"RF64", b"BW64"), "aiff": (b"FORM",)}
_MOST_CHUNKS = 1000  # more than any program writes
_MOST_TAGS = 10  # on one side of a stream
_LONGEST_LYRICS3V1 = 5120
ID3V1_BYTES = 128
APE_FOOTER_BYTES = 32


class Span(NamedTuple):
    """A part of a file, in bytes."""

    start: int
    stop: int


class Chunk(NamedTuple):
    """A chunk of a WAV or AIFF file: its name, and the place and size of its content."""

    name: bytes
    start: int
    size: int


def kind_of(file: BinaryIO, suffix: str = "") -> str:
    """Tell the kind of a file by its first bytes.

    Returns
    -------
    str
        "mp3" (also TTA, and other streams behind an ID3v2 tag), "aac" (ADTS and ADIF), "ape" (all
        formats with APEv2 tags), "flac", "ogg", "mp4", "asf", "wav", "aiff", "dsf", or "" for
        others.
    """
    start = id3_end(file)
    file.seek(start)
    head = file.read(16)
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    for at, magic, kind in _CONTAINERS:
        if start == 0 and head.startswith(magic, at) and head.startswith(_FORMS.get(kind, b"")):
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:  # layer 0 is none of MPEG's
        return "aac"
    is_mp3 = start > 0 or (len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0)
    return "mp3" if is_mp3 or suffix.lower() == ".mp3" else ""


def id3_end(file: BinaryIO) -> int:
    """Return where the ID3v2 tags in front of a stream end; 0 if there are none."""
    end = 0
    for _ in range(_MOST_TAGS):
        after = after_id3(file, end)
        if after == end:
            break
        end = after
    return end


def after_id3(file: BinaryIO, at: int) -> int:
    """Return where the ID3v2 tag that begins here ends; the same place if there is none."""
    file.seek(at)
    head = file.read(10)
    # With other bytes, libmpg123 and FFmpeg do not take it for a tag.
    if len(head) < 10 or head[:3] != b"ID3" or max(head[3], *head[6:]) > 0x7F:
        return at
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return at + size + (20 if head[5] & 0x10 else 10)


def tags_behind(file: BinaryIO) -> dict[str, Span]:
    """Find the tags behind a stream: the last "id3v1", "ape" and "lyrics3", where there is one."""
    found: dict[str, Span] = {}
    end = file.seek(0, os.SEEK_END)
    for _ in range(_MOST_TAGS):
        for name, start_of in (("id3v1", _id3v1), ("ape", _ape), ("lyrics3", _lyrics3)):
            start = start_of(file, end)
            if start is not None:
                found.setdefault(name, Span(start, end))
                end = start
                break
        else:
            break
    return found


def bare_stream(file: BinaryIO) -> Span:
    """Return the part between the tags in front of a stream and those behind it."""
    starts = [span.start for span in tags_behind(file).values()]
    return Span(id3_end(file), min(starts, default=file.seek(0, os.SEEK_END)))


def _before(file: BinaryIO, end: int, size: int) -> bytes:
    file.seek(max(end - size, 0))
    return file.read(min(size, end))


def _id3v1(file: BinaryIO, end: int) -> int | None:
    last = _before(file, end, ID3V1_BYTES + 3)
    # The name APETAGEX has a TAG in it.
    return end - ID3V1_BYTES if last[3:6] == b"TAG" and last[:3] != b"APE" else None


def _ape(file: BinaryIO, end: int) -> int | None:
    footer = _before(file, end, APE_FOOTER_BYTES)
    if not footer.startswith(b"APETAGEX") or len(footer) < APE_FOOTER_BYTES:
        return None
    start = end - int.from_bytes(footer[12:16], "little")
    if footer[23] & 0x80:  # has a header too, which the size leaves out
        start -= APE_FOOTER_BYTES
        file.seek(max(start, 0))
        if file.read(8) != b"APETAGEX":
            return None
    return start if 0 <= start <= end - APE_FOOTER_BYTES else None


def _lyrics3(file: BinaryIO, end: int) -> int | None:
    last = _before(file, end, 15)
    if last.endswith(b"LYRICS200") and last[:6].isdigit():
        start = end - 15 - int(last[:6])
        return start if start >= 0 and _before(file, start + 11, 11) == b"LYRICSBEGIN" else None
    if last.endswith(b"LYRICSEND"):
        text = _before(file, end, _LONGEST_LYRICS3V1)
        at = text.rfind(b"LYRICSBEGIN")
        return end - len(text) + at if at >= 0 else None
    return None


def chunks(file: BinaryIO) -> Iterator[Chunk]:
    """Go through the chunks of a WAV or AIFF file."""
    file.seek(0)
    order: Literal["big", "little"] = "big" if file.read(4) == b"FORM" else "little"
    at, data_size = 12, 2**32 - 1
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        name, size = head[:4], int.from_bytes(head[4:], order)
        if name == b"ds64":  # of RF64
            data_size = int.from_bytes(file.read(16)[8:], "little")
        elif name == b"data" and size == 2**32 - 1:
            size = data_size
        yield Chunk(name, at + 8, size)
        at += 8 + size + size % 2
