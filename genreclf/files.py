"""Files that are written whole or not at all, and by one process at a time."""

import errno
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

LONGEST_NAME_BYTES = 255  # of most file systems
_LONGEST_SUFFIX_BYTES = 100


def on_disk(text: str) -> str:
    """Return the file system's form of a name from a document.

    Documents are in UTF-8; Python reads file names by the locale, as bytes if that is LC_ALL=C.
    """
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def shipped(folder: str) -> Path:
    """Return a folder that comes with genreclf, in a checkout or in an installed wheel."""
    package = Path(__file__).parent
    inside_wheel = package / folder
    return inside_wheel if inside_wheel.is_dir() else package.parent / folder


def data_folder() -> Path:
    """Return the folder of the user's own data, which may not exist yet."""
    folder = os.environ.get("GENRECLF_DATA")
    if folder:
        return Path(folder)
    from platformdirs import user_data_path

    return user_data_path("genreclf")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which replaces ``path`` when everything is on the disk.

    After an exception nothing is left behind, and an older file stays as it was. The temporary name
    is short, and has the same suffix, by which writers choose their format.
    """
    with _named_errors(path):
        if path.exists() and not path.is_file():  # /dev/stdout, /dev/null, a named pipe
            yield path
        else:
            with _aside(path.resolve()) as aside:  # a link still points at the file
                yield aside


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Let errors of the operating system that name no file name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk has none
            error.filename = str(path)
        raise


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    suffix = path.suffix if len(os.fsencode(path.suffix)) <= _LONGEST_SUFFIX_BYTES else ""
    aside = path.with_name(f".genreclf-{secrets.token_hex(8)}{suffix}")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which replaces ``path`` when everything in it is on the disk.

    After an exception nothing is left behind, and what was there before stays as it was.
    """
    with _named_errors(path), _folder_aside(path.resolve()) as aside:  # a link still points at it
        yield aside


@contextmanager
def _folder_aside(path: Path) -> Iterator[Path]:
    aside, before = (path.with_name(f".genreclf-{secrets.token_hex(8)}") for _ in range(2))
    aside.mkdir()
    try:
        yield aside
        for written in aside.iterdir():
            with written.open("rb+") as file:
                os.fsync(file.fileno())
        if path.exists():
            path.replace(before)
        try:
            aside.replace(path)
        except OSError:
            if before.exists():
                before.replace(path)
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if before.is_dir():
            shutil.rmtree(before, ignore_errors=True)
        else:
            before.unlink(missing_ok=True)


def beside(path: Path, ending: str) -> Path:
    """Return the name of a file that belongs to another: its name and an ending, if that fits."""
    name = path.name + ending
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32] + ending
    return path.with_name(name)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock that only one process can have.

    The operating system's lock on the open file ends with the process, however that ends. The file
    is made if it does not exist, and removed at the end if it is empty. filelock never removes its
    files, and its import takes 45 ms.

    Raises
    ------
    BlockingIOError
        If another process has the lock.
    """
    file = _open_and_lock(path)
    try:
        yield
    finally:
        if path.stat().st_size == 0:
            if sys.platform == "win32":  # which does not remove open files
                file.close()
            with suppress(OSError):
                path.unlink()
        file.close()


def _open_and_lock(path: Path) -> BinaryIO:
    while True:
        file = path.open("ab")
        try:
            _lock(file)
            # The process that had the lock before may have removed the file that was opened here.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _lock(file: BinaryIO) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(2**30)  # a byte beyond the end, because Windows blocks reading a locked byte
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise BlockingIOError(error.errno, "locked by another process", file.name) from None
        # Else the file system has no locks, and there is nothing better.
