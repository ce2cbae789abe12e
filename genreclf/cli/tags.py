"""``genreclf tags``: genre tags that were written, and put back as they were."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli.options import FILE, NOTHING_DONE, SOME_FAILED
from genreclf.cli.output import complain, detail, note, plural, say, verbosity_options
from genreclf.errors import TagError

if TYPE_CHECKING:
    from genreclf.learning.model import Prediction
    from genreclf.library.tagplaces import GenreTag
    from genreclf.library.tagwriter import Backup


@click.group()
def tags() -> None:
    """Put genre tags back as they were before 'genreclf predict --write-tags'.

    \b
    Examples:
      genreclf predict music/ --threshold auto --write-tags --backup tags.jsonl
      genreclf tags restore tags.jsonl --dry-run
      genreclf tags restore tags.jsonl
    """


@tags.command()
@click.argument("backup", type=FILE)
@click.option("--dry-run", is_flag=True, help="Only tell what would change.")
@click.option("--force", is_flag=True, help="Also where a tag was changed again since.")
@verbosity_options
def restore(backup: Path, dry_run: bool, force: bool) -> None:
    """Put back the genre tags that a BACKUP holds.

    Each tag gets the genres that it had, or none if it had none. A file whose genre tag was changed
    again since is left alone.

    \b
    Examples:
      genreclf tags restore tags.jsonl --dry-run
      genreclf tags restore tags.jsonl
    """
    from genreclf.library.tagwriter import is_restored, read_backup
    from genreclf.library.tagwriter import restore as put_back

    restored = same = failed = 0
    # The last one first: where a file was written twice, the first tag is what it had.
    pending: set[str] = set()
    for change in reversed(read_backup(backup)):
        path = Path(change.path)
        try:
            if dry_run:
                # What is to be changed before cannot be looked at yet.
                changes = change.path in pending or not is_restored(path, change, force=force)
                pending.add(change.path)
            else:
                changes = put_back(path, change, force=force)
        except TagError as error:
            complain(str(error))
            failed += 1
            continue
        restored, same = restored + changes, same + (not changes)
        if changes:
            say(_told(path, change.after, change.before.genres))
    done = "would be restored" if dry_run else "restored"
    note(f"{plural(restored, 'tag')} {done}, {same} as before already, {failed} failed")
    if failed:
        raise click.exceptions.Exit(SOME_FAILED if restored or same else NOTHING_DONE)


def _told(path: Path, before: Sequence[str], after: Sequence[str]) -> str:
    """Show a change in one line."""
    old, new = (", ".join(values) or "none" for values in (before, after))
    return f"{path}: genre {old} -> {new}"


@dataclass
class Tagging:
    """Writes predicted genres into files' tags, and counts; without a backup it only tells."""

    backup: "Backup | None"
    only_missing: bool = False
    written: int = 0
    same: int = 0
    left_alone: int = 0
    withheld: int = 0
    failed: int = 0

    @classmethod
    def into(cls, file: Path | None, *, dry_run: bool, only_missing: bool) -> "Tagging":
        """Choose the backup: a new one in the user's data folder if no other is asked for."""
        from genreclf.library.tagwriter import Backup

        return cls(None if dry_run else Backup(file or _new_backup()), only_missing)

    def write(self, prediction: "Prediction") -> None:
        """Write one genre; what cannot be written is told and counted."""
        from genreclf.learning.model import UNKNOWN
        from genreclf.library.tagwriter import read_genre

        if prediction.genre == UNKNOWN or prediction.novel:
            self.withheld += 1
            return
        path, genre = Path(prediction.path), prediction.genre
        try:
            before = read_genre(path)
            if self.only_missing and before.genres:
                self.left_alone += 1
            elif before.reads([genre]):
                self.same += 1
            else:
                self._write(path, before, genre)
                self.written += 1
        except TagError as error:
            complain(str(error))
            self.failed += 1

    def _write(self, path: Path, before: "GenreTag", genre: str) -> None:
        from genreclf.library.tagwriter import Change, require_writable, write_genre

        told = _told(path, before.genres, [genre])
        if self.backup is None:
            require_writable(path)
            complain(told)
        else:
            write_genre(path, Change(str(path.absolute()), before, [genre]), self.backup)
            detail(told)

    def tell(self) -> None:
        """Tell what was done, and how to undo it."""
        done = "would be written" if self.backup is None else "written"
        others = f"{self.same} as predicted already"
        if self.only_missing:
            others = f"{self.left_alone} with a genre left alone"
        note(
            f"{plural(self.written, 'tag')} {done}, {others}, "
            f"{self.withheld} unknown or novel, {self.failed} failed"
        )
        if self.backup is not None and self.written:
            note(f"to undo it: genreclf tags restore {self.backup.file}")


def _new_backup() -> Path:
    from genreclf.learning.modelfile import data_folder

    folder = data_folder() / "tags"
    folder.mkdir(parents=True, exist_ok=True)
    stem, n = f"{datetime.now().astimezone():%Y-%m-%d-%H%M%S}", 1
    file = folder / f"{stem}.jsonl"
    while file.exists():
        n += 1
        file = folder / f"{stem}-{n}.jsonl"
    return file
