"""``genreclf tags``: restore the genre tags that were replaced."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli import options
from genreclf.cli.output import (
    NOTHING_DONE,
    SOME_FAILED,
    detail,
    note,
    plural,
    print_error,
    say,
    verbosity_options,
)
from genreclf.errors import TagError

if TYPE_CHECKING:
    from genreclf.library.tagging import TagWriting


@click.group()
def tags() -> None:
    """Restore the genre tags that 'genreclf predict --write-tags' replaced.

    \b
    Examples:
      genreclf predict music/ --threshold auto --write-tags --backup tags.jsonl
      genreclf tags restore tags.jsonl --dry-run
      genreclf tags restore tags.jsonl
    """


@tags.command()
@click.argument("backup", type=options.FILE)
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@click.option("--force", is_flag=True, help="Also restore tags that were changed since.")
@verbosity_options
def restore(backup: Path, dry_run: bool, force: bool) -> None:
    """Restore the genre tags in a BACKUP.

    Each tag gets its previous genres back; a tag that had none gets none. Files whose genre tag has
    changed since then are skipped.

    \b
    Examples:
      genreclf tags restore tags.jsonl --dry-run
      genreclf tags restore tags.jsonl
    """
    from genreclf.library.tagging import restore_all

    restored = same = failed = 0
    for change, is_changed, error in restore_all(backup, dry_run=dry_run, force=force):
        if error is not None:
            print_error(error)
            failed += 1
        elif is_changed:
            say(_shown(change.path, change.after, change.before.genres))
            restored += 1
        else:
            same += 1
    done = "would be restored" if dry_run else "restored"
    note(f"{plural(restored, 'tag')} {done}, {same} already as before, {failed} failed")
    if failed:
        raise click.exceptions.Exit(SOME_FAILED if restored or same else NOTHING_DONE)


def _shown(path: Path | str, before: Sequence[str], after: Sequence[str]) -> str:
    old, new = (", ".join(values) or "none" for values in (before, after))
    return f"{path}: genre {old} -> {new}"


def open_backup(file: Path | None, dry_run: bool, only_missing: bool) -> "TagWriting":
    """Prepare to write tags, with a backup in this file, or in a new one of the data folder."""
    from genreclf.files import data_folder
    from genreclf.library.tagbackup import Backup
    from genreclf.library.tagging import TagWriting, new_backup

    if dry_run:
        return TagWriting(None, only_missing)
    return TagWriting(Backup(file) if file else new_backup(data_folder() / "tags"), only_missing)


def write_tag(writing: "TagWriting", path: Path, genre: str | None) -> None:
    """Write one genre, and print what changed or why it could not be written."""
    try:
        before = writing.write(path, genre)
    except TagError as error:
        print_error(str(error))
        return
    if before is not None and genre is not None:
        show = print_error if writing.backup is None else detail
        show(_shown(path, before, [genre]))


def report_tags(writing: "TagWriting") -> None:
    """Print how many tags were written, and how to undo it."""
    done = "would be written" if writing.backup is None else "written"
    others = f"{writing.unchanged} already as predicted"
    if writing.only_missing:
        others = f"{writing.left_alone} with a genre left alone"
    note(
        f"{plural(writing.written, 'tag')} {done}, {others}, "
        f"{writing.withheld} unknown or novel, {writing.failed} failed"
    )
    if writing.backup is not None and writing.written:
        note(f"to undo: genreclf tags restore {writing.backup.file}")
