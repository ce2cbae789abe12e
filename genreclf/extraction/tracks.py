"""The features of many tracks, in this process or in others, and the table that they make."""

import platform
import time
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config, ExtractionConfig
from genreclf.errors import AudioError, GenreclfError
from genreclf.extraction.cache import Cache, prepare_cache
from genreclf.extraction.chain import measure, prepare
from genreclf.features.measured import Measured
from genreclf.features.pooling import feature_names
from genreclf.library.labels import Labelling, label_tracks
from genreclf.library.sources import Track, find_tracks
from genreclf.parallel.workers import WorkerError, Workers

if TYPE_CHECKING:
    from genreclf.parallel.cluster import DaskWorkers
    from genreclf.tables.table import FeatureTable


@dataclass(frozen=True, slots=True)
class Row:
    """A track whose features are known.

    Attributes
    ----------
    track : Track
    measured : Measured
        Without statistics and frames if they are already on disk, in a part of a table.
    resumed, cached : bool
        Whether an interrupted run computed it, or any run that used the same cache.
    seconds : float
        How long it took.
    """

    track: Track
    measured: Measured
    resumed: bool = False
    cached: bool = False
    seconds: float = 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the track was decoded, without its name."""
        return self.measured.notes


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

    Raises
    ------
    ConfigError, NetworkError
        If the configuration needs a package or a network that is not here.

    Warns
    -----
    UserWarning
        At the end, once for each warning that was raised in workers, with the number of files.
    """
    if cache is not None and not prepare_cache(cache):
        cache = None
    prepare(config)
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
    warned: Counter[str] = Counter()
    for track, result in results:
        if isinstance(result, WorkerError):
            yield Failure(track, "worker", f"{track.path}: {result.reason}")
        else:
            outcome, texts = result
            warned.update(texts)
            yield outcome
    for text, n in warned.items():
        warnings.warn(f"{text} ({n} files)" if n > 1 else text, stacklevel=2)


def _outcome_in_worker(
    track: Track, config: ExtractionConfig, cache: Path | None, host: str
) -> tuple[Outcome, list[str]]:
    """Return the outcome and the warnings, which the parent prints once for all workers."""
    with warnings.catch_warnings(record=True) as caught:
        opened = None if cache is None else _cache_of_process(cache, config)
        outcome = _outcome(track, config, opened)
    here = platform.node()
    if isinstance(outcome, Failure) and here != host:
        missing = "" if track.path.exists() else "; the file must exist there at the same path"
        where = f"on {here}, where the worker runs{missing}"
        outcome = replace(outcome, error=f"{outcome.error} ({where})")
    return outcome, sorted({str(warning.message) for warning in caught})


@lru_cache(maxsize=1)
def _cache_of_process(cache: Path, config: ExtractionConfig) -> Cache:
    # Opened once per worker process, and closed when the process ends.
    return Cache(cache, config)


def _outcome(track: Track, config: ExtractionConfig, cache: Cache | None) -> Outcome:
    compute = partial(measure, config=config)
    started = time.perf_counter()
    try:
        if cache is None:
            measured, cached = compute(track.path), False
        else:
            measured, cached = cache.get_or_compute(track.path, compute)
    except Exception as error:  # even a bug in genreclf must not stop the other files
        return failure(track, error)
    if name := measured.not_finite(config):
        return Failure(track, "features", f"{track.path}: feature {name} is not finite")
    return Row(track, measured, cached=cached, seconds=time.perf_counter() - started)


def failure(track: Track, error: Exception) -> Failure:
    """Say in one line why a track has no features."""
    if isinstance(error, AudioError):
        return Failure(track, "audio", str(error))
    if isinstance(error, GenreclfError):
        return Failure(track, "features", f"{track.path}: {error}")
    reason = (str(error) or type(error).__name__).splitlines()[0]
    return Failure(track, "features", f"{track.path}: unexpected {type(error).__name__}: {reason}")


def build_table(rows: Iterable[Row], config: ExtractionConfig) -> "FeatureTable":
    """Make a table of rows, sorted by path so that their order does not matter."""
    from genreclf.tables.frames import Frames  # imports pandas, which worker processes do not need
    from genreclf.tables.table import FeatureTable

    rows = sorted(rows, key=lambda row: row.track.path.parts)
    tracks, measured = [row.track for row in rows], [row.measured for row in rows]
    names = feature_names(config)
    assigned = [dict(track.assignments) for track in tracks]
    return FeatureTable(
        paths=np.array([str(track.path) for track in tracks], dtype=object),
        labels=np.array([track.label or "" for track in tracks], dtype=object),
        groups=np.array([track.group or "" for track in tracks], dtype=object),
        names=names,
        values=np.array([m.statistics for m in measured], np.float32).reshape(-1, len(names)),
        config=config.extraction,
        frames=Frames.of_tracks([m.frames for m in measured], config),
        excerpts=_excerpts(measured),
        assignments={
            name: np.array([values.get(name, "") for values in assigned], dtype=object)
            for name in dict.fromkeys(name for values in assigned for name in values)
        },
    )


def _excerpts(measured: Sequence[Measured]) -> NDArray[np.float32] | None:
    known = [m.excerpts for m in measured if m.excerpts is not None]
    return np.array(known, np.float32) if known and len(known) == len(measured) else None


def extract(
    paths: str | Path | Iterable[str | Path],
    config: ExtractionConfig | None = None,
    *,
    labels: str | Path = "folder",
    label_map: str | Path | None = None,
    group: str | None = None,
    group_regex: str | None = None,
    label_regex: str | None = None,
    jobs: int | None = None,
    on_failure: Callable[[Failure], object] | None = None,
) -> "FeatureTable":
    """Compute the features of audio files and folders.

    Parameters
    ----------
    paths : path or iterable of paths
        Audio files, and folders to search.
    config : ExtractionConfig or Config, optional
        Without it, the default configuration.
    labels : "folder", "tags", "none", or path of a manifest
        Source of the genres. ``"folder"`` is the first folder below each of ``paths``, or the name
        of that path. A manifest is a CSV file with columns ``path,label[,group]``.
    label_map : path, optional
        CSV file with the spelling of labels; see ``read_label_map``.
    group : "artist", "album" or "albumartist", optional
        Tag whose value is the group of tracks to which a manifest gives none.
    group_regex : str, optional
        Regular expression whose first parenthesis finds the group in the path.
    label_regex : str, optional
        Regular expression for the label, in place of ``labels``.
    jobs : int, optional
        Worker processes; None computes in this process.
    on_failure : callable, optional
        Called with each ``Failure``; without it the first one is raised.

    Returns
    -------
    FeatureTable
        Sorted by path, with one row for a track that was given twice. Its notes name missing labels
        and groups, and tracks that were not decoded as usual.

    Raises
    ------
    AudioError
        If a file fails and there is no ``on_failure``, or if no file gave features.
    TableError
        If manifest or map cannot be read, or the options contradict each other.

    Examples
    --------
    >>> table = genreclf.extract("music", jobs=2)  # doctest: +SKIP
    >>> table = genreclf.extract("music", labels="tags", group="artist")  # doctest: +SKIP
    >>> table.to_frame()  # doctest: +SKIP
    """
    config = config or Config()
    paths = [paths] if isinstance(paths, str | Path) else paths
    labelling = Labelling(labels, label_map, group, group_regex, label_regex)
    found = find_tracks(paths, labelling.of_paths)
    rows = []
    with Workers(jobs) if jobs else nullcontext() as workers:
        labelled = label_tracks(list(dict.fromkeys(found.tracks)), labelling, workers)
        for outcome in extract_tracks(labelled.tracks, config, workers):
            if isinstance(outcome, Row):
                rows.append(outcome)
            elif on_failure is None:
                raise AudioError(outcome.error)
            else:
                on_failure(outcome)
    if not rows:
        raise AudioError("no audio file gave features")
    of_tracks = [f"{row.track.path}: {note}" for row in rows for note in row.notes]
    notes = [*found.notes, *labelled.notes, *of_tracks]
    return replace(build_table(rows, config), notes=notes)
