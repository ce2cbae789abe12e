"""Writing files so that they appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["written_whole"]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path to write to, which takes the place of ``path`` once all is on the disk.

    On an exception nothing is left behind and an older file stays as it was. The temporary name
    keeps the suffix, by which writers choose their format.
    """
    if path.exists() and not path.is_file():  # /dev/stdout, /dev/null, a named pipe
        yield path
        return
    path = path.resolve()  # a link goes on to point at the file
    aside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield aside
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
