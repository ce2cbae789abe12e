"""Extraction that survives interruption: finished rows are kept beside the output."""

import base64
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError
from genreclf.extraction.chain import Outcome, Row, extract_tracks
from genreclf.features.measured import Measured, pack, unpack
from genreclf.files import beside, locked
from genreclf.library.sources import Track
from genreclf.parallel.workers import Workers

if TYPE_CHECKING:
    from genreclf.parallel.cluster import DaskWorkers


def journal_path(output: Path) -> Path:
    """Return the file that keeps the finished rows of a table under way."""
    return beside(output, ".partial")


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold the journal of a table, which two runs at a time would mix up.

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
    """Forget the rows of a table that is written; the empty journal goes with the lock."""
    os.truncate(journal_path(output), 0)


def extract_resumably(
    tracks: Sequence[Track],
    config: ExtractionConfig,
    output: Path,
    workers: "Workers | DaskWorkers | None" = None,
    cache: Path | None = None,
) -> Generator[Outcome]:
    """As ``extract_tracks``, but keep each row on the disk, and compute only what is missing.

    The journal holds one JSON object a line, each on the disk before its row is given out. A
    line cut off by a crash is ignored. A row counts only for the same configuration and for a
    file of unchanged size and modification time. Call ``finish`` once the table is written, and
    do all of it within ``only_run``.

    Yields
    ------
    Row or Failure
        First the rows of an earlier run, then the others; failures are tried anew.
    """
    fingerprint = config.fingerprint
    known = _read(journal_path(output), config)
    finished = {
        track: found
        for track in tracks
        if (found := known.get(identity(track, fingerprint))) is not None
    }
    for track, measured in finished.items():
        yield Row(track, measured, resumed=True)
    missing = [track for track in tracks if track not in finished]
    if not missing:
        return
    with journal_path(output).open("a", encoding="ascii") as journal:
        for outcome in extract_tracks(missing, config, workers, cache):
            if isinstance(outcome, Row) and not outcome.cached:  # the cache will give it again
                content = pack(outcome.measured, config)
                _append(journal, identity(outcome.track, fingerprint), content)
            yield outcome


def identity(track: Track, fingerprint: str) -> str:
    """Return what has to be the same for features to count: configuration, path, size and time."""
    try:
        status = track.path.stat()
    except OSError:
        return "no such file"
    return json.dumps([fingerprint, str(track.path), status.st_size, status.st_mtime_ns])


def _append(journal: TextIO, known: str, content: bytes) -> None:
    encoded = base64.b64encode(content).decode("ascii")
    # The line feed comes first, so that a line cut off earlier spoils no other.
    journal.write("\n" + json.dumps([known, encoded]))
    journal.flush()
    os.fsync(journal.fileno())


def _read(path: Path, config: ExtractionConfig) -> Mapping[str, tuple[Measured, ...]]:
    if not path.exists():
        return {}
    found = {}
    with path.open(encoding="ascii", errors="replace") as journal:
        for line in journal:
            try:
                known, encoded = json.loads(line)
                measured = unpack(base64.b64decode(encoded), config)
            except (ValueError, TypeError):
                continue  # cut off, or the empty first line
            if measured is not None:
                found[str(known)] = measured
    return found
