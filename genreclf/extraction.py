"""The chain from a file to its features; then the same for many tracks."""

import platform
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import ThreadpoolController

from genreclf.cache import Cache, prepare_cache
from genreclf.config import Config, ExtractionConfig
from genreclf.errors import AudioError
from genreclf.excerpt import Excerpt, load_excerpts
from genreclf.features import compute_features
from genreclf.pooling import feature_names, pool
from genreclf.separation import separate
from genreclf.sources import Track, find_tracks
from genreclf.spectra import Array, mix_spectrum
from genreclf.workers import WorkerError, Workers

if TYPE_CHECKING:
    from genreclf.cluster import DaskWorkers
    from genreclf.table import FeatureTable

__all__ = [
    "Failure",
    "Outcome",
    "Row",
    "build_table",
    "extract",
    "extract_frames",
    "extract_one",
    "extract_tracks",
]


def extract_one(path: str | Path, config: ExtractionConfig | None = None) -> Array:
    """Compute the features of one audio file.

    Parameters
    ----------
    path : str or Path
    config : ExtractionConfig or Config, optional
        The default configuration if there is none.

    Returns
    -------
    (n_features,) float32
        Named by ``feature_names(config)``. Bit for bit the same in every process.

    Raises
    ------
    AudioError
        If the file cannot be decoded or holds too little audio.
    """
    config = config or Config()
    return pool(extract_frames(Path(path), config)[1], config)


def extract_frames(path: Path, config: ExtractionConfig) -> tuple[Excerpt, dict[str, Array]]:
    """Compute the features of one audio file before they are pooled over time.

    Returns
    -------
    excerpt : Excerpt
        That of the first view.
    frames : dict of str to (d, t) float32
        Of all views; no two have a feature of the same name.
    """
    frames: dict[str, Array] = {}
    with _blas().limit(limits=1, user_api="blas"):
        excerpts = load_excerpts(path, config.each_view)
        for excerpt, view in zip(excerpts, config.each_view, strict=True):
            mix = mix_spectrum(excerpt, view)
            parts = separate(mix, view)
            frames |= compute_features(parts, excerpt, view)
    return excerpts[0], frames


@lru_cache
def _blas() -> ThreadpoolController:
    # Looking for the libraries takes longer than limiting their threads: once a process.
    return ThreadpoolController()


@dataclass(frozen=True, slots=True)
class Row:
    """A track whose features are there.

    ``kept`` by an earlier run that was interrupted, or ``cached`` by any earlier run, or computed.
    """

    track: Track
    values: Array
    kept: bool = False
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A track without features: at which stage it failed, and why, in one line."""

    track: Track
    stage: str
    error: str


Outcome = Row | Failure


def extract_tracks(
    tracks: Iterable[Track],
    config: ExtractionConfig,
    workers: "Workers | DaskWorkers | None" = None,
    cache: Path | None = None,
) -> Generator[Outcome]:
    """Compute the features of many tracks, in their order.

    Parameters
    ----------
    tracks : iterable of Track
    config : ExtractionConfig
    workers : Workers or DaskWorkers, optional
        Processes whose crashes and delays cost no more than the track at hand; None computes in
        this process, without such protection.
    cache : Path, optional
        File that keeps features from run to run; see ``cache_file``.

    Yields
    ------
    Row or Failure
        One a track.

    Warns
    -----
    UserWarning
        In the end, once for each warning that was met in workers, with the number of files.
    """
    if cache is not None and not prepare_cache(cache):
        cache = None
    if workers is None:
        return _outcomes_here(tracks, config, cache)
    outcome_of = partial(_outcome_in_worker, config=config, cache=cache, host=platform.node())
    return _outcomes_there(workers.map(outcome_of, tracks))  # begins at once


def _outcomes_here(
    tracks: Iterable[Track], config: ExtractionConfig, cache: Path | None
) -> Generator[Outcome]:
    with nullcontext() if cache is None else Cache(cache, config) as opened:
        yield from (_outcome(track, config, opened) for track in tracks)


def _outcomes_there(
    results: Iterable[tuple[Track, tuple[Outcome, list[str]] | WorkerError]],
) -> Generator[Outcome]:
    told: Counter[str] = Counter()
    for track, result in results:
        if isinstance(result, WorkerError):
            yield Failure(track, "worker", f"{track.path}: {result.reason}")
        else:
            outcome, texts = result
            told.update(texts)
            yield outcome
    for text, n in told.items():
        warnings.warn(f"{text} ({n} files)" if n > 1 else text, stacklevel=2)


def _outcome_in_worker(
    track: Track, config: ExtractionConfig, cache: Path | None, host: str
) -> tuple[Outcome, list[str]]:
    """Return the outcome and what was warned of, which nobody would see, or see too often."""
    with warnings.catch_warnings(record=True) as caught:
        opened = None if cache is None else _opened(cache, config)
        outcome = _outcome(track, config, opened)
    here = platform.node()
    if isinstance(outcome, Failure) and here != host and not track.path.exists():
        where = f"on {here}, whose worker looked for it; it has to be there at the same path"
        outcome = replace(outcome, error=f"{outcome.error} ({where})")
    return outcome, sorted({str(warning.message) for warning in caught})


@lru_cache(maxsize=1)
def _opened(cache: Path, config: ExtractionConfig) -> Cache:
    # Once a worker process, and closed when that ends.
    return Cache(cache, config)


def _outcome(track: Track, config: ExtractionConfig, cache: Cache | None) -> Outcome:
    compute = partial(extract_one, config=config)
    try:
        if cache is None:
            values, cached = compute(track.path), False
        else:
            values, cached = cache.through(track.path, compute)
    except AudioError as error:
        return Failure(track, "audio", str(error))
    except Exception as error:  # a bug of ours must not cost the other files
        reason = (str(error) or type(error).__name__).splitlines()[0]
        return Failure(
            track, "features", f"{track.path}: unexpected {type(error).__name__}: {reason}"
        )
    if not np.isfinite(values).all():
        name = feature_names(config)[int(np.flatnonzero(~np.isfinite(values))[0])]
        return Failure(track, "features", f"{track.path}: feature {name} is not finite")
    return Row(track, values, cached=cached)


def build_table(rows: Iterable[Row], config: ExtractionConfig) -> "FeatureTable":
    """Put rows together, sorted by path, so that their order does not depend on the input's."""
    from genreclf.table import FeatureTable  # pandas, which no worker process needs

    rows = sorted(rows, key=lambda row: row.track.path.parts)
    names = feature_names(config)
    tracks = [row.track for row in rows]
    values = np.array([row.values for row in rows], dtype=np.float32).reshape(-1, len(names))
    return FeatureTable(
        paths=np.array([str(track.path) for track in tracks], dtype=object),
        labels=np.array([track.label or "" for track in tracks], dtype=object),
        groups=np.array([track.group or "" for track in tracks], dtype=object),
        names=names,
        values=values,
        config=config.extraction,
    )


def extract(
    paths: str | Path | Iterable[str | Path],
    config: ExtractionConfig | None = None,
    *,
    labels: str | Path = "folder",
    jobs: int | None = None,
    on_failure: Callable[[Failure], object] | None = None,
) -> "FeatureTable":
    """Compute the features of audio files and folders.

    Parameters
    ----------
    paths : path or iterable of paths
        Audio files, and folders to search.
    config : ExtractionConfig or Config, optional
        The default configuration if there is none.
    labels : "folder", "none", or path of a manifest
        See ``find_tracks``.
    jobs : int, optional
        Worker processes; None computes in this process.
    on_failure : callable, optional
        Called with each ``Failure``; without it the first one is raised.

    Returns
    -------
    FeatureTable
        Sorted by path; a track that was given twice is there once.

    Raises
    ------
    AudioError
        If a file fails and there is no ``on_failure``, or if no file gave features.
    TableError
        If the manifest cannot be read.

    Examples
    --------
    >>> table = genreclf.extract("music", jobs=2)  # doctest: +SKIP
    >>> table.to_frame()  # doctest: +SKIP
    """
    config = config or Config()
    paths = [paths] if isinstance(paths, str | Path) else paths
    tracks = dict.fromkeys(find_tracks(paths, labels).tracks)
    rows = []
    with Workers(jobs) if jobs else nullcontext() as workers:
        for outcome in extract_tracks(tracks, config, workers):
            if isinstance(outcome, Row):
                rows.append(outcome)
            elif on_failure is None:
                raise AudioError(outcome.error)
            else:
                on_failure(outcome)
    if not rows:
        raise AudioError("no audio file gave features")
    return build_table(rows, config)
