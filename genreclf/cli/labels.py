"""``genreclf labels``: count, rename and correct the labels in a table or manifest."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import (
    SOME_FAILED,
    note,
    plural,
    print_error,
    report_written,
    stdout_console,
    verbosity_options,
    write_json,
)
from genreclf.errors import listed

if TYPE_CHECKING:
    from genreclf.tables.relabelling import Outputs, Relabelled

_MOST_NAMES = 20


@click.group()
def labels() -> None:
    """Count, rename and correct the labels in a table or manifest.

    Only labels change: features, frames, other columns and the order of rows stay, and nothing is
    extracted again. Each change is printed, and an undo file brings the old labels back.

    \b
    Examples:
      genreclf labels show features.csv
      genreclf labels rename folk Folk features.csv -o renamed.csv
      genreclf labels apply corrections.csv features.csv -o features2.csv
      genreclf labels apply features2.undo.csv features2.csv -o features3.csv
    """


@dataclass(frozen=True)
class _Places:
    """Where labels are, and where to write them."""

    output: Path
    undo: Path | None
    manifest: Path | None
    label_column: str

    def outputs(self) -> "Outputs":
        """Return the files to write."""
        from genreclf.tables.relabelling import Outputs

        if Path("-") in (self.output, self.undo, self.manifest):
            raise click.UsageError(
                "labels are written to files, not to standard output: give a name instead of -"
            )
        return Outputs(self.output, self.undo, self.manifest)


# fmt: off
_label_column = click.option(
    "--label-column", metavar="COLUMN", default="label", show_default=True,
    help="Column with the genre.",
)
_places = collected(
    _Places,
    click.option("-o", "--output", type=options.OUTPUT_TABLE, required=True, metavar="FILE",
                 help="Table or manifest to write, in the same format. It may be TABLE itself, "
                 "unless that is a folder."),
    click.option("--undo", type=options.OUTPUT_FILE, metavar="FILE",
                 help="Write corrections that bring the old labels back to this file. Default: "
                 "FILE.undo.csv beside the output, without its suffix."),
    click.option("--manifest", type=options.OUTPUT_FILE, metavar="FILE",
                 help="Write a manifest of all labels to this file, for extract --labels. Default: "
                 "FILE.manifest.csv beside a table."),
    _label_column, argument="places",
)
# fmt: on


@labels.command()
@click.argument("table", type=options.TABLE)
@_label_column
@click.option(
    "--group", metavar="COLUMN", default="group", show_default=True, help="Column with the group."
)
@options.json_file
@verbosity_options
def show(table: Path, label_column: str, group: str, json_file: Path | None) -> None:
    """Count the genres in a TABLE or manifest.

    Shows how many tracks and groups each genre has, how many tracks have no label, and which genres
    are probably one genre in several spellings: those that differ in upper case, spaces,
    punctuation or accents only.

    \b
    Examples:
      genreclf labels show features.csv
      genreclf labels show manifest.csv --json -
    """
    from genreclf.library.labelcounts import count_labels
    from genreclf.reports.labels import labels_report
    from genreclf.tables.labelfiles import read_labels

    found = read_labels(table, label_column, group)
    counts = count_labels(found.labels, found.groups)
    if json_file is not None:
        write_json(json_file, counts.to_dict(), "counts")
    else:
        labels_report(counts, stdout_console())


@labels.command()
@click.argument("corrections", type=options.FILE)
@click.argument("table", type=options.TABLE)
@_places
@verbosity_options
def apply(corrections: Path, table: Path, places: _Places) -> None:
    """Change labels in a TABLE or manifest to those in CORRECTIONS.

    CORRECTIONS is a CSV file with the columns path,label, such as the review page saves. Paths may
    be absolute or relative, or only the end of a path, if it fits one track. The label "not music",
    or an empty one, leaves a track without a label, so that training ignores it. The exit status is
    3 if a path is not in TABLE; the other corrections are applied.

    \b
    Examples:
      genreclf labels apply corrections.csv features.csv -o features2.csv
      genreclf labels apply corrections.csv manifest.csv -o manifest2.csv
      genreclf labels apply features2.undo.csv features2.csv -o features3.csv
    """
    from genreclf.tables.relabelling import apply_corrections

    outputs = places.outputs()
    _report(apply_corrections(corrections, table, outputs, places.label_column), places)


@labels.command()
@click.argument("names", nargs=-1, required=True, metavar="OLD NEW [OLD NEW]...")
@click.argument("table", type=options.TABLE)
@_places
@verbosity_options
def rename(names: tuple[str, ...], table: Path, places: _Places) -> None:
    """Rename genres in a TABLE or manifest.

    Each OLD genre becomes the NEW one that follows it. All are renamed at once, so that two names
    can be exchanged. An empty NEW ('') removes the label. The exit status is 3 if no track has one
    of the OLD genres; the others are renamed.

    \b
    Examples:
      genreclf labels rename folk Folk features.csv -o renamed.csv
      genreclf labels rename folk Folk rock 'Rock & Pop' manifest.csv -o renamed.csv
    """
    from genreclf.tables.relabelling import rename_genres

    if len(names) % 2:
        raise click.UsageError(f"{names[-1]}: has no new name; names come in pairs, then the table")
    pairs = list(zip(names[::2], names[1::2], strict=True))
    outputs = places.outputs()
    _report(rename_genres(pairs, table, outputs, places.label_column), places)


def _report(done: "Relabelled", places: _Places) -> None:
    """Print what changed and which files were written; exit with 3 if something did not fit."""
    plan = done.plan
    for change in plan.changes:
        note(str(change))
    for problem in plan.problems:
        print_error(problem)
    for text in done.notes:
        note(f"note: {text}")
    if n := len(plan.not_music):
        names = listed(plan.not_music, _MOST_NAMES)
        note(
            f"not music, so without a label and not used in training: {plural(n, 'track')}: {names}"
        )
    note(
        f"{plural(len(plan.changes), 'label')} changed, {plan.n_same} already as wanted, "
        f"{len(plan.problems)} not found"
    )
    report_written("labels", places.output)
    if done.manifest is not None:
        report_written("manifest", done.manifest)
    if done.undo is not None:
        column = places.label_column
        named = [] if column == "label" else ["--label-column", column]
        files = [str(done.undo), str(places.output)]
        undo = shlex.join(["genreclf", "labels", "apply", *named, *files])
        note(f"to undo: {undo} -o FILE")
    if plan.problems:
        raise click.exceptions.Exit(SOME_FAILED)
