"""The backup of genre tags: a file with the tags as they were before they were replaced."""

import json
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from genreclf.errors import TagError, shortened
from genreclf.library.genretags import GenreTag

FORMAT = {"format": "genreclf-tags", "format_version": 1}


class Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The genre of a file before and after it was written."""

    path: str
    before: GenreTag
    after: list[str]


class Backup:
    """A file with the previous content of tags, one line per tag.

    A line is on the disk before the audio file is changed. The backup is created with the first
    line; lines are added to an older backup of this name.

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
        """Store what a tag was.

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
                if file.read(1) != b"\n":  # after a run that was killed
                    file.write(b"\n")
            file.write(json.dumps(msgspec.to_builtins(change)).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync_folder(self.file.absolute().parent)


def _sync_folder(folder: Path) -> None:
    """Write the name of a new file to the disk too, if the system can."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def read_backup(file: Path) -> list[Change]:
    """Read what tags were before they were written, the first one first.

    An incomplete line is left out: its writer was stopped before the audio file was changed.

    Raises
    ------
    TagError
        If it is not a backup of tags.
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
    if isinstance(before, dict) and "v1" in before:  # in older backups, not a tag of its own
        number = before.pop("v1")
        if number is not None:
            before["others"] = [{"kind": "id3v1", "values": [str(number)]}]
    return msgspec.convert(plain, Change)
