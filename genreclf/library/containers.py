"""Walk through files: their kind, chunks, atoms, objects, blocks, pages and frames.

Layouts: RIFF and AIFF, ISO/IEC 14496-12 (MP4), ASF, RFC 9639 (FLAC), RFC 3533 (Ogg), ISO/IEC
13818-7 (ADTS).
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal, NamedTuple

from genreclf.library.streamtags import id3_end, read_at

BLOCK_BYTES = 2**20

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
_MOST_BOXES = 10_000
_OGG_HEADER_BYTES, _ADTS_HEADER_BYTES = 27, 7


class DamagedError(Exception):
    """A file does not follow its format."""


class Box(NamedTuple):
    """A chunk, atom, object or block: its name, and where it, its content and its end are."""

    name: bytes
    start: int
    body: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self.stop - self.body


def kind_of(file: BinaryIO, suffix: str = "") -> str:
    """Return the kind of a file by its first bytes.

    Returns
    -------
    str
        "mp3" (also TTA, and other streams behind an ID3v2 tag), "aac" (ADTS and ADIF), "ape" (all
        formats with APEv2 tags), "flac", "ogg", "mp4", "asf", "wav", "aiff", "dsf", or "" for
        others.
    """
    start = id3_end(file)
    head = read_at(file, start, 16)
    for magic, kind in _MAGICS:
        if head.startswith(magic):
            return kind
    for at, magic, kind in _CONTAINERS:
        if start == 0 and head.startswith(magic, at) and head.startswith(_FORMS.get(kind, b"")):
            return kind
    if _is_adts(head):
        return "aac"
    is_mp3 = start > 0 or (len(head) > 1 and head[0] == 0xFF and head[1] >= 0xE0)
    return "mp3" if is_mp3 or suffix.lower() == ".mp3" else ""


def chunks(file: BinaryIO) -> Iterator[Box]:
    """Go through the chunks of a WAV or AIFF file; the last one may end behind the file."""
    order: Literal["big", "little"] = "big" if read_at(file, 0, 4) == b"FORM" else "little"
    at, data_size = 12, 2**32 - 1
    for _ in range(_MOST_CHUNKS):
        head = read_at(file, at, 24)
        if len(head) < 8:
            return
        name, size = head[:4], int.from_bytes(head[4:8], order)
        if name == b"ds64":  # of RF64
            data_size = int.from_bytes(head[16:], "little")
        elif name == b"data" and size == 2**32 - 1:
            size = data_size
        yield Box(name, at, at + 8, at + 8 + size)
        at += 8 + size + size % 2


def atoms(file: BinaryIO, start: int, stop: int) -> Iterator[Box]:
    """Go through the atoms of an MP4 file in a part of it, or raise ``DamagedError``."""

    def parse(head: bytes) -> tuple[bytes, int, int]:
        size = int.from_bytes(head[:4])
        if size == 1:
            return head[4:8], 16, int.from_bytes(head[8:16])
        return head[4:8], 8, size

    return _boxes(file, start, stop, parse)


def asf_objects(file: BinaryIO, start: int, stop: int) -> Iterator[Box]:
    """Go through the objects of an ASF file in a part of it, or raise ``DamagedError``."""
    return _boxes(
        file, start, stop, lambda head: (head[:16], 24, int.from_bytes(head[16:], "little"))
    )


def _boxes(
    file: BinaryIO, start: int, stop: int, parse: Callable[[bytes], tuple[bytes, int, int]]
) -> Iterator[Box]:
    """Go through boxes that fill a part of a file.

    ``parse`` takes 24 bytes; it returns the name, the size of the header, and that of the box.
    """
    for _ in range(_MOST_BOXES):
        if start == stop:
            return
        name, header_size, size = parse(read_at(file, start, 24))
        if not header_size <= size <= stop - start:
            raise DamagedError
        yield Box(name, start, start + header_size, start + size)
        start += size
    raise DamagedError


def flac_blocks(file: BinaryIO, start: int) -> Iterator[Box]:
    """Go through the metadata blocks of a FLAC that begins here, or raise ``DamagedError``."""
    at = start + 4
    for _ in range(_MOST_BOXES):
        head = read_at(file, at, 4)
        if len(head) < 4:
            raise DamagedError
        box = Box(bytes([head[0] & 0x7F]), at, at + 4, at + 4 + int.from_bytes(head[1:]))
        yield box
        if head[0] > 0x7F:
            return
        at = box.stop
    raise DamagedError


class OggPage(NamedTuple):
    """A page of Ogg: where it starts, its header, and the lengths of its segments."""

    start: int
    header: bytes
    lengths: bytes

    @property
    def body(self) -> int:
        """Where the segments start."""
        return self.start + len(self.header) + len(self.lengths)

    @property
    def stop(self) -> int:
        """Where the page ends."""
        return self.body + sum(self.lengths)


def ogg_pages(file: BinaryIO) -> Iterator[OggPage]:
    """Go through the pages of an Ogg file; bytes between them are skipped."""
    reader = BlockReader(file)
    at: int | None = 0 if reader.read(0, 4) == b"OggS" else None
    while at is not None:
        header = reader.read(at, _OGG_HEADER_BYTES)
        if header.startswith(b"OggS") and len(header) == _OGG_HEADER_BYTES:
            page = OggPage(at, header, reader.read(at + len(header), header[26]))
            yield page
            at = page.stop
        else:
            at = reader.find(b"OggS", at + 1)


def adts_frames(file: BinaryIO, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Go through frames of AAC from a place that has one.

    Yields
    ------
    start, stop : int
    kind : bytes
        The bits for the profile, the sample rate and the channels.
    """
    reader = BlockReader(file)
    at: int | None = start if _is_adts(reader.read(start, 2)) else None
    while at is not None:
        head = reader.read(at, _ADTS_HEADER_BYTES)
        if len(head) < _ADTS_HEADER_BYTES:
            return
        size = int.from_bytes(head[3:6]) >> 5 & 0x1FFF
        if _is_adts(head) and size >= _ADTS_HEADER_BYTES:
            yield at, at + size, bytes((head[1] & 8, head[2] & 0xFD, head[3] & 0xC0))
            at += size
        else:
            at = reader.find(b"\xff", at + 1)


def _is_adts(head: bytes) -> bool:
    return len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0  # not a layer of MPEG


class BlockReader:
    """Bytes at any place of a file, which is read in large blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._start, self._block = file, 0, b""

    def read(self, at: int, size: int) -> bytes:
        """Return bytes; fewer at the end of the file."""
        within = at - self._start
        if not 0 <= within <= len(self._block) - size:
            self._start, self._block, within = at, read_at(self._file, at, BLOCK_BYTES), 0
        return self._block[within : within + size]

    def find(self, pattern: bytes, at: int) -> int | None:
        """Return the next place of a pattern."""
        while len(self.read(at, len(pattern))) == len(pattern):
            found = self._block.find(pattern, at - self._start)
            if found >= 0:
                return self._start + found
            at = self._start + len(self._block) - len(pattern) + 1
        return None
