"""The kinds of tags that hold a genre: how each is read, written and restored."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from genreclf.library.containers import Box, chunks
from genreclf.library.streamtags import APE_FOOTER_BYTES, ID3V1_BYTES, Span, tags_behind
from genreclf.library.tags import (
    FREEFORM,
    LONGEST_CHUNK,
    clean,
    decoded,
    genre_names,
    info_items,
    is_bare,
    open_id3,
    open_tagged,
)

_NO_ID3V1_GENRE = 255
_PADDING_BYTES = 1024
_APE_HEADER, _APE_IS_HEADER, _APE_NO_TEXT = 1 << 31, 1 << 29, 6  # flags
_LATIN1, _UTF16, _UTF8 = 0, 1, 3  # encodings of texts in ID3, the last one from 2.4 on


class GenreTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The genre in one kind of tags of a file, with all that is needed to restore it.

    Attributes
    ----------
    kind : str
        "id3", "vorbis", "mp4", "asf" or "ape"; in ``others`` also "id3v1", "info" (of WAV) and
        "freeform" (of MP4).
    values : list of str or None
        As in the file; for ID3v1 the number of the genre. None if there is no genre.
    tagged : bool
        Whether the file has tags of this kind at all.
    version : tuple of int, optional
        Version of ID3.
    encoding : int, optional
        Encoding of texts in ID3.
    places : list, optional
        Place and spelling of each value. Vorbis comments: index and key; APEv2 and WAV: index and
        all bytes of the item in hexadecimal; freeform MP4: type of data and key.
    others : list of GenreTag
        The other kinds of tags in the file that can hold a genre, in order.
    """

    kind: str
    values: list[str] | None = None
    tagged: bool = True
    version: tuple[int, ...] | None = None
    encoding: int | None = None
    places: list[tuple[int, str]] | None = None
    others: list["GenreTag"] = []

    @property
    def genres(self) -> list[str]:
        """The names of the genres in all kinds of tags, each once."""
        own = [name for text in self.values or () for name in genre_names(clean(text))]
        return list(dict.fromkeys([*own, *(name for tag in self.others for name in tag.genres)]))

    @property
    def to_write(self) -> list["GenreTag"]:
        """The tags to write: all that hold a genre, and this one unless another replaces it."""
        held = [tag for tag in self.others if tag.genres]
        replaced = not self.tagged and any(tag.kind != "id3v1" for tag in held)
        return held if replaced else [self, *held]

    def reads(self, values: Sequence[str]) -> bool:
        """Tell whether every tag that holds a genre holds these values."""
        own = msgspec.structs.replace(self, others=[])
        held = [tag for tag in (own, *self.others) if tag.genres]
        return bool(held) and all(tag.values == as_written(tag, values) for tag in held)


def as_written(tag: GenreTag, values: Sequence[str]) -> list[str]:
    """Return the values that are read after a genre is written; for ID3v1 its number."""
    return [str(_id3v1_number(values[0]))] if tag.kind == "id3v1" else list(values)


@dataclass(frozen=True)
class Format:
    """How one kind of tags is read, written and restored."""

    read: Callable[[Path], GenreTag]
    write: Callable[[Path, GenreTag, Sequence[str]], None]
    restore: Callable[[Path, GenreTag], None]


def _file_of(path: Path) -> Any:
    file = open_tagged(path)
    if file is None:
        raise ValueError("a stream that is not known")
    return file


def _with_tags(path: Path) -> Any:
    file = _file_of(path)
    if file.tags is None:
        file.add_tags()
    return file


def _new_id3(path: Path) -> Any:
    from mutagen.id3 import ID3

    return ID3() if is_bare(path) else _with_tags(path).tags


def _read_id3(path: Path) -> GenreTag:
    tags = open_id3(path)
    if tags is None:
        return GenreTag("id3", tagged=False)
    frames = tags.getall("TCON")
    return GenreTag(
        "id3",
        [str(text) for frame in frames for text in frame.text] if frames else None,
        version=tuple(tags.version),
        encoding=int(frames[0].encoding) if frames else None,
    )


def _write_id3(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    from mutagen.id3 import TCON

    # What only ID3v1 had goes into the new tag too: players look there alone, once there is one.
    tags = open_id3(path, load_v1=not before.tagged)
    if tags is None:
        tags = _new_id3(path)
    encoding = _LATIN1
    if not all(value.isascii() for value in values):
        encoding = _UTF8 if _id3_version(before) == 4 else _UTF16
    tags.setall("TCON", [TCON(encoding=encoding, text=list(values))])
    _save_id3(path, tags, before)


def _restore_id3(path: Path, before: GenreTag) -> None:
    from mutagen.id3 import TCON

    tags = open_id3(path)
    if before.values is not None:
        tags = _new_id3(path) if tags is None else tags
        frame = TCON(encoding=before.encoding or _LATIN1, text=before.values)
        tags.setall("TCON", [frame])
    elif tags is not None:
        tags.delall("TCON")
        if not before.tagged and tags.keys() <= _keys_from_id3v1(path):
            _delete_id3(path, tags)
            return
    if tags is not None:
        _save_id3(path, tags, before)


def _save_id3(path: Path, tags: Any, before: GenreTag) -> None:
    """Save the tags in the same version of ID3; only the genre has changed."""
    options = {"v2_version": _id3_version(before), "v23_sep": None, "padding": _padding}
    if not is_bare(path):
        tags.save(path, **options)
        return
    # Alone, since mutagen makes anew what is behind the stream, or what it takes for ID3v1 there.
    behind = bytes(2 * ID3V1_BYTES)
    with path.open("rb") as file:
        alone = BytesIO(file.read(tags.size) + behind)
    span = Span(0, tags.size)
    tags.save(alone, **options)
    _splice(path, span, alone.getvalue()[: -len(behind)])


def _padding(info: Any) -> int:
    """Keep the padding that a tag has."""
    return int(info.padding) if info.padding >= 0 else _PADDING_BYTES


def _id3_version(tag: GenreTag) -> int:
    """Return the version to write: 3 instead of 2, which nothing writes any more."""
    return 3 if tag.version is not None and tag.version[:2] in ((2, 2), (2, 3)) else 4


def _delete_id3(path: Path, tags: Any) -> None:
    from mutagen.id3 import delete

    if is_bare(path):
        delete(path, delete_v1=False, delete_v2=True)
    else:
        tags.delete(path)


def _id3v1(path: Path) -> bytes:
    """Return the ID3v1 tag behind a stream, or nothing if there is none."""
    if not is_bare(path):
        return b""
    with path.open("rb") as file:
        span = tags_behind(file).get("id3v1", Span(0, 0))
        file.seek(span.start)
        return file.read(span.stop - span.start)


def _overwrite_end(path: Path, end: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(-len(end), os.SEEK_END)
        file.write(end)


def _keys_from_id3v1(path: Path) -> set[str]:
    from mutagen.id3 import ParseID3v1

    frames = ParseID3v1(_id3v1(path)) or {}
    return {frame.HashKey for frame in frames.values()}


def _read_id3v1(path: Path) -> GenreTag:
    v1 = _id3v1(path)
    return GenreTag("id3v1", [str(v1[-1])] if v1 else None, tagged=bool(v1))


def _write_id3v1(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    if _id3v1(path):
        _overwrite_end(path, bytes([_id3v1_number(values[0])]))


def _restore_id3v1(path: Path, before: GenreTag) -> None:
    if before.values and _id3v1(path):
        _overwrite_end(path, bytes([int(before.values[0])]))


def _id3v1_number(genre: str) -> int:
    from mutagen.id3 import TCON

    names = [name.casefold() for name in TCON.GENRES]
    return names.index(genre.casefold()) if genre.casefold() in names else _NO_ID3V1_GENRE


def _read_vorbis(path: Path) -> GenreTag:
    tags = _file_of(path).tags
    if tags is None:
        return GenreTag("vorbis", tagged=False)
    found = [(i, key, text) for i, (key, text) in enumerate(tags) if key.lower() == "genre"]
    if not found:
        return GenreTag("vorbis")
    values = [text for _, _, text in found]
    return GenreTag("vorbis", values, places=[(i, key) for i, key, _ in found])


def _write_vorbis(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    file = _with_tags(path)
    key = before.places[0][1] if before.places else "GENRE"
    first = before.places[0][0] if before.places else len(file.tags)
    _replace_comments(file, [(first + i, key, value) for i, value in enumerate(values)])


def _restore_vorbis(path: Path, before: GenreTag) -> None:
    _require_genres(all(key.lower() == "genre" for _, key in before.places or ()))
    pairs = zip(before.places or [], before.values or [], strict=True)
    file = _with_tags(path)
    _replace_comments(file, [(i, key, value) for (i, key), value in pairs])
    if not before.tagged and not file.tags:
        file.delete()


def _replace_comments(file: Any, comments: Sequence[tuple[int, str, str]]) -> None:
    file.tags[:] = [pair for pair in file.tags if pair[0].lower() != "genre"]
    for at, key, value in comments:
        file.tags.insert(at, (key, value))
    file.save()


def _with_key(kind: str, key: str) -> Format:
    """Return the format of tags that hold a list of texts under one key."""

    def read(path: Path) -> GenreTag:
        tags = _file_of(path).tags
        if tags is None:
            return GenreTag(kind, tagged=False)
        return GenreTag(kind, [str(text) for text in tags[key]] if key in tags else None)

    def write(path: Path, before: GenreTag, values: Sequence[str]) -> None:
        file = _with_tags(path)
        file.tags[key] = list(values)
        file.save()

    def restore(path: Path, before: GenreTag) -> None:
        file = _with_tags(path)
        if before.values is not None:
            file.tags[key] = before.values
        elif key in file.tags:
            del file.tags[key]
        if before.tagged or file.tags:
            file.save()
        else:
            file.delete()

    return Format(read, write, restore)


def _read_freeform(path: Path) -> GenreTag:
    tags = _file_of(path).tags or {}
    found = [(key, value) for key in _freeform_keys(tags) for value in tags[key]]
    if not found:
        return GenreTag("freeform")
    values = [bytes(value).decode("utf-8", "surrogateescape") for _, value in found]
    return GenreTag("freeform", values, places=[(int(v.dataformat), key) for key, v in found])


def _write_freeform(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    key = before.places[0][1] if before.places else f"{FREEFORM}GENRE"
    _replace_freeform(path, [(1, key, value) for value in values])


def _restore_freeform(path: Path, before: GenreTag) -> None:
    _require_genres(all(_freeform_keys([key]) for _, key in before.places or ()))
    pairs = zip(before.places or [], before.values or [], strict=True)
    _replace_freeform(path, [(data_type, key, value) for (data_type, key), value in pairs])


def _freeform_keys(tags: Iterable[str]) -> list[str]:
    return [key for key in tags if key.lower() == f"{FREEFORM}GENRE".lower()]


def _replace_freeform(path: Path, texts: Sequence[tuple[int, str, str]]) -> None:
    from mutagen.mp4 import MP4FreeForm

    file = _with_tags(path)
    for key in _freeform_keys(file.tags):
        del file.tags[key]
    for data_type, key, text in texts:
        value = MP4FreeForm(text.encode("utf-8", "surrogateescape"), data_type)
        file.tags.setdefault(key, []).append(value)
    file.save()


@dataclass(frozen=True)
class _Ape:
    """The bytes of an APEv1 or APEv2 tag. mutagen would delete what is behind it."""

    header: bytes
    items: list[bytes]
    footer: bytes

    @classmethod
    def parsed(cls, tag: bytes) -> "_Ape":
        body, footer = tag[:-APE_FOOTER_BYTES], tag[-APE_FOOTER_BYTES:]
        n_header = APE_FOOTER_BYTES if footer[23] & 0x80 else 0
        items, at = [], n_header
        while at < len(body):
            end = cls.end_of_item(body, at)
            items.append(body[at:end])
            at = end
        if at > len(body):
            raise ValueError("an item of the APEv2 tag is longer than the tag")
        return cls(body[:n_header], items, footer)

    @staticmethod
    def is_item(item: bytes) -> bool:
        """Tell whether an item is as long as it states."""
        return _Ape.end_of_item(item, 0) == len(item)

    @staticmethod
    def end_of_item(body: bytes, at: int) -> int:
        """Return where the item that begins here ends."""
        return body.index(b"\0", at + 8) + 1 + int.from_bytes(body[at : at + 4], "little")

    @classmethod
    def new(cls) -> "_Ape":
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


def _ape_of(path: Path) -> tuple[_Ape | None, Span]:
    """Return the tag and its place; if there is none, the place before Lyrics3 and ID3v1."""
    with path.open("rb") as file:
        spans = tags_behind(file)
        if "ape" in spans:
            span = spans["ape"]
            file.seek(span.start)
            return _Ape.parsed(file.read(span.stop - span.start)), span
        end = min((span.start for span in spans.values()), default=file.seek(0, os.SEEK_END))
        return None, Span(end, end)


def _ape_item(key: bytes, values: Sequence[str]) -> bytes:
    text = "\0".join(values).encode()
    return len(text).to_bytes(4, "little") + bytes(4) + key + b"\0" + text


def _ape_key(item: bytes) -> bytes:
    return item[8 : item.index(b"\0", 8)]


def _is_ape_genre(item: bytes) -> bool:
    return _ape_key(item).lower() == b"genre"


def _read_ape(path: Path) -> GenreTag:
    tag, _ = _ape_of(path)
    if tag is None:
        return GenreTag("ape", tagged=False)
    found = [(i, item) for i, item in enumerate(tag.items) if _is_ape_genre(item)]
    texts = [item for _, item in found if not item[4] & _APE_NO_TEXT]
    values = [
        decoded(value) for item in texts for value in item[item.index(b"\0", 8) + 1 :].split(b"\0")
    ]
    return GenreTag("ape", values if texts else None, places=[(i, item.hex()) for i, item in found])


def _write_ape(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    old = [(i, bytes.fromhex(item)) for i, item in before.places or ()]
    at, key = (old[0][0], _ape_key(old[0][1])) if old else (2**31, b"Genre")
    _replace_ape(path, [(at, _ape_item(key, values))])


def _restore_ape(path: Path, before: GenreTag) -> None:
    items = [(i, bytes.fromhex(item)) for i, item in before.places or ()]
    _require_genres(all(_is_ape_genre(item) and _Ape.is_item(item) for _, item in items))
    if before.values and not items:  # in backups of old
        items = [(2**31, _ape_item(b"Genre", before.values))]
    _replace_ape(path, items, drop_empty=not before.tagged)


def _replace_ape(path: Path, genres: Sequence[tuple[int, bytes]], drop_empty: bool = False) -> None:
    found, span = _ape_of(path)
    tag = found or _Ape.new()
    items = [item for item in tag.items if not _is_ape_genre(item)]
    for at, item in genres:
        items.insert(at, item)
    if items or (found and not drop_empty):
        _splice(path, span, tag.with_items(items))
    elif found:
        _splice(path, span, b"")


def _info_of(path: Path) -> tuple[Box | None, list[bytes]]:
    """Return the chunk of texts of a WAV file that includes a genre, and the bytes of each text."""
    with path.open("rb") as file:
        for chunk in chunks(file):
            if chunk.name == b"LIST" and 4 <= chunk.size <= LONGEST_CHUNK:
                file.seek(chunk.body)
                body = file.read(chunk.size)
                items = list(_info_split(body[4:])) if body.startswith(b"INFO") else []
                if any(item[:4] == b"IGNR" for item in items):
                    return chunk, items
    return None, []


def _info_split(body: bytes) -> Iterator[bytes]:
    at = 0
    for _, value in info_items(body):
        end = at + 8 + len(value) + len(value) % 2
        yield body[at:end]
        at = end
    if at < len(body):
        yield body[at:]


def _read_info(path: Path) -> GenreTag:
    _, items = _info_of(path)
    found = [(i, item) for i, item in enumerate(items) if item[:4] == b"IGNR"]
    if not found:
        return GenreTag("info")
    values = [decoded(value) for _, item in found for _, value in info_items(item)]
    return GenreTag("info", values, places=[(i, item.hex()) for i, item in found])


def _write_info(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    at = before.places[0][0] if before.places else 2**31
    text = "; ".join(values).encode() + b"\0"
    item = b"IGNR" + len(text).to_bytes(4, "little") + text + bytes(len(text) % 2)
    _replace_info(path, [(at, item)])


def _restore_info(path: Path, before: GenreTag) -> None:
    items = [(i, bytes.fromhex(item)) for i, item in before.places or ()]
    for _, item in items:
        _require_genres(item.startswith(b"IGNR") and list(_info_split(item)) == [item])
    _replace_info(path, items)


def _replace_info(path: Path, genres: Sequence[tuple[int, bytes]]) -> None:
    chunk, items = _info_of(path)
    if chunk is None:
        return
    items = [item for item in items if item[:4] != b"IGNR"]
    for at, item in genres:
        items.insert(at, item)
    body = b"INFO" + b"".join(items)
    stop = min(chunk.stop + chunk.size % 2, path.stat().st_size)
    new = len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
    _splice(path, Span(chunk.body - 4, stop), new)
    with path.open("r+b") as file:
        file.seek(4)
        size = int.from_bytes(file.read(4), "little") + len(new) - (stop - chunk.body + 4)
        if 0 < size < 2**32 - 1:
            file.seek(4)
            file.write(size.to_bytes(4, "little"))


def _require_genres(found: bool) -> None:
    """Refuse a backup that would change anything but genres."""
    if not found:
        raise ValueError("the backup holds something other than genres")


def _splice(path: Path, span: Span, new: bytes) -> None:
    """Replace a part of a file by other bytes."""
    if len(new) == span.stop - span.start:
        with path.open("r+b") as file:
            file.seek(span.start)
            file.write(new)
        return
    with path.open("r+b") as file, tempfile.TemporaryFile(dir=path.parent) as rest:
        file.seek(span.stop)
        shutil.copyfileobj(file, rest)
        file.seek(span.start)
        file.write(new)
        rest.seek(0)
        shutil.copyfileobj(rest, file)
        file.truncate()


FORMATS: Mapping[str, Format] = {
    "id3": Format(_read_id3, _write_id3, _restore_id3),
    "id3v1": Format(_read_id3v1, _write_id3v1, _restore_id3v1),
    "vorbis": Format(_read_vorbis, _write_vorbis, _restore_vorbis),
    "mp4": _with_key("mp4", "\xa9gen"),
    "freeform": Format(_read_freeform, _write_freeform, _restore_freeform),
    "asf": _with_key("asf", "WM/Genre"),
    "ape": Format(_read_ape, _write_ape, _restore_ape),
    "info": Format(_read_info, _write_info, _restore_info),
}
