"""``genreclf extract``: from music to a feature table."""

import csv
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli.options import (
    ANY_PATH,
    NOTHING_DONE,
    OUTPUT_FILE,
    OUTPUT_TABLE,
    SOME_FAILED,
    LabelOptions,
    audio_sources,
    cache_in_use,
    cache_option,
    config_option,
    is_replaced,
    jobs_option,
    label_options,
    tell_written,
    timeout_option,
    worker_count,
    written_to,
)
from genreclf.cli.streams import document
from genreclf.cli.telling import (
    TrackNotes,
    complain,
    detail,
    note,
    progress,
    tally,
    tell_row,
    verbosity_options,
)
from genreclf.errors import ConfigError, GenreclfError, TableError, one_line
from genreclf.files import written_whole

if TYPE_CHECKING:
    from genreclf.config.schema import Config
    from genreclf.extraction.chain import Failure, Outcome, Row
    from genreclf.library.labels import Labelling
    from genreclf.library.sources import Track
    from genreclf.parallel.cluster import DaskWorkers
    from genreclf.parallel.workers import Workers


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ANY_PATH, metavar="PATH...")
@click.option(
    "-o",
    "--output",
    type=OUTPUT_TABLE,
    metavar="FILE",
    help="Table to write: .csv, .parquet or .npz. Without it: CSV to standard output.",
)
@click.option(
    "--rows-per-file",
    type=click.IntRange(min=1),
    metavar="N",
    help="Write FILE.parquet as a folder of files with so many tracks each: for tables larger "
    "than the memory.",
)
@config_option
@label_options
@jobs_option
@click.option(
    "--backend",
    type=click.Choice(["local", "dask"]),
    default="local",
    show_default=True,
    help="Where to compute: in processes here, or on a Dask cluster, which sees the files at the "
    "same paths.",
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Of the Dask cluster: tcp://10.0.0.1:8786, say."
)
@click.option(
    "--errors",
    type=OUTPUT_FILE,
    metavar="FILE.csv",
    help="Also write the files that failed, with the reason: path,stage,error.",
)
@timeout_option
@cache_option
@verbosity_options
def extract(
    paths: tuple[Path, ...],
    output: Path | None,
    rows_per_file: int | None,
    config: str,
    overrides: tuple[str, ...],
    label_options: LabelOptions,
    jobs: int | None,
    backend: str,
    scheduler: str | None,
    errors: Path | None,
    timeout: float,
    no_cache: bool,
) -> None:  # fmt: skip
    """Compute the features of audio files and write them as a table.

    PATHs are audio files, folders (searched recursively), or - for a list of paths on standard
    input. Finished files are kept in FILE.partial until the table is written, so that after an
    interruption the same command does only what is missing. The exit status is 3 if some
    files failed, and 1 if all did.

    A track's genre is the first folder below PATH, as blues of music/blues/artist/a.mp3, or PATH's
    own name where it is directly in there. Genres and groups can also come from the files' tags
    (ID3, Vorbis comments, MP4, ASF, APEv2): the first genre of each, and its artist or album
    however it is spelt, without guests (feat.).

    \b
    Examples:
      genreclf extract music/ -o features.csv
      genreclf extract music/ --labels tags --label-map spellings.csv --group artist -o features.csv
      genreclf extract music/ --group-regex 'music/[^/]+/([^/]+)/' -o features.csv
      genreclf extract music/ --label-regex 'music/[^/]+/([^/]+)/' -o features.csv
      genreclf extract music/ --labels manifest.csv --jobs 4 -o features.parquet
      genreclf extract /nfs/music -o features.csv --backend dask --scheduler tcp://10.0.0.1:8786
      genreclf extract /nfs/music -o features.parquet --rows-per-file 20000
      find /music -name '*.flac' | genreclf extract - --labels none -o features.npz
    """
    from genreclf.config.load import load_config
    from genreclf.extraction.journal import only_run
    from genreclf.tables.formats import table_format

    started = time.monotonic()
    _check_backend(backend, scheduler, jobs)
    _check_output(output, rows_per_file)
    settings, labelling = load_config(config, overrides), label_options.chosen()
    if output is not None:
        table_format(output)
    keeps_frames = any(view.pooling.keep_frames for view in settings.each_view)
    if keeps_frames and (output is None or rows_per_file is not None):
        raise ConfigError(
            "pooling.keep_frames: frames are kept in a file beside the table; name it with -o, "
            "without --rows-per-file"
        )
    tracks = list(dict.fromkeys(audio_sources(paths, labelling.of_paths).tracks))
    with nullcontext() if output is None else only_run(output):
        with _workers(scheduler, worker_count(jobs, len(tracks)), timeout) as workers:
            # Imported while the workers start, which takes them as long; the table with its pandas
            # is needed in the end only, but then everyone would wait for it.
            import_module("genreclf.tables.table")
            tracks = labelled(tracks, labelling, workers)
            # Not on a cluster: SQLite files do not bear being shared over a network.
            cache = None if scheduler else cache_in_use(no_cache)
            outcomes = _outcomes(tracks, settings, output, rows_per_file)(workers, cache)
            rows, failures = extract_with_progress(tracks, outcomes, output)
        if errors is not None:
            _write_failures(failures, errors)
            if is_replaced(errors):
                tell_written("failures", errors)
        if not rows:
            if len(tracks) > 1:
                complain(f"genreclf: none of {len(tracks)} files gave features")
            raise click.exceptions.Exit(NOTHING_DONE)
        if rows_per_file is None:
            _write_table(rows, settings, output)
    tell_of_groups(rows)
    note(summary(rows, failures, output, time.monotonic() - started))
    if failures:
        raise click.exceptions.Exit(SOME_FAILED)


def labelled(
    tracks: "list[Track]", labelling: "Labelling", workers: "Workers | DaskWorkers"
) -> "list[Track]":
    """Add labels and groups to tracks, showing how far it is, and tell what was met."""
    from genreclf.library.labels import describe_labels, label_tracks

    shown = (
        progress(len(tracks), "tags", "tracks")
        if labelling.needs_tags
        else nullcontext(lambda: None)
    )
    with shown as advance:
        found = label_tracks(tracks, labelling, workers, advance)
    for text in found.details:
        detail(text)
    for text in found.notes:
        note(f"note: {text}")
    for text in describe_labels(found.tracks):
        note(text)
    return found.tracks


def tell_of_groups(rows: "list[Row]") -> None:
    """Say what an accuracy without groups is worth, while it is easy to do better."""
    labelled = [row.track for row in rows if row.track.label]
    if n := sum(not track.group for track in labelled):
        which = "no groups" if n == len(labelled) else f"{n} of {len(labelled)} tracks in no group"
        note(
            f"note: {which}: where an artist has several tracks, the accuracy will be too high; "
            "--group artist takes artists from the tags, --group-regex from the paths"
        )


def _check_output(output: Path | None, rows_per_file: int | None) -> None:
    if rows_per_file is None:
        if output is not None and output.is_dir():
            raise click.UsageError(f"{output}: a folder; --rows-per-file N writes to one")
    elif output is None or output.suffix.lower() != ".parquet" or output.is_file():
        raise click.UsageError(
            "--rows-per-file needs -o NAME.parquet, the name of a folder to be made or gone on with"
        )


def _check_backend(backend: str, scheduler: str | None, jobs: int | None) -> None:
    if backend == "dask" and scheduler is None:
        raise click.UsageError("--backend dask needs --scheduler ADDRESS, that of its cluster")
    if backend == "local" and scheduler is not None:
        raise click.UsageError("--scheduler needs --backend dask")
    if backend == "dask" and jobs is not None:
        raise click.UsageError("--jobs has no meaning with --backend dask: all its threads work")


def _workers(scheduler: str | None, jobs: int, timeout: float) -> "Workers | DaskWorkers":
    if scheduler is None:
        from genreclf.parallel.workers import Workers

        return Workers(jobs, timeout)
    import logging

    from genreclf.parallel.cluster import DaskWorkers

    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks of what is told in a line
    return DaskWorkers(scheduler, timeout)


def _write_table(rows: "list[Row]", settings: "Config", output: Path | None) -> None:
    from genreclf.extraction.chain import build_table
    from genreclf.extraction.journal import finish

    table = build_table(rows, settings)
    if output is None:
        with document() as standard_output:
            table.write_csv(standard_output)
    else:
        table.save(output)
        finish(output)


def summary(
    rows: "list[Row]",
    failures: "list[Failure]",
    output: Path | None,
    seconds: float | None = None,
) -> str:
    """Count what was extracted, and where it comes from."""
    kept, cached = sum(row.kept for row in rows), sum(row.cached for row in rows)
    earlier = [f"{kept} finished by an earlier run"] if kept else []
    earlier += [f"{cached} from the cache"] if cached else []
    where = f", {written_to(output)}" if output else ""
    return tally(len(rows), earlier, len(failures), seconds) + where


def _outcomes(
    tracks: "list[Track]", settings: "Config", output: Path | None, rows_per_file: int | None
) -> "Callable[[Workers | DaskWorkers, Path | None], Iterable[Outcome]]":
    """Choose how to go through the tracks: in one go, resumably, or part by part."""
    from genreclf.extraction.chain import extract_tracks
    from genreclf.extraction.journal import extract_resumably
    from genreclf.extraction.partitions import extract_in_parts

    if output is None:
        return partial(extract_tracks, tracks, settings)
    if rows_per_file is None:
        return partial(extract_resumably, tracks, settings, output)

    def in_parts(workers: "Workers | DaskWorkers", cache: Path | None) -> "Iterable[Outcome]":
        compute = partial(
            extract_resumably, config=settings, output=output, workers=workers, cache=cache
        )
        return extract_in_parts(tracks, settings, output, rows_per_file, compute)

    return in_parts


def extract_with_progress(
    tracks: "list[Track]", outcomes: "Iterable[Outcome]", output: Path | None
) -> "tuple[list[Row], list[Failure]]":
    """Wait for the outcomes of tracks, showing how far it is, and tell of each that fails."""
    from genreclf.extraction.chain import Row
    from genreclf.extraction.journal import journal_path

    rows, failures, notes = [], [], TrackNotes()
    with progress(len(tracks), "extract", "tracks") as advance:
        try:
            for outcome in outcomes:
                if isinstance(outcome, Row):
                    rows.append(outcome)
                    tell_row(outcome)
                    notes.tell(outcome.track.path, outcome.notes)
                    advance(cached=outcome.cached or outcome.kept)
                else:
                    failures.append(outcome)
                    complain(outcome.error)
                    advance(failed=True)
        except (KeyboardInterrupt, OSError, GenreclfError) as error:
            if output is None:
                raise
            kept = (
                f"{len(rows)} of {len(tracks)} files are kept; the same command goes on from there"
            )
            if isinstance(error, OSError):  # of the journal, since no file of music raises one
                reason = (error.strerror or str(error)).lower()
                raise TableError(f"{journal_path(output)}: {reason}; {kept}") from None
            complain(kept)
            raise
    notes.finish()
    return rows, failures


def _write_failures(failures: "list[Failure]", path: Path) -> None:
    with (
        written_whole(path) as aside,
        aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "stage", "error"])
        writer.writerows([f.track.path, f.stage, one_line(f.error)] for f in failures)
