"""Which seconds of its tracks a table was computed from; the table itself does not hold them."""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import GenreclfError
from genreclf.extraction.cache import Cache, cache_file
from genreclf.extraction.chain import chosen_spans
from genreclf.features.measured import Spans
from genreclf.files import on_disk
from genreclf.parallel import SECONDS_A_FILE
from genreclf.parallel.workers import NoWorkersError, WorkerError, Workers

MOST_WORKERS = 4  # a page has few tracks, and each process takes a second to start


def heard_spans(paths: Iterable[str], config: ExtractionConfig) -> dict[str, Spans]:
    """Return the seconds that the features of tracks are from, as far as they are known.

    The cache holds them. For other tracks the excerpts are chosen again, in worker processes: the
    same file and configuration give the same seconds.

    Parameters
    ----------
    paths : iterable of str
        As in a table.
    config : ExtractionConfig
        Of the table.

    Returns
    -------
    dict of str to tuple of (float, float)
        Path to start and stop of each excerpt of the first view, in seconds; without files that are
        missing or cannot be decoded.
    """
    files = {path: file for path in paths if (file := _existing(path)) is not None}
    found = _cached(files, config)
    rest = {path: file for path, file in files.items() if path not in found}
    return found | _chosen_again(rest, config)


def _existing(path: str) -> Path | None:
    try:
        file = Path(on_disk(path))
        return file if file.is_file() else None
    except (ValueError, OSError):  # a name that no file can have, or a folder that is locked
        return None


def _cached(files: dict[str, Path], config: ExtractionConfig) -> dict[str, Spans]:
    try:
        cache = cache_file()
    except GenreclfError:  # no home folder
        return {}
    if not cache.is_file():
        return {}
    found = {}
    with Cache(cache, config) as opened:
        for path, file in files.items():
            measured = opened.get(file)
            if measured is not None and measured.spans:  # older versions did not store them
                found[path] = measured.spans
    return found


def _chosen_again(files: dict[str, Path], config: ExtractionConfig) -> dict[str, Spans]:
    if not files:
        return {}
    jobs = min(len(files), MOST_WORKERS, os.cpu_count() or 1)
    try:
        with Workers(jobs, SECONDS_A_FILE) as workers:
            results = workers.map(partial(_spans_of, config=config), files.values())
            spans = [() if isinstance(found, WorkerError) else found for _, found in results]
    except NoWorkersError:  # the page is worth having without the seconds
        return {}
    return {path: found for path, found in zip(files, spans, strict=True) if found}


def _spans_of(file: Path, config: ExtractionConfig) -> Spans:
    try:
        return chosen_spans(file, config)
    except Exception:  # whatever is wrong with the file, the other tracks need an answer
        return ()
