"""Write genres into the tags of many files, and restore them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from genreclf.errors import TagError
from genreclf.library.tagbackup import Backup, Change, read_backup
from genreclf.library.tagwriter import (
    is_restored,
    read_genre,
    require_writable,
    restore,
    write_genre,
)


@dataclass
class TagWriting:
    """Writes genres into files, and counts what happened.

    Attributes
    ----------
    backup : Backup or None
        Gets what the tags were; None writes nothing.
    only_missing : bool
        Leave files alone that have a genre in any of their tags.
    written, unchanged, left_alone, withheld, failed : int
        Files that were (or would be) written, had the genre already, had another one and were left
        alone, got no genre, and could not be written.
    """

    backup: Backup | None
    only_missing: bool = False
    written: int = 0
    unchanged: int = 0
    left_alone: int = 0
    withheld: int = 0
    failed: int = 0

    def write(self, path: Path, genre: str | None) -> list[str] | None:
        """Write the genre of a file.

        Returns
        -------
        list of str or None
            The genres that it replaces; None if the file stays as it is.

        Raises
        ------
        TagError
            If the file cannot be written.
        """
        if genre is None:
            self.withheld += 1
            return None
        try:
            return self._write(path, genre)
        except TagError:
            self.failed += 1
            raise

    def _write(self, path: Path, genre: str) -> list[str] | None:
        before = read_genre(path)
        if self.only_missing and before.genres:
            self.left_alone += 1
            return None
        if before.reads([genre]):
            self.unchanged += 1
            return None
        if self.backup is None:
            require_writable(path)
        else:
            write_genre(path, Change(str(path.absolute()), before, [genre]), self.backup)
        self.written += 1
        return list(before.genres)


def new_backup(folder: Path) -> Backup:
    """Return a backup in a new file of the folder, named by date and time."""
    folder.mkdir(parents=True, exist_ok=True)
    stem, n = f"{datetime.now().astimezone():%Y-%m-%d-%H%M%S}", 1
    file = folder / f"{stem}.jsonl"
    while file.exists():
        n += 1
        file = folder / f"{stem}-{n}.jsonl"
    return Backup(file)


class Restored(NamedTuple):
    """One change of a backup: whether it was taken back, or why it could not be."""

    change: Change
    is_changed: bool
    error: str | None = None


def restore_all(backup: Path, *, dry_run: bool = False, force: bool = False) -> Iterator[Restored]:
    """Take back the changes of a backup, the last one first.

    Of a file that was written twice, the first tag is what it had.

    Parameters
    ----------
    backup : Path
    dry_run : bool
        Change nothing, and yield what would be.
    force : bool
        Also restore tags that were changed since.

    Raises
    ------
    TagError
        If the file is not a backup of tags.
    """
    pending: set[str] = set()
    for change in reversed(read_backup(backup)):
        path = Path(change.path)
        try:
            if dry_run:
                # The result of earlier steps is not known in a dry run.
                changes = change.path in pending or not is_restored(path, change, force=force)
                pending.add(change.path)
            else:
                changes = restore(path, change, force=force)
        except TagError as error:
            yield Restored(change, False, str(error))
        else:
            yield Restored(change, changes)
