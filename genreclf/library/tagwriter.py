"""Write genre tags into audio files so that nothing is lost, and restore them as they were.

A genre is written into the tags that players of such files look at first, and into all others that
hold a genre, so that no player shows the old one. A file gets a new kind of tags only if it has no
genre, or none but a number in ID3v1.

A file is never changed in place: a changed copy replaces it. Before that, a backup on the disk
holds what the tags were.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from genreclf.errors import TagError, shortened
from genreclf.files import written_whole
from genreclf.library.containers import kind_of
from genreclf.library.genretags import GenreTag, as_written
from genreclf.library.itemtags import ITEM_KINDS
from genreclf.library.mutagentags import MUTAGEN_KINDS
from genreclf.library.tagbackup import Backup, Change
from genreclf.library.tags import PLACES

_KINDS = {**MUTAGEN_KINDS, **ITEM_KINDS}


def read_genre(path: Path) -> GenreTag:
    """Read the genre tag of an audio file as it is.

    Raises
    ------
    TagError
        If the file cannot be read, or is of a kind that has no tags.
    """
    with _errors_in_one_line(path):
        return _read(path)


def _read(path: Path, content: Path | None = None) -> GenreTag:
    with (content or path).open("rb") as file:
        kind = kind_of(file, path.suffix)
    places = [place for place in PLACES.get(kind, ()) if place in _KINDS]
    if not places:
        raise TagError(f"{path}: not a kind of file whose genre tag can be written")
    own, *others = (_KINDS[place].read(content or path) for place in places)
    return msgspec.structs.replace(own, others=[tag for tag in others if tag.values is not None])


def write_genre(path: Path, change: Change, backup: Backup) -> None:
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
        If the file or the backup cannot be written; then the file is unchanged.
    """
    with _changed_copy(path) as copy:
        for tag in change.before.to_write:
            _KINDS[tag.kind].write(copy, tag, change.after)
        _require(path, _holds(_read(path, copy), _after(change)))
        backup.append(change)


def restore(path: Path, change: Change, *, force: bool = False) -> bool:
    """Restore the tag that was there before a change.

    Parameters
    ----------
    path : Path
    change : Change
    force : bool
        Also if the tag has changed since.

    Returns
    -------
    bool
        False if the tag already is what it was before the change.

    Raises
    ------
    TagError
        If the file cannot be written, or the tag has changed since.
    """
    if is_restored(path, change, force=force):
        return False
    with _changed_copy(path) as copy:
        now = _read(path, copy)
        for tag in (change.before, *change.before.others):
            if not _holds(now, {tag.kind: tag.values}):
                _KINDS[tag.kind].restore(copy, tag)
        _require(path, _holds(_read(path, copy), _before(change)))
    return True


def _require(path: Path, found: bool) -> None:
    """Refuse a copy whose genre is not found again, as in damaged files."""
    if not found:
        raise TagError(f"{path}: its genre tag cannot be written; the file is damaged")


def _before(change: Change) -> Mapping[str, list[str] | None]:
    return {tag.kind: tag.values for tag in (change.before, *change.before.others)}


def _after(change: Change) -> Mapping[str, list[str] | None]:
    return {tag.kind: as_written(tag, change.after) for tag in change.before.to_write}


def _holds(now: GenreTag, expected: Mapping[str, list[str] | None]) -> bool:
    """Return True if the kinds of tags that are still there hold the expected values."""
    values = {tag.kind: tag.values for tag in (now, *now.others)}
    return all(values.get(kind, wanted) == wanted for kind, wanted in expected.items())


def is_restored(path: Path, change: Change, *, force: bool = False) -> bool:
    """Return True if the tag is what it was before a change.

    Raises
    ------
    TagError
        If it is neither what it was before nor what it was after the change.
    """
    now = read_genre(path)
    if now.kind != change.before.kind:
        raise TagError(f"{path}: not the kind of file whose tag was written")
    if _holds(now, _before(change)):
        return True
    if not (force or _holds(now, _after(change))):
        raise TagError(
            f"{path}: its genre tag was changed since, to {_shown(now.genres)}; --force restores "
            f"{_shown(change.before.genres)} anyway"
        )
    return False


def _shown(values: Sequence[str]) -> str:
    return shortened(", ".join(values)) if values else "none"


@contextmanager
def _errors_in_one_line(path: Path) -> Iterator[None]:
    """Turn any exception that damaged tags raise into one line."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TagError(f"{path}: not a file, so it has no tags")
        yield
    except TagError:
        raise
    except OSError as error:
        raise TagError(f"{path}: {(error.strerror or str(error)).lower()}") from None
    except Exception as error:
        cause = error.args[0] if error.args else None  # mutagen wraps errors of the system
        if isinstance(cause, OSError) and cause.strerror:
            raise TagError(f"{path}: {cause.strerror.lower()}") from None
        reason = shortened(str(error) or type(error).__name__, 200)
        raise TagError(f"{path}: its tags cannot be read or written: {reason}") from None


def require_writable(path: Path) -> None:
    """Refuse a read-only file.

    Raises
    ------
    TagError
        If it is read-only.
    """
    with _errors_in_one_line(path):
        # A file without permission to write is protected on purpose, also from root.
        if not path.stat().st_mode & 0o222 or not os.access(path, os.W_OK):
            raise TagError(f"{path}: its genre tag cannot be written; the file is read-only")


@contextmanager
def _changed_copy(path: Path) -> Iterator[Path]:
    """Yield a copy to change, which then replaces the file."""
    require_writable(path)
    with _errors_in_one_line(path), written_whole(path) as copy:
        shutil.copyfile(path, copy)
        if hasattr(os, "chown"):
            with suppress(PermissionError):  # only root may change the owner
                os.chown(copy, path.stat().st_uid, path.stat().st_gid)
        shutil.copystat(path, copy)
        yield copy
