"""Writing files so that they appear whole or not at all, and by one process at a time."""

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
    """Return what a name that was read from a document is called by the file system.

    Documents are UTF-8. File names are too, but a locale without it (LC_ALL=C) takes them apart
    into bytes.
    """
    return os.fsdecode(text.encode("utf-8", "surrogateescape"))


def shipped(folder: str) -> Path:
    """Return a folder that comes with genreclf, in a checkout as in an installed wheel."""
    package = Path(__file__).parent
    inside_wheel = package / folder
    return inside_wheel if inside_wheel.is_dir() else package.parent / folder


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` once all is on the disk.

    On an exception nothing is left behind and an older file stays as it was. The temporary name is
    short, whatever the name is, and keeps the suffix, by which writers choose their format.
    """
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, /dev/null, a named pipe
            yield path
        else:
            with _aside(path.resolve()) as aside:  # a link goes on to point at the file
                yield aside
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk names no file
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
    """Give an empty folder, which takes the place of ``path`` once all in it is on the disk.

    On an exception nothing is left behind and what was there before stays as it was.
    """
    aside, before = (path.with_name(f".genreclf-{secrets.token_hex(8)}") for _ in range(2))
    aside.mkdir()
    try:
        yield aside
        for written in aside.iterdir():
            with written.open("rb+") as file:
                os.fsync(file.fileno())
        if path.exists():
            path.replace(before)
        aside.replace(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if before.is_dir():
            shutil.rmtree(before, ignore_errors=True)
        else:
            before.unlink(missing_ok=True)


def beside(path: Path, ending: str) -> Path:
    """Name a file that belongs to another: by its whole name and an ending, if that fits."""
    name = path.name + ending
    if len(os.fsencode(name)) > LONGEST_NAME_BYTES:
        name = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:32] + ending
    return path.with_name(name)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes that ask for the same lock out.

    The lock is one of the operating system on the open file, and ends with the process, however
    that ends. The file is made where there is none, and removed in the end if it is empty.

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
            if sys.platform == "win32":  # which removes no open file
                file.close()
            with suppress(OSError):
                path.unlink()
        file.close()


def _open_and_lock(path: Path) -> BinaryIO:
    while True:
        file = path.open("ab")
        try:
            _lock(file)
            # Who had the lock before may have removed the file that was opened here.
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

            file.seek(2**30)  # a byte that is not there: Windows lets nobody read a locked one
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            raise BlockingIOError(error.errno, "locked by another process", file.name) from None
        # A file system without locks: nothing better is to be had there.
