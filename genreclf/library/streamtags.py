"""Find tags around a bare stream: ID3v2 in front; APEv2, Lyrics3 and ID3v1 behind, in any order."""

import os
from pathlib import Path
from typing import BinaryIO, NamedTuple

_MOST_TAGS = 10  # of one kind on one side of a stream
_MOST_TAGS_IN_FRONT = 1000
_LONGEST_LYRICS3V1 = 5120
ID3V1_BYTES = 128
APE_FOOTER_BYTES = 32


class Span(NamedTuple):
    """A part of a file, in bytes."""

    start: int
    stop: int


def read_at(file: BinaryIO, start: int, size: int) -> bytes:
    """Read bytes at a place of a file."""
    file.seek(start)
    return file.read(size)


def splice(path: Path, span: Span, new: bytes) -> None:
    """Replace a part of a file by other bytes."""
    import shutil  # only writing needs them, and every command imports this module
    import tempfile

    with path.open("r+b") as file, tempfile.TemporaryFile(dir=path.parent) as rest:
        if len(new) != span.stop - span.start:
            file.seek(span.stop)
            shutil.copyfileobj(file, rest)
            rest.seek(0)
        file.seek(span.start)
        file.write(new)
        if len(new) != span.stop - span.start:
            shutil.copyfileobj(rest, file)
            file.truncate()


def id3_end(file: BinaryIO) -> int:
    """Return where the ID3v2 tags in front of a stream end; 0 if there are none."""
    end = 0
    for _ in range(_MOST_TAGS):
        end = after_id3(file, end)
    return end


def after_id3(file: BinaryIO, at: int) -> int:
    """Return where the ID3v2 tag that begins here ends; the same place if there is none."""
    head = read_at(file, at, 10)
    # With other bytes, libmpg123 and FFmpeg do not take it for a tag.
    if len(head) < 10 or head[:3] != b"ID3" or max(head[3], *head[6:]) > 0x7F:
        return at
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return at + size + (20 if head[5] & 0x10 else 10)


def after_tags(file: BinaryIO, at: int = 0) -> int:
    """Return where the tags of any kind that begin here end; several may follow each other."""
    for _ in range(_MOST_TAGS_IN_FRONT):
        head = read_at(file, at, APE_FOOTER_BYTES)
        if head.startswith(b"TAG"):
            after = at + (227 if head[3:4] == b"+" else ID3V1_BYTES)
        elif head.startswith(b"APETAGEX") and len(head) == APE_FOOTER_BYTES and head[23] & 0x20:
            after = at + APE_FOOTER_BYTES + int.from_bytes(head[12:16], "little")
        else:
            after = after_id3(file, at)
        if after == at:
            break
        at = after
    return at


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


def read_behind(path: Path, name: str) -> bytes:
    """Return the bytes of a tag behind a stream; nothing if there is none of this name."""
    with path.open("rb") as file:
        span = tags_behind(file).get(name, Span(0, 0))
        return read_at(file, span.start, span.stop - span.start)


def bare_stream(file: BinaryIO) -> Span:
    """Return the part between the tags in front of a stream and those behind it."""
    starts = [span.start for span in tags_behind(file).values()]
    return Span(id3_end(file), min(starts, default=file.seek(0, os.SEEK_END)))


def _before(file: BinaryIO, end: int, size: int) -> bytes:
    return read_at(file, max(end - size, 0), min(size, end))


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
        if read_at(file, max(start, 0), 8) != b"APETAGEX":
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
