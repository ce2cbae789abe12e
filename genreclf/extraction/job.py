"""The extraction of a table: its output, and what is kept so that it can resume."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from genreclf.config.schema import Config
from genreclf.errors import ConfigError, one_line
from genreclf.extraction.journal import exclusive_run, extract_resumably, finish
from genreclf.extraction.partitions import extract_in_parts
from genreclf.extraction.tracks import Failure, Outcome, Row, build_table, extract_tracks
from genreclf.files import written_whole
from genreclf.library.sources import Track
from genreclf.tables.formats import table_format

if TYPE_CHECKING:
    from genreclf.parallel.cluster import DaskWorkers
    from genreclf.parallel.workers import Workers


@dataclass(frozen=True)
class Job:
    """The extraction of a table.

    Attributes
    ----------
    config : Config
    output : Path or None
        Table to write. Finished tracks are kept beside it until it is written, so that the same
        job goes on after an interruption.
    rows_per_file : int or None
        Write ``output`` as a folder of Parquet files with that many tracks each.
    cache : Path or None
        See ``cache_file``.

    Raises
    ------
    TableError
        If the output has a suffix of no table.
    ConfigError
        If the configuration keeps frames, which need a file beside the table.
    """

    config: Config
    output: Path | None = None
    rows_per_file: int | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.output is not None:
            table_format(self.output)
        keeps_frames = any(view.pooling.keep_frames for view in self.config.each_view)
        if keeps_frames and (self.output is None or self.rows_per_file is not None):
            raise ConfigError(
                "pooling.keep_frames: frames are stored beside the table; name the table with -o, "
                "without --rows-per-file"
            )

    def exclusive_run(self) -> AbstractContextManager[None]:
        """Keep other jobs off the output; all of the work belongs inside.

        Raises
        ------
        TableError
            If another process works on it.
        """
        return nullcontext() if self.output is None else exclusive_run(self.output)

    def outcomes(
        self, tracks: Sequence[Track], workers: "Workers | DaskWorkers | None" = None
    ) -> Iterator[Outcome]:
        """Yield a row or a failure for each track; rows of an earlier run come first."""
        config, cache = self.config, self.cache
        if self.output is None:
            return extract_tracks(tracks, config, workers, cache)
        compute = partial(
            extract_resumably, config=config, output=self.output, workers=workers, cache=cache
        )
        if self.rows_per_file is None:
            return compute(tracks)
        return extract_in_parts(tracks, config, self.output, self.rows_per_file, compute)

    def write(self, rows: Iterable[Row], stream: TextIO | None = None) -> None:
        """Write the table to ``output``, or to a stream if there is none; parts are written."""
        if self.rows_per_file is not None:
            return
        table = build_table(rows, self.config)
        if self.output is not None:
            table.save(self.output)
            finish(self.output)
        elif stream is not None:
            table.write_csv(stream)


def write_failures(failures: Iterable[Failure], path: Path) -> None:
    """Write failures as CSV, with the columns path, stage and error."""
    with (
        written_whole(path) as aside,
        aside.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "stage", "error"])
        writer.writerows([f.track.path, f.stage, one_line(f.error)] for f in failures)
