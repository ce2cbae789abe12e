"""Extraction that can be interrupted: a journal beside the table contains the finished rows."""

import base64
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError
from genreclf.extraction.tracks import Outcome, Row, extract_tracks
from genreclf.features.measured import Halves, Measured, frame_shapes, pack, unpack
from genreclf.files import beside, locked
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers

if TYPE_CHECKING:
    from genreclf.parallel.cluster import DaskWorkers


def journal_path(output: Path) -> Path:
    """Return the journal of a table: the file that holds its rows until it is written."""
    return beside(output, ".partial")


@contextmanager
def exclusive_run(output: Path) -> Iterator[None]:
    """Lock the journal of a table, so that two runs cannot write to it at the same time.

    Raises
    ------
    TableError
        If another run holds it.
    """
    try:
        with locked(journal_path(output)):
            yield
    except BlockingIOError:
        raise TableError(
            f"{output}: another run is at work on this table; wait for it to end, or write to "
            "another file"
        ) from None


def finish(output: Path) -> None:
    """Empty the journal of a table that is written; the empty file is removed with the lock."""
    os.truncate(journal_path(output), 0)


def extract_resumably(
    tracks: Sequence[Track],
    config: ExtractionConfig,
    output: Path,
    workers: "Workers | DaskWorkers | None" = None,
    cache: Path | None = None,
) -> Generator[Outcome]:
    """Run ``extract_tracks``, write each new row to the journal, and skip rows that are in it.

    The journal has one JSON array per line, which is on the disk before its row is yielded; a line
    that a crash cut off is ignored. A row counts only for the same configuration and a file of
    unchanged size and modification time. Frames stay in the journal and are read when asked for.
    Call ``finish`` when the table is written, all within ``exclusive_run``.

    Yields
    ------
    Row or Failure
        First the rows of an earlier run, then the others; what failed is tried again.
    """
    fingerprint, path = config.fingerprint, journal_path(output)
    known = _read(path, config)
    finished = {
        track: measured
        for track in tracks
        if (measured := known.get(identity(track, fingerprint))) is not None
    }
    for track, measured in finished.items():
        yield Row(track, measured, resumed=True)
    missing = [track for track in tracks if track not in finished]
    if not missing:
        return
    with path.open("ab") as journal:
        for outcome in extract_tracks(missing, config, workers, cache):
            if isinstance(outcome, Row) and not outcome.cached:  # the cache still has it
                measured = outcome.measured
                start = _append(journal, identity(outcome.track, fingerprint), measured, config)
                measured = _without_frames(measured, path, start, config)
                outcome = replace(outcome, measured=measured)
            yield outcome


def identity(track: Track, fingerprint: str) -> str:
    """Return what has to be the same for features to count: configuration, path, size and time."""
    try:
        status = track.path.stat()
    except OSError:
        return "no such file"
    return json.dumps([fingerprint, str(track.path), status.st_size, status.st_mtime_ns])


def _append(journal: BinaryIO, known: str, measured: Measured, config: ExtractionConfig) -> int:
    """Write a line, and return where it starts."""
    encoded = base64.b64encode(pack(measured, config)).decode("ascii")
    journal.write(b"\n")  # first, because an earlier line may be cut off
    start = journal.tell()
    journal.write(json.dumps([known, encoded]).encode("ascii"))
    journal.flush()
    os.fsync(journal.fileno())
    return start


def _read(path: Path, config: ExtractionConfig) -> dict[str, Measured]:
    if not path.exists():
        return {}
    found, stop = {}, 0
    with path.open("rb") as journal:
        for line in journal:
            start, stop = stop, stop + len(line)
            if row := _row(line, config):
                found[row[0]] = _without_frames(row[1], path, start, config)
    return found


def _row(line: bytes, config: ExtractionConfig) -> tuple[str, Measured] | None:
    """Return the identity of a track and what was measured; None for other bytes."""
    try:
        known, encoded = json.loads(line)
        measured = unpack(base64.b64decode(encoded), config)
    except (ValueError, TypeError):
        return None  # a line that was cut off, or the empty first line
    return None if measured is None else (str(known), measured)


@dataclass(frozen=True)
class _FramesInJournal(Mapping[str, Halves]):
    """The frames of a track, read from its line of the journal when they are asked for."""

    path: Path
    start: int
    config: ExtractionConfig

    def __getitem__(self, name: str) -> Halves:
        with self.path.open("rb") as journal:
            journal.seek(self.start)
            row = _row(journal.readline(), self.config)
        if row is None:
            raise TableError(f"{self.path}: was changed while the table was written; extract again")
        return row[1].frames[name]

    def __iter__(self) -> Iterator[str]:
        return iter(frame_shapes(self.config))

    def __len__(self) -> int:
        return len(frame_shapes(self.config))


def _without_frames(
    measured: Measured, path: Path, start: int, config: ExtractionConfig
) -> Measured:
    """Keep the frames out of memory, which those of many tracks would fill."""
    if not measured.frames:
        return measured
    # Copies, since these are views of the bytes that hold the frames.
    statistics = measured.statistics.copy()
    excerpts = None if measured.excerpts is None else measured.excerpts.copy()
    frames = _FramesInJournal(path, start, config)
    return replace(measured, statistics=statistics, frames=frames, excerpts=excerpts)
