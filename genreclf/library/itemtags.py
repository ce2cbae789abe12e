"""The genre in tags that are edited byte by byte: APEv2, and LIST INFO of WAV.

mutagen deletes what is behind an APEv2 tag, sorts its items, and does not know LIST INFO.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from genreclf.library.containers import Box, chunks
from genreclf.library.genretags import GenreTag, TagKind, require_genres
from genreclf.library.streamtags import APE_FOOTER_BYTES, Span, read_at, splice, tags_behind
from genreclf.library.tags import LONGEST_CHUNK, decoded, info_items

_APE_HEADER, _APE_IS_HEADER, _APE_NO_TEXT = 1 << 31, 1 << 29, 6  # flags
_END = 2**31  # index of an item behind all others


class _ItemTags(TagKind):
    """Tags that are a list of items, each some bytes; items other than genres stay as they are."""

    kind: str

    @abstractmethod
    def items(self, path: Path) -> list[bytes] | None:
        """Return the items; None if the file has no such tags."""

    @abstractmethod
    def is_genre(self, item: bytes) -> bool:
        """Return True if an item is a genre."""

    @abstractmethod
    def is_one(self, item: bytes) -> bool:
        """Return True if bytes are one whole item."""

    @abstractmethod
    def texts(self, item: bytes) -> list[str]:
        """Return the values of an item."""

    @abstractmethod
    def new_item(self, values: Sequence[str], old: bytes) -> bytes:
        """Return an item with other values than an old one."""

    @abstractmethod
    def save(self, path: Path, items: list[bytes], *, drop_empty: bool) -> None:
        """Write the items; without any, delete the tag if it was not there before."""

    def read(self, path: Path) -> GenreTag:
        items = self.items(path)
        if items is None:
            return GenreTag(self.kind, tagged=False)
        found = [(i, item) for i, item in enumerate(items) if self.is_genre(item)]
        values = [text for _, item in found for text in self.texts(item)]
        places = [(i, item.hex()) for i, item in found]
        return GenreTag(self.kind, values or None, places=places or None)

    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        at, old = before.places[0] if before.places else (_END, "")
        self._replace(path, [(at, self.new_item(values, bytes.fromhex(old)))], drop_empty=False)

    def restore(self, path: Path, before: GenreTag) -> None:
        items = [(i, bytes.fromhex(item)) for i, item in before.places or ()]
        require_genres(all(self.is_one(item) and self.is_genre(item) for _, item in items))
        if before.values and not items:  # in older backups
            items = [(_END, self.new_item(before.values, b""))]
        self._replace(path, items, drop_empty=not before.tagged)

    def _replace(
        self, path: Path, genres: Sequence[tuple[int, bytes]], *, drop_empty: bool
    ) -> None:
        items = [item for item in self.items(path) or () if not self.is_genre(item)]
        for at, item in genres:
            items.insert(at, item)
        self.save(path, items, drop_empty=drop_empty)


@dataclass(frozen=True)
class _ApeTag:
    """The bytes of an APEv1 or APEv2 tag."""

    header: bytes
    items: list[bytes]
    footer: bytes

    @classmethod
    def parsed(cls, tag: bytes) -> "_ApeTag":
        body, footer = tag[:-APE_FOOTER_BYTES], tag[-APE_FOOTER_BYTES:]
        n_header = APE_FOOTER_BYTES if footer[23] & 0x80 else 0
        items, at = [], n_header
        while at < len(body):
            end = _end_of_ape_item(body, at)
            items.append(body[at:end])
            at = end
        if at > len(body):
            raise ValueError("an item of the APEv2 tag is longer than the tag")
        return cls(body[:n_header], items, footer)

    @classmethod
    def new(cls) -> "_ApeTag":
        def end(flags: int) -> bytes:
            numbers = (n.to_bytes(4, "little") for n in (2000, 0, 0, flags))
            return b"APETAGEX" + b"".join(numbers) + bytes(8)

        return cls(end(_APE_HEADER | _APE_IS_HEADER), [], end(_APE_HEADER))

    def with_items(self, items: list[bytes]) -> bytes:
        """Return the whole tag with other items."""
        body = b"".join(items)
        sizes = (len(body) + APE_FOOTER_BYTES).to_bytes(4, "little")
        sizes += len(items).to_bytes(4, "little")
        header, footer = (end and end[:12] + sizes + end[20:] for end in (self.header, self.footer))
        return header + body + footer


def _end_of_ape_item(body: bytes, at: int) -> int:
    return body.index(b"\0", at + 8) + 1 + int.from_bytes(body[at : at + 4], "little")


class _ApeTags(_ItemTags):
    """APEv2 behind a stream; new ones are put before Lyrics3 and ID3v1."""

    kind = "ape"

    def items(self, path: Path) -> list[bytes] | None:
        tag, _ = self._find(path)
        return None if tag is None else tag.items

    def is_genre(self, item: bytes) -> bool:
        return self._key(item).lower() == b"genre"

    def is_one(self, item: bytes) -> bool:
        return _end_of_ape_item(item, 0) == len(item)

    def texts(self, item: bytes) -> list[str]:
        if item[4] & _APE_NO_TEXT:
            return []
        return [decoded(value) for value in item[item.index(b"\0", 8) + 1 :].split(b"\0")]

    def new_item(self, values: Sequence[str], old: bytes) -> bytes:
        text = "\0".join(values).encode()
        key = self._key(old) if old else b"Genre"
        return len(text).to_bytes(4, "little") + bytes(4) + key + b"\0" + text

    def save(self, path: Path, items: list[bytes], *, drop_empty: bool) -> None:
        found, span = self._find(path)
        if items or (found and not drop_empty):
            splice(path, span, (found or _ApeTag.new()).with_items(items))
        elif found:
            splice(path, span, b"")

    def _key(self, item: bytes) -> bytes:
        return item[8 : item.index(b"\0", 8)]

    def _find(self, path: Path) -> tuple[_ApeTag | None, Span]:
        """Return the tag and its place, or the place for one."""
        with path.open("rb") as file:
            spans = tags_behind(file)
            if "ape" in spans:
                span = spans["ape"]
                return _ApeTag.parsed(read_at(file, span.start, span.stop - span.start)), span
            end = min((span.start for span in spans.values()), default=file.seek(0, 2))
            return None, Span(end, end)


class _InfoTags(_ItemTags):
    """The LIST INFO chunk of WAV; it is written only if it has a genre."""

    kind = "info"

    def items(self, path: Path) -> list[bytes] | None:
        return self._find(path)[1]

    def is_genre(self, item: bytes) -> bool:
        return item[:4] == b"IGNR"

    def is_one(self, item: bytes) -> bool:
        return list(_split_info(item)) == [item]

    def texts(self, item: bytes) -> list[str]:
        return [decoded(value) for _, value in info_items(item)]

    def new_item(self, values: Sequence[str], old: bytes) -> bytes:
        text = "; ".join(values).encode() + b"\0"
        return b"IGNR" + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)

    def save(self, path: Path, items: list[bytes], *, drop_empty: bool) -> None:
        chunk, _ = self._find(path)
        if chunk is None:
            return
        body = b"INFO" + b"".join(items)
        old_size = path.stat().st_size
        stop = min(chunk.stop + chunk.size % 2, old_size)
        new = len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
        splice(path, Span(chunk.body - 4, stop), new)
        with path.open("rb") as file:
            size = int.from_bytes(read_at(file, 4, 4), "little") + path.stat().st_size - old_size
        if 0 < size < 2**32 - 1:
            splice(path, Span(4, 8), size.to_bytes(4, "little"))

    def _find(self, path: Path) -> tuple[Box | None, list[bytes]]:
        """Return the chunk that includes a genre, and the bytes of each text in it."""
        with path.open("rb") as file:
            for chunk in chunks(file):
                if chunk.name == b"LIST" and 4 <= chunk.size <= LONGEST_CHUNK:
                    body = read_at(file, chunk.body, chunk.size)
                    items = list(_split_info(body[4:])) if body.startswith(b"INFO") else []
                    if any(map(self.is_genre, items)):
                        return chunk, items
        return None, []


def _split_info(body: bytes) -> Iterator[bytes]:
    at = 0
    for _, value in info_items(body):
        end = at + 8 + len(value) + len(value) % 2
        yield body[at:end]
        at = end
    if at < len(body):
        yield body[at:]


ITEM_KINDS: Mapping[str, TagKind] = {"ape": _ApeTags(), "info": _InfoTags()}
