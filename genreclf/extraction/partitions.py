"""Tables in parts: a folder of Parquet files, of which one at a time is in memory."""

import hashlib
import json
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.extraction.journal import finish, identity
from genreclf.extraction.tracks import Outcome, Row, build_table
from genreclf.features.measured import Measured
from genreclf.library.sources import Track
from genreclf.tables.formats import Parts, read_parts, write_parts
from genreclf.tables.reading import load_table


def extract_in_parts(
    tracks: Iterable[Track],
    config: Config,
    output: Path,
    rows_per_file: int,
    compute: Callable[[Sequence[Track]], Iterable[Outcome]],
) -> Generator[Outcome]:
    """Compute the features of many tracks and write them as a folder of Parquet files.

    Tracks are sorted by path; every ``rows_per_file`` of them make a part, ``part-00000.parquet``
    and so on, without those that fail. A part that an earlier run made of the same tracks stays,
    and only what failed in it is tried again. The folder cannot be read as a table until all parts
    are written. Call this within ``exclusive_run``.

    ``compute`` is ``extract_resumably`` with everything but its tracks. Rows come without what was
    measured, which is on the disk.

    Raises
    ------
    TableError
        If the folder exists and genreclf did not make it.
    """
    earlier = _prepare(output)
    write_parts(output, Parts(False, earlier))
    rest = iter(sorted(tracks, key=lambda track: track.path.parts))
    digests: dict[str, str] = {}
    while chunk := list(islice(rest, rows_per_file)):
        part = output / f"part-{len(digests):05}.parquet"
        digest = _digest(chunk, config)
        finished = _rows(part, chunk) if earlier.get(part.name) == digest else []
        rows = list(finished)
        for row in finished:
            yield _on_disk(row)
        there = {row.track for row in finished}
        for outcome in compute([track for track in chunk if track not in there]):
            if isinstance(outcome, Row):
                rows.append(outcome)
                outcome = _on_disk(outcome)
            yield outcome
        if not rows:
            part.unlink(missing_ok=True)
        elif len(rows) > len(finished):
            # A folder with statistics of single excerpts would be no folder of Parquet files.
            replace(build_table(rows, config), excerpts=None).save(part)
        digests[part.name] = digest
        write_parts(output, Parts(False, earlier | digests))
        if len(rows) > len(finished):  # otherwise the rows in the journal belong to a later part
            finish(output)
    for path in output.glob("*.parquet"):
        if path.name not in digests:  # from an earlier run with more tracks
            path.unlink()
    write_parts(output, Parts(True, digests))


def _prepare(output: Path) -> dict[str, str]:
    """Make the folder, and return the digests of its parts."""
    output.mkdir(exist_ok=True)
    parts = read_parts(output)
    if parts is None and any(output.iterdir()):
        raise TableError(f"{output}: a folder that genreclf did not make; write to another")
    return {} if parts is None else parts.digests


def _digest(chunk: Sequence[Track], config: Config) -> str:
    """Return a digest of the tracks of a part, the state of their files, and the features."""
    facts = [
        [identity(track, config.fingerprint), track.label, track.group, *track.assignments]
        for track in chunk
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _on_disk(row: Row) -> Row:
    return replace(row, measured=Measured(np.empty(0, np.float32), notes=row.notes))


def _rows(part: Path, chunk: Sequence[Track]) -> list[Row]:
    if not part.exists():  # all files failed
        return []
    table = load_table(part)
    values = dict(zip(table.paths, table.values, strict=True))
    return [
        Row(track, Measured(values[str(track.path)]), resumed=True)
        for track in chunk
        if str(track.path) in values
    ]
