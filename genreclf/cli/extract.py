"""``genreclf extract``: from music to a feature table."""

import time
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genreclf.cli import options
from genreclf.cli.options import collected
from genreclf.cli.output import (
    NOTHING_DONE,
    SOME_FAILED,
    is_replaced,
    note,
    print_error,
    report_written,
    verbosity_options,
    written_to,
)
from genreclf.cli.streams import document
from genreclf.cli.tracks import (
    audio_tracks,
    cache_in_use,
    collect,
    labelled,
    prepare,
    summary,
    warn_of_groups,
    worker_count,
)

if TYPE_CHECKING:
    from genreclf.parallel.cluster import DaskWorkers
    from genreclf.parallel.workers import Workers


@dataclass(frozen=True)
class ExtractOptions:
    """The arguments of ``extract``."""

    paths: tuple[Path, ...]
    output: Path | None
    rows_per_file: int | None
    config: options.ConfigOptions
    label_options: options.LabelOptions
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
@click.argument("paths", nargs=-1, required=True, type=options.ANY_PATH, metavar="PATH...")
@click.option(
    "-o", "--output", type=options.OUTPUT_TABLE, metavar="FILE",
    help="Table to write: .csv, .parquet or .npz. Default: CSV on standard output.",
)  # fmt: skip
@click.option(
    "--rows-per-file", type=click.IntRange(min=1), metavar="N",
    help="Write FILE.parquet as a folder of files with N tracks each, for tables larger than "
    "memory.",
)  # fmt: skip
@options.config
@options.labelling
@options.jobs
@click.option(
    "--backend", type=click.Choice(["local", "dask"]), default="local", show_default=True,
    help="Compute in processes on this machine, or on a Dask cluster that has the files at the "
    "same paths.",
)  # fmt: skip
@click.option(
    "--scheduler", metavar="ADDRESS", help="Address of the Dask cluster, as in tcp://10.0.0.1:8786."
)
@click.option(
    "--errors", type=options.OUTPUT_FILE, metavar="FILE.csv",
    help="Also write the files that failed, with the reasons: path,stage,error.",
)  # fmt: skip
@options.timeout
@options.no_cache
@verbosity_options
@collected(ExtractOptions)
def extract(args: ExtractOptions) -> None:
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
    args.check()
    labelling = args.label_options.chosen()
    # Not on a cluster: a SQLite file cannot be shared over a network.
    cache = None if args.scheduler else cache_in_use(args.no_cache)
    job = Job(args.config.settings(), args.output, args.rows_per_file, cache)
    prepare(job.config)
    tracks = audio_tracks(args.paths, labelling.of_paths)
    with job.exclusive_run():
        with _workers(args, len(tracks)) as workers:
            # pandas is needed only at the end, but takes as long to import as workers to start.
            import_module("genreclf.tables.storage")
            tracks = labelled(tracks, labelling, workers)
            rows, failures = collect(tracks, job.outcomes(tracks, workers), args.output)
        if args.errors is not None:
            write_failures(failures, args.errors)
            if is_replaced(args.errors):
                report_written("failures", args.errors)
        if not rows:
            if len(tracks) > 1:
                print_error(f"genreclf: none of {len(tracks)} files gave features")
            raise click.exceptions.Exit(NOTHING_DONE)
        with document() if args.output is None else nullcontext() as stream:
            job.write(rows, stream)
    warn_of_groups([row.track for row in rows])
    where = "" if args.output is None else f", {written_to(args.output)}"
    note(summary(rows, failures, time.monotonic() - started) + where)
    if failures:
        raise click.exceptions.Exit(SOME_FAILED)


def _workers(args: ExtractOptions, n_tracks: int) -> "Workers | DaskWorkers":
    if args.scheduler is None:
        from genreclf.parallel.workers import Workers

        return Workers(worker_count(args.jobs, n_tracks), args.timeout)
    import logging

    from genreclf.parallel.cluster import DaskWorkers

    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # Dask would print tracebacks
    return DaskWorkers(args.scheduler, args.timeout)
