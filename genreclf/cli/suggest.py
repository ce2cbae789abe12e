"""``genreclf suggest``: which tracks to label next."""

import json
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
    write_text,
)
from genreclf.cli.streams import record_writer
from genreclf.cli.training import load_checked
from genreclf.errors import GenreclfError, about

if TYPE_CHECKING:
    from genreclf.learning.model import Model
    from genreclf.learning.suggestion import Method, Suggestion
    from genreclf.tables.table import FeatureTable


def _check_playlist(path: Path) -> None:
    """Refuse other suffixes, so that a playlist cannot overwrite a table."""
    if path.suffix.lower() not in (".m3u8", ".m3u"):
        raise GenreclfError(f"{path}: the name of a playlist ends in .m3u8")


@dataclass(frozen=True)
class SuggestOptions:
    """The arguments of ``suggest``."""

    table: Path
    number: int
    model: Path | None
    trust: bool
    unlabelled: tuple[Path, ...]
    without: tuple[Path, ...]
    method: "Method"
    learning: options.Learning
    table_options: options.TableOptions
    output_format: str
    playlist: Path | None
    html_file: Path | None

    def check(self) -> None:
        """Refuse options that would have no effect."""
        if self.model is not None and not self.learning.is_default:
            raise click.UsageError(
                "--model is trained already: it excludes --classifier, --search, --config and --set"
            )
        if self.trust and self.model is None:
            raise click.UsageError("--trust needs --model")


@click.command()
@click.argument("table", type=options.TABLE)
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
    help="Number of tracks to suggest.",
)  # fmt: skip
@click.option(
    "--model", type=options.FILE, metavar="FILE",
    help="Use this model instead of one that is trained on the labels in TABLE.",
)  # fmt: skip
@options.trust
@click.option(
    "--unlabelled", type=options.TABLE, metavar="TABLE", multiple=True,
    help="Also choose from the tracks of this table, whose labels do not count; repeatable.",
)  # fmt: skip
@click.option(
    "--without", type=options.FILE, metavar="CORRECTIONS", multiple=True,
    help="Leave out the tracks in this file of corrections, such as those that are not music; "
    "repeatable.",
)  # fmt: skip
@click.option(
    "--method", type=click.Choice(["clusters", "margin", "random"]), default="clusters",
    show_default=True,
    help="clusters: of uncertain tracks, one of each cluster; margin: the most uncertain ones, "
    "which can be similar; random: for comparison.",
)  # fmt: skip
@options.learning
@options.table
@options.output_format
@click.option(
    "--playlist", type=options.OutputFile(check=_check_playlist), metavar="FILE.m3u8",
    help="Also write the tracks as a playlist.",
)  # fmt: skip
@click.option(
    "--html", "html_file", type=options.REPORT_FILE, metavar="FILE",
    help="Also write a page to this file, on which you listen to the tracks in a browser and "
    "choose their genres (see genreclf labels apply).",
)  # fmt: skip
@verbosity_options
@collected(SuggestOptions)
def suggest(args: SuggestOptions) -> None:
    """Suggest which unlabelled tracks of a TABLE to label next.

    A model is trained on the labelled tracks. Of the tracks that it is unsure of, those are
    suggested that differ from each other, so that few labels teach it much. Without labels of two
    genres, or a model, the suggestions are typical tracks of the whole table. 'genreclf labels
    apply' writes the labels that you choose into the table.

    \b
    Examples:
      genreclf suggest library.csv
      genreclf suggest library.csv -n 10 --playlist next.m3u8
      genreclf suggest library.csv --html review.html
      genreclf suggest library.csv --model model.joblib --format jsonl
      genreclf suggest features.csv --unlabelled library.csv --without corrections.csv
    """
    from genreclf.learning.suggestion import suggest as choose_tracks
    from genreclf.learning.suggestion import unlabelled
    from genreclf.library.corrections import read_corrections
    from genreclf.reports.review import labels_command
    from genreclf.reports.suggestions import suggestions_page
    from genreclf.tables.reading import load_table

    args.check()
    columns = args.table_options.columns()
    table = load_checked(args.table, columns, args.learning)
    others = [(path, load_table(path, columns)) for path in args.unlabelled]
    excluded = [item.path for file in args.without for item in read_corrections(file).items]
    tracks = unlabelled(table, others, excluded)
    model = _model(args, table)
    explained = args.html_file is not None
    with about(args.table):
        found = choose_tracks(tracks, args.number, model, method=args.method, explained=explained)
    note(f"{len(found)} of {plural(len(tracks), 'unlabelled track')}")
    _print(found, args.output_format)
    if args.html_file is not None:
        genres = {*table.genres, *(model.genres if model else ())}
        command = labels_command(args.table, args.table_options.label_column)
        page = suggestions_page(found, sorted(genres), table.config, command)
        write_text(args.html_file, page, "review page")
    if args.playlist is not None:
        _write_playlist(args.playlist, [suggestion.path for suggestion in found])


def _model(args: SuggestOptions, table: "FeatureTable") -> "Model | None":
    from genreclf.learning.model import Model

    if args.model is not None:
        return Model.load(args.model, trusted=args.trust)
    if len(table.genres) < 2:
        note(
            "note: there is no model yet, because fewer than two genres have labels; these are "
            "typical tracks of the table"
        )
        return None
    return Model.fit(table, args.learning.settings(), search=args.learning.search)


def _print(found: "list[Suggestion]", output_format: str) -> None:
    from genreclf.reports.suggestions import (
        COLUMNS,
        suggestion_cells,
        suggestion_record,
        suggestions_table,
    )

    if output_format == "jsonl":
        for suggestion in found:
            click.echo(json.dumps(suggestion_record(suggestion)))
    elif output_format == "csv":
        write = record_writer()
        write(COLUMNS)
        for suggestion in found:
            write(suggestion_cells(suggestion))
    else:
        stdout_console().print(suggestions_table(found))


def _write_playlist(file: Path, paths: list[str]) -> None:
    from genreclf.parallel.workers import Workers
    from genreclf.reports.playlists import write_playlist

    with Workers(1) as workers:
        left_out = write_playlist(file, "to label", paths, workers)
    report_written("playlist", file)
    for path in left_out:
        print_error(f"{path}: in no playlist; its name is not one line of text")
    if left_out:
        raise click.exceptions.Exit(SOME_FAILED)
