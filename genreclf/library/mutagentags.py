"""Genre tags that mutagen reads, writes and restores: ID3, Vorbis comments, MP4, ASF.

mediafile is no substitute: it turns ID3v2.3 into 2.4, rewrites ID3v1, and leaves an old genre in
APEv2, LIST INFO and freeform tags.
"""

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from genreclf.library.genretags import GenreTag, TagKind, id3v1_number, require_genres
from genreclf.library.streamtags import ID3V1_BYTES, Span, read_behind, splice
from genreclf.library.tags import FREEFORM, is_bare, open_id3, open_tagged

_PADDING_BYTES = 1024
_LATIN1, _UTF16, _UTF8 = 0, 1, 3  # encodings of texts in ID3, the last one from 2.4 on


def _opened(path: Path) -> Any:
    file = open_tagged(path)
    if file is None:
        raise ValueError("an unknown kind of stream")
    return file


def _with_tags(path: Path) -> Any:
    file = _opened(path)
    if file.tags is None:
        file.add_tags()
    return file


class _Id3Tags(TagKind):
    """ID3v2 in front of a stream or in a container; its version stays."""

    def read(self, path: Path) -> GenreTag:
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

    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        from mutagen.id3 import TCON

        # A new tag gets the texts of ID3v1 too: players that find it do not look there.
        tags = open_id3(path, load_v1=not before.tagged)
        if tags is None:
            tags = _new_id3(path)
        encoding = _LATIN1
        if not all(value.isascii() for value in values):
            encoding = _UTF8 if _id3_version(before) == 4 else _UTF16
        tags.setall("TCON", [TCON(encoding=encoding, text=list(values))])
        _save_id3(path, tags, before)

    def restore(self, path: Path, before: GenreTag) -> None:
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


def _new_id3(path: Path) -> Any:
    from mutagen.id3 import ID3

    return ID3() if is_bare(path) else _with_tags(path).tags


def _save_id3(path: Path, tags: Any, before: GenreTag) -> None:
    """Save the tags in the same version of ID3; only the genre has changed."""
    options = {"v2_version": _id3_version(before), "v23_sep": None, "padding": _padding}
    if not is_bare(path):
        tags.save(path, **options)
        return
    # Alone, since mutagen rewrites what is behind the stream, or what it takes for ID3v1 there.
    behind = bytes(2 * ID3V1_BYTES)
    with path.open("rb") as file:
        alone = BytesIO(file.read(tags.size) + behind)
    span = Span(0, tags.size)
    tags.save(alone, **options)
    splice(path, span, alone.getvalue()[: -len(behind)])


def _padding(info: Any) -> int:
    """Keep the padding that a tag has."""
    return int(info.padding) if info.padding >= 0 else _PADDING_BYTES


def _id3_version(tag: GenreTag) -> int:
    """Return the version to write: 3 instead of 2, which mutagen does not write."""
    return 3 if tag.version is not None and tag.version[:2] in ((2, 2), (2, 3)) else 4


def _delete_id3(path: Path, tags: Any) -> None:
    from mutagen.id3 import delete

    if is_bare(path):
        delete(path, delete_v1=False, delete_v2=True)
    else:
        tags.delete(path)


def _keys_from_id3v1(path: Path) -> set[str]:
    from mutagen.id3 import ParseID3v1

    frames = ParseID3v1(_id3v1(path)) or {}
    return {frame.HashKey for frame in frames.values()}


class _Id3v1Tags(TagKind):
    """ID3v1 behind a bare stream: its last byte is the number of the genre."""

    def read(self, path: Path) -> GenreTag:
        v1 = _id3v1(path)
        return GenreTag("id3v1", [str(v1[-1])] if v1 else None, tagged=bool(v1))

    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        self._write_number(path, id3v1_number(values[0]))

    def restore(self, path: Path, before: GenreTag) -> None:
        if before.values:
            self._write_number(path, int(before.values[0]))

    def _write_number(self, path: Path, number: int) -> None:
        if _id3v1(path):
            size = path.stat().st_size
            splice(path, Span(size - 1, size), bytes([number]))


def _id3v1(path: Path) -> bytes:
    """Return the ID3v1 tag behind a stream, or nothing if there is none."""
    return read_behind(path, "id3v1") if is_bare(path) else b""


class _VorbisTags(TagKind):
    """Vorbis comments of FLAC and Ogg: their spelling and order stay."""

    def read(self, path: Path) -> GenreTag:
        tags = _opened(path).tags
        if tags is None:
            return GenreTag("vorbis", tagged=False)
        found = [(i, key, text) for i, (key, text) in enumerate(tags) if key.lower() == "genre"]
        if not found:
            return GenreTag("vorbis")
        values = [text for _, _, text in found]
        return GenreTag("vorbis", values, places=[(i, key) for i, key, _ in found])

    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        file = _with_tags(path)
        first, key = before.places[0] if before.places else (len(file.tags), "GENRE")
        self._replace(file, [(first + i, key, value) for i, value in enumerate(values)])

    def restore(self, path: Path, before: GenreTag) -> None:
        require_genres(all(key.lower() == "genre" for _, key in before.places or ()))
        pairs = zip(before.places or [], before.values or [], strict=True)
        file = _with_tags(path)
        self._replace(file, [(i, key, value) for (i, key), value in pairs])
        if not before.tagged and not file.tags:
            file.delete()

    def _replace(self, file: Any, comments: Sequence[tuple[int, str, str]]) -> None:
        file.tags[:] = [pair for pair in file.tags if pair[0].lower() != "genre"]
        for at, key, value in comments:
            file.tags.insert(at, (key, value))
        file.save()


class _KeyedTags(TagKind):
    """Tags that hold a list of texts under one key: of MP4 and ASF."""

    def __init__(self, kind: str, key: str) -> None:
        self._kind, self._key = kind, key

    def read(self, path: Path) -> GenreTag:
        tags = _opened(path).tags
        if tags is None:
            return GenreTag(self._kind, tagged=False)
        values = [str(text) for text in tags[self._key]] if self._key in tags else None
        return GenreTag(self._kind, values)

    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        file = _with_tags(path)
        file.tags[self._key] = list(values)
        file.save()

    def restore(self, path: Path, before: GenreTag) -> None:
        file = _with_tags(path)
        if before.values is not None:
            file.tags[self._key] = before.values
        elif self._key in file.tags:
            del file.tags[self._key]
        if before.tagged or file.tags:
            file.save()
        else:
            file.delete()


class _FreeformTags(TagKind):
    """Freeform atoms of MP4, as Mp3tag and foobar2000 write them."""

    def read(self, path: Path) -> GenreTag:
        tags = _opened(path).tags or {}
        found = [(key, value) for key in self._keys(tags) for value in tags[key]]
        if not found:
            return GenreTag("freeform")
        values = [bytes(value).decode("utf-8", "surrogateescape") for _, value in found]
        places = [(int(value.dataformat), key) for key, value in found]
        return GenreTag("freeform", values, places=places)

    def write(self, path: Path, before: GenreTag, values: Sequence[str]) -> None:
        key = before.places[0][1] if before.places else f"{FREEFORM}GENRE"
        self._replace(path, [(1, key, value) for value in values])

    def restore(self, path: Path, before: GenreTag) -> None:
        require_genres(all(self._keys([key]) for _, key in before.places or ()))
        pairs = zip(before.places or [], before.values or [], strict=True)
        self._replace(path, [(data_type, key, value) for (data_type, key), value in pairs])

    def _keys(self, tags: Iterable[str]) -> list[str]:
        return [key for key in tags if key.lower() == f"{FREEFORM}GENRE".lower()]

    def _replace(self, path: Path, texts: Sequence[tuple[int, str, str]]) -> None:
        from mutagen.mp4 import MP4FreeForm

        file = _with_tags(path)
        for key in self._keys(file.tags):
            del file.tags[key]
        for data_type, key, text in texts:
            value = MP4FreeForm(text.encode("utf-8", "surrogateescape"), data_type)
            file.tags.setdefault(key, []).append(value)
        file.save()


MUTAGEN_KINDS: Mapping[str, TagKind] = {
    "id3": _Id3Tags(),
    "id3v1": _Id3v1Tags(),
    "vorbis": _VorbisTags(),
    "mp4": _KeyedTags("mp4", "\xa9gen"),
    "freeform": _FreeformTags(),
    "asf": _KeyedTags("asf", "WM/Genre"),
}
