"""Output of ``genreclf predict``: predictions as they come, playlists, and tags of the files."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.output import note, plural, print_error, stdout_console
from genreclf.cli.streams import record_writer
from genreclf.cli.tags import open_backup, report_tags, write_tag

if TYPE_CHECKING:
    from genreclf.cli.predict import PredictOptions
    from genreclf.extraction.tracks import Failure
    from genreclf.learning.model import Model
    from genreclf.learning.networktags import NetworkTags
    from genreclf.learning.prediction import Prediction
    from genreclf.library.tagging import TagWriting
    from genreclf.parallel.workers import Workers
    from genreclf.reports.playlists import Playlists
    from genreclf.reports.records import Result

# Rows of a table that are printed at a time, so that thousands of files need no memory.
TABLE_ROWS = 200


@dataclass(frozen=True)
class FileOutputs:
    """The playlists and tags that predictions are written to."""

    playlists: "Playlists | None"
    tags: "TagWriting | None"

    @classmethod
    def of(cls, args: "PredictOptions") -> "FileOutputs":
        """Prepare the folder and the backup, so that errors show before hours of work."""
        playlists = tags = None
        if args.write_tags:
            tags = open_backup(args.backup, args.dry_run, args.only_missing)
        if args.m3u is not None:
            from genreclf.reports.playlists import Playlists

            args.m3u.mkdir(parents=True, exist_ok=True)
            playlists = Playlists(args.m3u)
        return cls(playlists, tags)

    def each(self, results: "Iterable[Prediction | Failure]") -> "Iterator[Prediction | Failure]":
        """Yield each result after its tag is written."""
        from genreclf.extraction.tracks import Failure
        from genreclf.learning.prediction import UNKNOWN

        for result in results:
            if not isinstance(result, Failure):
                if self.playlists is not None:
                    self.playlists.add("novel" if result.novel else result.genre, result.path)
                if self.tags is not None:
                    withheld = result.novel or result.genre == UNKNOWN
                    write_tag(self.tags, Path(result.path), None if withheld else result.genre)
            yield result

    def finish(self, workers: "Workers") -> bool:
        """Write the playlists, and print what was done; return True if some files are left out."""
        left_out: list[str] = []
        if self.playlists is not None:
            written, left_out = self.playlists.write(workers)
            older = self.playlists.n_replaced
            note(
                f"{plural(len(written), 'playlist')} written to {self.playlists.folder}"
                + (f" ({older} replaced)" if older else "")
            )
            for path in left_out:
                print_error(f"{path}: in no playlist; its name is not one line of text")
        if self.tags is not None:
            report_tags(self.tags)
        return bool(left_out or (self.tags is not None and self.tags.failed))


def write_results(
    results: "Iterable[Result]",
    model: "Model",
    args: "PredictOptions",
    tags: "NetworkTags | None" = None,
) -> None:
    """Print results in the chosen format, as they come."""
    if args.output_format == "jsonl":
        _write_jsonl(results, args.top)
    elif args.output_format == "csv":
        of_tags = tags.labels if tags else ()
        _write_csv(results, model.genres, windows=args.timeline, tags=of_tags)
    else:
        _write_tables(results, args.top)


def _write_jsonl(results: "Iterable[Result]", top: int) -> None:
    from genreclf.reports.records import json_record

    for result in results:
        click.echo(json.dumps(json_record(result, top)))


def _write_csv(
    results: "Iterable[Result]", genres: list[str], *, windows: bool, tags: Sequence[str]
) -> None:
    from genreclf.reports.records import csv_header, csv_rows

    write: Callable[[Iterable[Any]], Any] = record_writer()
    write(csv_header(genres, windows=windows, tags=tags))
    for result in results:
        for row in csv_rows(result, genres, windows=windows, tags=tags):
            write(row)


def _write_tables(results: "Iterable[Result]", top: int) -> None:
    """Print a table of predictions in pieces, or one for each timeline; failures as errors."""
    from genreclf.extraction.tracks import Failure
    from genreclf.learning.timeline import Timeline
    from genreclf.reports.predictions import predictions_table, timeline_report

    predictions: list[Prediction] = []
    for result in results:
        if isinstance(result, Failure):
            print_error(result.error)
        elif isinstance(result, Timeline):
            timeline_report(result, stdout_console())
        else:
            predictions.append(result)
        if len(predictions) == TABLE_ROWS:
            stdout_console().print(predictions_table(predictions, top))
            predictions = []
    if predictions:
        stdout_console().print(predictions_table(predictions, top))
