"""Genre tags inside audio files: written so that nothing is lost, and put back as they were.

A file is never changed in place: a copy beside it is, which then takes its place. What the tag was
is in a backup, on the disk, before that.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from genreclf.errors import TagError, shortened
from genreclf.files import written_whole

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

_ID3V1_BYTES = 128
_NO_ID3V1_GENRE = 255
_LATIN1, _UTF16, _UTF8 = 0, 1, 3  # encodings of texts in ID3, the last one from 2.4 on


class GenreTag(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The genre tag of a file, with all that it takes to write it again.

    Attributes
    ----------
    kind : str
        "id3", "vorbis", "mp4", "asf" or "ape".
    values : list of str or None
        As they are in the file; None if it has no such tag.
    tagged : bool
        Whether the file has tags at all.
    version : tuple of int, optional
        Of ID3.
    encoding : int, optional
        Of the texts in ID3.
    v1 : int, optional
        The number of the genre in ID3v1, where there is one.
    places : list, optional
        Where in Vorbis comments the values are, and how their keys are spelt.
    """

    kind: str
    values: list[str] | None = None
    tagged: bool = True
    version: tuple[int, ...] | None = None
    encoding: int | None = None
    v1: int | None = None
    places: list[tuple[int, str]] | None = None

    def reads(self, values: Sequence[str]) -> bool:
        """Tell whether these are its values."""
        return list(values) == self.values


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A genre tag before and after it was written."""

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
        return _format_of(path).read(path)


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
        found = _format_of(path, copy)
        found.write(copy, change.before, change.after)
        _require_values(path, found.read(copy), change.after)
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
        found = _format_of(path, copy)
        found.restore(copy, change.before)
        _require_values(path, found.read(copy), change.before.values)
    return True


def _require_values(path: Path, tag: GenreTag, values: Sequence[str] | None) -> None:
    """Refuse a copy in which the tag cannot be found again, as in damaged files."""
    if tag.values != (None if values is None else list(values)):
        raise TagError(f"{path}: its genre tag cannot be written; the file is damaged")


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
    if now.values == change.before.values:
        return True
    if not (force or now.reads(change.after)):
        raise TagError(
            f"{path}: its genre tag was changed since, to {_shown(now.values)}; --force restores "
            f"{_shown(change.before.values)} all the same"
        )
    return False


def _shown(values: Sequence[str] | None) -> str:
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


def _format_of(path: Path, content: Path | None = None) -> _Format:
    import mutagen
    from mutagen.aiff import AIFF
    from mutagen.apev2 import APEv2File
    from mutagen.asf import ASF
    from mutagen.dsf import DSF
    from mutagen.flac import FLAC
    from mutagen.id3 import ID3FileType
    from mutagen.mp4 import MP4
    from mutagen.ogg import OggFileType
    from mutagen.wave import WAVE

    file = mutagen.File(content or path)
    for kinds, found in (
        ((ID3FileType, AIFF, DSF, WAVE), _Format(_read_id3, _write_id3, _restore_id3)),
        ((FLAC, OggFileType), _Format(_read_vorbis, _write_vorbis, _restore_vorbis)),
        ((MP4,), _with_key("mp4", "\xa9gen")),
        ((ASF,), _with_key("asf", "WM/Genre")),
        ((APEv2File,), _with_key("ape", "Genre")),
    ):
        if isinstance(file, kinds):
            return found
    raise TagError(f"{path}: not a kind of file whose genre tag can be written")


def _open(path: Path, **options: Any) -> Any:
    import mutagen

    return type(mutagen.File(path))(path, **options)


def _with_tags(path: Path, **options: Any) -> Any:
    file = _open(path, **options)
    if file.tags is None:
        file.add_tags()
    return file


def _read_id3(path: Path) -> GenreTag:
    # Not translated into ID3v2.4, so that all else is written as it was read.
    tags = _open(path, translate=False, load_v1=False).tags
    v1 = _id3v1(path)
    number = None if v1 is None else v1[-1]
    if tags is None:
        return GenreTag("id3", tagged=False, v1=number)
    frames = tags.getall("TCON")
    return GenreTag(
        "id3",
        [str(text) for frame in frames for text in frame.text] if frames else None,
        version=tuple(tags.version),
        encoding=int(frames[0].encoding) if frames else None,
        v1=number,
    )


def _write_id3(path: Path, before: GenreTag, values: Sequence[str]) -> None:
    from mutagen.id3 import TCON

    # What only ID3v1 had goes into the new tag too: players look there alone, once there is one.
    file = _with_tags(path, translate=False, load_v1=not before.tagged)
    encoding = _LATIN1
    if not all(value.isascii() for value in values):
        encoding = _UTF8 if _id3_version(before) == 4 else _UTF16
    file.tags.setall("TCON", [TCON(encoding=encoding, text=list(values))])
    _save_id3(path, file, before, _id3v1_number(values[0]))


def _restore_id3(path: Path, before: GenreTag) -> None:
    from mutagen.id3 import TCON

    file = _with_tags(path, translate=False, load_v1=False)
    if before.values is not None:
        frame = TCON(encoding=before.encoding or _LATIN1, text=before.values)
        file.tags.setall("TCON", [frame])
    else:
        file.tags.delall("TCON")
        if not before.tagged and file.tags.keys() <= _keys_from_id3v1(path):
            _delete_id3(path, file)
            _put_id3v1_number(path, before.v1)
            return
    _save_id3(path, file, before, before.v1)


def _save_id3(path: Path, file: Any, before: GenreTag, number: int | None) -> None:
    """Save all as it was, in the same version of ID3, but for the genre."""
    v1 = _id3v1(path)
    file.save(v2_version=_id3_version(before), v23_sep=None)
    if v1 is not None:  # which mutagen makes anew of what ID3v2 says
        _overwrite_end(path, v1)
        _put_id3v1_number(path, number)


def _id3_version(tag: GenreTag) -> int:
    """Return 3 of what was 2.2, which nothing writes any more."""
    return 3 if tag.version is not None and tag.version[:2] in ((2, 2), (2, 3)) else 4


def _delete_id3(path: Path, file: Any) -> None:
    from mutagen.id3 import ID3FileType, delete

    if isinstance(file, ID3FileType):
        delete(path, delete_v1=False, delete_v2=True)
    else:
        file.delete()


def _id3v1(path: Path) -> bytes | None:
    """Return the last bytes of a file where those are ID3v1."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _ID3V1_BYTES + 3:
            return None
        file.seek(-_ID3V1_BYTES - 3, os.SEEK_END)
        end = file.read()
    return end[3:] if end[3:6] == b"TAG" and end[:3] != b"APE" else None


def _put_id3v1_number(path: Path, number: int | None) -> None:
    if number is not None and _id3v1(path) is not None:
        _overwrite_end(path, bytes([number]))


def _overwrite_end(path: Path, end: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(-len(end), os.SEEK_END)
        file.write(end)


def _id3v1_number(genre: str) -> int:
    from mutagen.id3 import TCON

    names = [name.casefold() for name in TCON.GENRES]
    return names.index(genre.casefold()) if genre.casefold() in names else _NO_ID3V1_GENRE


def _keys_from_id3v1(path: Path) -> set[str]:
    from mutagen.id3 import ParseID3v1

    frames = ParseID3v1(_id3v1(path) or b"") or {}
    return {frame.HashKey for frame in frames.values()}


def _read_vorbis(path: Path) -> GenreTag:
    tags = _open(path).tags
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
        tags = _open(path).tags
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
    return msgspec.convert(plain, Change)
