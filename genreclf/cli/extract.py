"""``genreclf extract``: from music to a feature table."""

import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli.engine import prepare_engine
from genreclf.cli.options import (
    ANY_PATH,
    NOTHING_DONE,
    OUTPUT_FILE,
    OUTPUT_TABLE,
    SOME_FAILED,
    ConfigOptions,
    LabelOptions,
    audio_sources,
    cache_in_use,
    cache_option,
    collected,
    config_options,
    jobs_option,
    label_options,
    timeout_option,
    worker_count,
)
from genreclf.cli.output import (
    complain,
    detail,
    is_replaced,
    note,
    tell_written,
    verbosity_options,
    written_to,
)
from genreclf.cli.progress import counted, progress, tally
from genreclf.cli.streams import document
from genreclf.errors import GenreclfError, TableError

if TYPE_CHECKING:
    from genreclf.extraction.chain import Failure, Outcome, Row
    from genreclf.library.labels import Labelling
    from genreclf.library.sources import Track
    from genreclf.parallel.cluster import DaskWorkers
    from genreclf.parallel.workers import Workers


@dataclass(frozen=True)
class ExtractOptions:
    """What ``extract`` was asked for."""

    paths: tuple[Path, ...]
    output: Path | None
    rows_per_file: int | None
    config: ConfigOptions
    label_options: LabelOptions
    jobs: int | None
    backend: str
    scheduler: str | None
    errors: Path | None
    timeout: float
    no_cache: bool

    def check(self) -> None:
        """Refuse options that do not fit together."""
        if self.backend == "dask" and self.scheduler is None:
            raise click.UsageError("--backend dask needs --scheduler ADDRESS")
        if self.backend == "local" and self.scheduler is not None:
            raise click.UsageError("--scheduler needs --backend dask")
        if self.backend == "dask" and self.jobs is not None:
            raise click.UsageError(
                "--backend dask excludes --jobs: all threads of the cluster work"
            )
        output = self.output
        if self.rows_per_file is None:
            if output is not None and output.is_dir():
                raise click.UsageError(f"{output}: a folder; --rows-per-file N writes to a folder")
        elif output is None or output.suffix.lower() != ".parquet" or output.is_file():
            raise click.UsageError(
                "--rows-per-file needs -o NAME.parquet, the name of a new folder or of one that "
                "this command wrote"
            )


@click.command()
@click.argument("paths", nargs=-1, required=True, type=ANY_PATH, metavar="PATH...")
@click.option(
    "-o", "--output", type=OUTPUT_TABLE, metavar="FILE",
    help="Table to write: .csv, .parquet or .npz. Default: CSV on standard output.",
)  # fmt: skip
@click.option(
    "--rows-per-file", type=click.IntRange(min=1), metavar="N",
    help="Write FILE.parquet as a folder of files with N tracks each, for tables larger than "
    "memory.",
)  # fmt: skip
@config_options
@label_options
@jobs_option
@click.option(
    "--backend", type=click.Choice(["local", "dask"]), default="local", show_default=True,
    help="Compute in processes on this machine, or on a Dask cluster that has the files at the "
    "same paths.",
)  # fmt: skip
@click.option(
    "--scheduler", metavar="ADDRESS", help="Address of the Dask cluster, as in tcp://10.0.0.1:8786."
)
@click.option(
    "--errors", type=OUTPUT_FILE, metavar="FILE.csv",
    help="Also write the files that failed, with the reasons: path,stage,error.",
)  # fmt: skip
@timeout_option
@cache_option
@verbosity_options
@collected(ExtractOptions)
def extract(asked: ExtractOptions) -> None:
    """Compute the features of audio files and write them as a table.

    PATHs are audio files, folders (searched recursively), or - for a list of paths on standard
    input. Until the table is written, finished files are kept in FILE.partial: after an
    interruption, the same command computes only what is missing. The exit status is 3 if some
    files failed, and 1 if all did.

    The genre of a track is the first folder below PATH, such as blues for
    music/blues/artist/a.mp3, or the name of PATH itself for files directly in it. Genres and groups
    can also come from tags (ID3, Vorbis comments, MP4, ASF, APEv2): the first genre, and the artist
    or album, without guests (feat.) and regardless of spelling.

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
    from genreclf.extraction.job import Job, write_failures

    started = time.monotonic()
    asked.check()
    labelling = asked.label_options.chosen()
    # Not on a cluster: a SQLite file cannot be shared over a network.
    cache = None if asked.scheduler else cache_in_use(asked.no_cache)
    job = Job(asked.config.settings(), asked.output, asked.rows_per_file, cache)
    prepare_engine(job.config)
    tracks = list(dict.fromkeys(audio_sources(asked.paths, labelling.of_paths).tracks))
    with job.only_run():
        with _workers(asked, len(tracks)) as workers:
            # pandas is needed only at the end, but takes as long to import as workers to start.
            import_module("genreclf.tables.table")
            tracks = labelled(tracks, labelling, workers)
            rows, failures = collect(tracks, job.outcomes(tracks, workers), asked.output)
        if asked.errors is not None:
            write_failures(failures, asked.errors)
            if is_replaced(asked.errors):
                tell_written("failures", asked.errors)
        if not rows:
            if len(tracks) > 1:
                complain(f"genreclf: none of {len(tracks)} files gave features")
            raise click.exceptions.Exit(NOTHING_DONE)
        with document() if asked.output is None else nullcontext() as stream:
            job.write(rows, stream)
    warn_of_groups([row.track for row in rows])
    where = "" if asked.output is None else f", {written_to(asked.output)}"
    note(summary(rows, failures, time.monotonic() - started) + where)
    if failures:
        raise click.exceptions.Exit(SOME_FAILED)


def _workers(asked: ExtractOptions, n_tracks: int) -> "Workers | DaskWorkers":
    if asked.scheduler is None:
        from genreclf.parallel.workers import Workers

        return Workers(worker_count(asked.jobs, n_tracks), asked.timeout)
    import logging

    from genreclf.parallel.cluster import DaskWorkers

    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # tracebacks of what is told in a line
    return DaskWorkers(asked.scheduler, asked.timeout)


def labelled(
    tracks: "list[Track]", labelling: "Labelling", workers: "Workers | DaskWorkers"
) -> "list[Track]":
    """Add labels and groups to tracks, and print what was found."""
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


def collect(
    tracks: "Sequence[Track]", outcomes: "Iterable[Outcome]", output: Path | None = None
) -> "tuple[list[Row], list[Failure]]":
    """Wait for the outcomes of tracks, with a progress bar and a line for each failure."""
    from genreclf.extraction.chain import Row

    rows: list[Row] = []
    failures: list[Failure] = []
    with progress(len(tracks), "extract", "tracks") as meter:
        try:
            for outcome in counted(outcomes, meter):
                if isinstance(outcome, Row):
                    rows.append(outcome)
                else:
                    failures.append(outcome)
                    complain(outcome.error)
        except (KeyboardInterrupt, OSError, GenreclfError) as error:
            if output is not None:
                _tell_kept(error, f"{len(rows)} of {len(tracks)} files", output)
            raise
    return rows, failures


def _tell_kept(error: BaseException, files: str, output: Path) -> None:
    from genreclf.extraction.journal import journal_path

    kept = f"{files} are kept; the same command goes on from there"
    if isinstance(error, OSError):  # of the journal, since no audio file raises one
        reason = (error.strerror or str(error)).lower()
        raise TableError(f"{journal_path(output)}: {reason}; {kept}") from None
    complain(kept)


def warn_of_groups(tracks: "Iterable[Track]") -> None:
    """Print that an accuracy without groups is too high, while groups are easy to add."""
    labelled = [track for track in tracks if track.label]
    if n := sum(not track.group for track in labelled):
        which = "no groups" if n == len(labelled) else f"{n} of {len(labelled)} tracks in no group"
        note(
            f"note: {which}: where an artist has several tracks, the accuracy will be too high; "
            "--group artist takes artists from the tags, --group-regex from the paths"
        )


def summary(rows: "Iterable[Row]", failures: "Sequence[Failure]", seconds: float | None) -> str:
    """Count what was extracted, and what came from earlier runs."""
    rows = list(rows)
    kept, cached = sum(row.resumed for row in rows), sum(row.cached for row in rows)
    earlier = [f"{kept} finished by an earlier run"] if kept else []
    earlier += [f"{cached} from the cache"] if cached else []
    return tally(len(rows), earlier, len(failures), seconds)
