"""Genre tags inside audio files: written so that nothing is lost, and put back as they were.

A genre is written into the tags that players of such files look at first, and into all others that
hold a genre, so that no player goes on to show the old one. A file gets a new kind of tags only if
it has no genre, or none but a number in ID3v1.

A file is never changed in place: a copy beside it is, which then takes its place. What the tags
were is in a backup, on the disk, before that.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from genreclf.containers import APE_FOOTER_BYTES, Chunk, Span, chunks, kind_of, tags_behind
from genreclf.errors import TagError, shortened
from genreclf.files import written_whole
from genreclf.tags import (
    FREEFORM,
    LONGEST_CHUNK,
    PLACES,
    clean,
    decoded,
    genre_names,
    info_items,
    is_bare,
    open_id3,
    open_tagged,
)

__all__ = [
    "Backup",
    "Change",
    "GenreTag",
    "is_restored",
    "read_backup",
    "read_genre",
    "require_writable",
    "restore",
    "write_genre",
]

FORMAT = {"format": "genreclf-tags", "format_version": 1}

_NO_ID3V1_GENRE = 255
_APE_HEADER, _APE_IS_HEADER, _APE_NO_TEXT = 1 << 31, 1 << 29, 6  # flags
_LATIN1, _UTF16, _UTF8 = 0, 1, 3  # encodings of texts in ID3, the last one from 2.4 on


class GenreTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The genre in one kind of tags of a file, with all that it takes to write it again.

    Attributes
    ----------
    kind : str
        "id3", "vorbis", "mp4", "asf" or "ape"; of others also "id3v1", "info" (of WAV) and
        "freeform" (of MP4).
    values : list of str or None
        As they are in the file, in ID3v1 the number; None if there are none.
    tagged : bool
        Whether the file has tags of this kind at all.
    version : tuple of int, optional
        Of ID3.
    encoding : int, optional
        Of the texts in ID3.
    places : list, optional
        Where the values are, and how they are spelt there: in Vorbis comments the index and the
        key of each, in APEv2 and WAV the index and all bytes of the item in hexadecimal, in
        freeform MP4 the type of data and the key.
    others : list of GenreTag
        Other kinds of tags in the file that have a field for the genre, in order.
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
        """The genres by name, those of all kinds of tags, each once."""
        own = [name for text in self.values or () for name in genre_names(clean(text))]
        return list(dict.fromkeys([*own, *(name for tag in self.others for name in tag.genres)]))

    @property
    def to_write(self) -> list["GenreTag"]:
        """All that hold a genre, and itself, unless another one stands in for it."""
        held = [tag for tag in self.others if tag.genres]
        replaced = not self.tagged and any(tag.kind != "id3v1" for tag in held)
        return held if replaced else [self, *held]

    def reads(self, values: Sequence[str]) -> bool:
        """Tell whether these are the values wherever there is a genre."""
        own = msgspec.structs.replace(self, others=[])
        held = [tag for tag in (own, *self.others) if tag.genres]
        return bool(held) and all(tag.values == _as_written(tag, values) for tag in held)


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The genre of a file before and after it was written."""

    path: str
    before: GenreTag
    after: list[str]


def read_genre(path: Path) -> GenreTag:
    """Read the genre tag of an audio file, exactly as it is.

    Raises
    ------
    TagError
        If the file cannot be read, or is of a kind that has no tags.
    """
    with _told(path):
        return _read(path)


def _read(path: Path, content: Path | None = None) -> GenreTag:
    with (content or path).open("rb") as file:
        kind = kind_of(file, path.suffix)
    places = [place for place in PLACES.get(kind, ()) if place in _FORMATS]
    if not places:
        raise TagError(f"{path}: not a kind of file whose genre tag can be written")
    own, *others = (_FORMATS[place].read(content or path) for place in places)
    return msgspec.structs.replace(own, others=[tag for tag in others if tag.values is not None])


def write_genre(path: Path, change: Change, backup: "Backup") -> None:
    """Write a genre tag; the audio, all other tags and the file's mode stay as they are.

    Parameters
    ----------
    path : Path
    change : Change
        From what ``read_genre`` has just found.
    backup : Backup
        Gets the change before the file does.

    Raises
    ------
    TagError
        If the file or the backup cannot be written; the file is as it was then.
    """
    with _changed_copy(path) as copy:
        for tag in change.before.to_write:
            _FORMATS[tag.kind].write(copy, tag, change.after)
        _require(path, _is_after(_read(path, copy), change))
        backup.append(change)


def restore(path: Path, change: Change, *, force: bool = False) -> bool:
    """Write the tag again that was there before a change.

    Parameters
    ----------
    path : Path
    change : Change
    force : bool
        Also where the tag was changed again since.

    Returns
    -------
    bool
        False if the tag is what it was before the change.

    Raises
    ------
    TagError
        If the file cannot be written, or the tag was changed again since.
    """
    if is_restored(path, change, force=force):
        return False
    with _changed_copy(path) as copy:
        values = _values_now(_read(path, copy))
        for tag in (change.before, *change.before.others):
            if values.get(tag.kind, tag.values) != tag.values:
                _FORMATS[tag.kind].restore(copy, tag)
        _require(path, _is_before(_read(path, copy), change))
    return True


def _require(path: Path, found: bool) -> None:
    """Refuse a copy in which the genre cannot be found again, as in damaged files."""
    if not found:
        raise TagError(f"{path}: its genre tag cannot be written; the file is damaged")


def _values_now(now: GenreTag) -> Mapping[str, list[str] | None]:
    """Return the values by the kind of tags. Kinds that were taken away since do not count."""
    return {tag.kind: tag.values for tag in (now, *now.others)}


def _is_before(now: GenreTag, change: Change) -> bool:
    values = _values_now(now)
    tags = (change.before, *change.before.others)
    return all(values.get(tag.kind, tag.values) == tag.values for tag in tags)


def _is_after(now: GenreTag, change: Change) -> bool:
    values = _values_now(now)
    after = {tag.kind: _as_written(tag, change.after) for tag in change.before.to_write}
    return all(values.get(kind, written) == written for kind, written in after.items())


def _as_written(tag: GenreTag, values: Sequence[str]) -> list[str]:
    """Return what is read once a genre is written: numbers in ID3v1."""
    return [str(_id3v1_number(values[0]))] if tag.kind == "id3v1" else list(values)


def is_restored(path: Path, change: Change, *, force: bool = False) -> bool:
    """Tell whether the tag is what it was before a change; refuse if it is neither that nor after.

    Raises
    ------
    TagError
        As ``restore``.
    """
    now = read_genre(path)
    if now.kind != change.before.kind:
        raise TagError(f"{path}: another kind of file than the one whose tag was written")
    if _is_before(now, change):
        return True
    if not (force or _is_after(now, change)):
        raise TagError(
            f"{path}: its genre tag was changed since, to {_shown(now.genres)}; --force restores "
            f"{_shown(change.before.genres)} all the same"
        )
    return False


def _shown(values: Sequence[str]) -> str:
    return shortened(", ".join(values)) if values else "none"


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Turn what damaged tags raise, which is whatever their bytes lead to, into one line."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TagError(f"{path}: not a file, and without tags")
        yield
    except TagError:
        raise
    except OSError as error:
        raise TagError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except Exception as error:
        cause = error.args[0] if error.args else None  # mutagen wraps what the system says
        if isinstance(cause, OSError) and cause.strerror:
            raise TagError(f"{path}: {cause.strerror.lower()}") from None
        reason = shortened(str(error) or type(error).__name__, 200)
        raise TagError(f"{path}: tags that cannot be read or written: {reason}") from None


def require_writable(path: Path) -> None:
    """Refuse a file that is not to be written.

    Raises
    ------
    TagError
        If it is read-only.
    """
    with _told(path):
        # Whoever took away the right to write meant it, also where root may do all.
        if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
            raise TagError(f"{path}: its genre tag cannot be written; the file is read-only")


@contextmanager
def _changed_copy(path: Path) -> Iterator[Path]:
    """Give a copy to change, which takes the place of the file once it is on the disk."""
    require_writable(path)
    with _told(path), written_whole(path) as copy:
        shutil.copyfile(path, copy)
        if hasattr(os, "chown"):
            with suppress(PermissionError):  # only root may give files away
                os.chown(copy, path.stat().st_uid, path.stat().st_gid)
        shutil.copystat(path, copy)
        yield copy


@dataclass(frozen=True)
class _Format:
    """How one kind of tags is read, written, and put back."""

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
    """Save all as it was, in the same version of ID3, but for the genre."""
    v1 = _id3v1(path)
    tags.save(path, v2_version=_id3_version(before), v23_sep=None)
    if v1:  # which mutagen makes anew of what ID3v2 says
        _overwrite_end(path, v1)


def _id3_version(tag: GenreTag) -> int:
    """Return 3 of what was 2.2, which nothing writes any more."""
    return 3 if tag.version is not None and tag.version[:2] in ((2, 2), (2, 3)) else 4


def _delete_id3(path: Path, tags: Any) -> None:
    from mutagen.id3 import delete

    if is_bare(path):
        delete(path, delete_v1=False, delete_v2=True)
    else:
        tags.delete(path)


def _id3v1(path: Path) -> bytes:
    """Return the last bytes of a stream where those are ID3v1."""
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
    values = before.values or []
    pairs = zip(before.places or [], values, strict=True)
    file = _with_tags(path)
    _replace_comments(file, [(i, key, value) for (i, key), value in pairs])
    if not before.tagged and not file.tags:
        file.delete()


def _replace_comments(file: Any, comments: Sequence[tuple[int, str, str]]) -> None:
    file.tags[:] = [pair for pair in file.tags if pair[0].lower() != "genre"]
    for at, key, value in comments:
        file.tags.insert(at, (key, value))
    file.save()


def _with_key(kind: str, key: str) -> _Format:
    """Make the format of tags that hold lists of texts under one key."""

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

    return _Format(read, write, restore)


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
    pairs = zip(before.places or [], before.values or [], strict=True)
    _replace_freeform(path, [(data_type, key, value) for (data_type, key), value in pairs])


def _freeform_keys(tags: Mapping[str, Any]) -> list[str]:
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
    """The bytes of an APEv1 or APEv2 tag. mutagen would drop what stands behind it."""

    header: bytes
    items: list[bytes]
    footer: bytes

    @classmethod
    def parsed(cls, tag: bytes) -> "_Ape":
        body, footer = tag[:-APE_FOOTER_BYTES], tag[-APE_FOOTER_BYTES:]
        n_header = APE_FOOTER_BYTES if footer[23] & 0x80 else 0
        items, at = [], n_header
        while at < len(body):
            end = body.index(b"\0", at + 8) + 1 + int.from_bytes(body[at : at + 4], "little")
            items.append(body[at:end])
            at = end
        if at > len(body):
            raise ValueError("an item of the APEv2 tag is longer than the tag")
        return cls(body[:n_header], items, footer)

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
    """Return the tag, and where it is or would be: before Lyrics3 and ID3v1."""
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


def _info_of(path: Path) -> tuple[Chunk | None, list[bytes]]:
    """Return the texts of a WAV file, if there is a genre among them, each with all its bytes."""
    with path.open("rb") as file:
        for chunk in chunks(file):
            if chunk.name == b"LIST" and 4 <= chunk.size <= LONGEST_CHUNK:
                file.seek(chunk.start)
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
    _replace_info(path, [(i, bytes.fromhex(item)) for i, item in before.places or ()])


def _replace_info(path: Path, genres: Sequence[tuple[int, bytes]]) -> None:
    chunk, items = _info_of(path)
    if chunk is None:
        return
    items = [item for item in items if item[:4] != b"IGNR"]
    for at, item in genres:
        items.insert(at, item)
    body = b"INFO" + b"".join(items)
    stop = min(chunk.start + chunk.size + chunk.size % 2, path.stat().st_size)
    new = len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
    _splice(path, Span(chunk.start - 4, stop), new)
    with path.open("r+b") as file:
        file.seek(4)
        size = int.from_bytes(file.read(4), "little") + len(new) - (stop - chunk.start + 4)
        if 0 < size < 2**32 - 1:
            file.seek(4)
            file.write(size.to_bytes(4, "little"))


def _splice(path: Path, span: Span, new: bytes) -> None:
    """Put other bytes in the place of a part of a file."""
    with path.open("r+b") as file, tempfile.TemporaryFile(dir=path.parent) as rest:
        file.seek(span.stop)
        shutil.copyfileobj(file, rest)
        file.seek(span.start)
        file.write(new)
        rest.seek(0)
        shutil.copyfileobj(rest, file)
        file.truncate()


_FORMATS: Mapping[str, _Format] = {
    "id3": _Format(_read_id3, _write_id3, _restore_id3),
    "id3v1": _Format(_read_id3v1, _write_id3v1, _restore_id3v1),
    "vorbis": _Format(_read_vorbis, _write_vorbis, _restore_vorbis),
    "mp4": _with_key("mp4", "\xa9gen"),
    "freeform": _Format(_read_freeform, _write_freeform, _restore_freeform),
    "asf": _with_key("asf", "WM/Genre"),
    "ape": _Format(_read_ape, _write_ape, _restore_ape),
    "info": _Format(_read_info, _write_info, _restore_info),
}


class Backup:
    """File of what tags were before they were written, a line each.

    A line is on the disk before the file that it tells of is changed. It is made with the first
    line; an older backup of this name is added to.

    Parameters
    ----------
    file : Path

    Raises
    ------
    TagError
        If there is another file of this name.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        if file.exists():
            read_backup(file)

    def append(self, change: Change) -> None:
        """Keep what a tag was.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        is_new = not self.file.exists() or not self.file.stat().st_size
        with self.file.open("a+b") as file:
            if is_new:
                file.write(json.dumps(FORMAT).encode() + b"\n")
            else:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # of a run that was killed
                    file.write(b"\n")
            file.write(json.dumps(msgspec.to_builtins(change)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self.file.absolute().parent)


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file be on the disk too, where the system knows how."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def read_backup(file: Path) -> list[Change]:
    """Read what tags were before they were written, the first one first.

    A line that breaks off is left out: whoever wrote it was ended before the file was changed.

    Raises
    ------
    TagError
        If it is no backup of tags.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise TagError(f"{file}: {(error.strerror or str(error)).lower()}") from None
    try:
        first, *lines = content.split(b"\n") if content else [json.dumps(FORMAT).encode()]
        if json.loads(first) != FORMAT:
            raise ValueError("the first line")
        return [change for line in lines if line and (change := _change(line)) is not None]
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise TagError(f"{file}: not a backup of tags: {shortened(error, 200)}") from None


def _change(line: bytes) -> Change | None:
    try:
        plain = json.loads(line)
    except json.JSONDecodeError:
        return None
    before = plain.get("before") if isinstance(plain, dict) else None
    if isinstance(before, dict) and "v1" in before:  # in backups of old, no tag of its own
        number = before.pop("v1")
        if number is not None:
            before["others"] = [{"kind": "id3v1", "values": [str(number)]}]
    return msgspec.convert(plain, Change)
