"""The chain from a file to its features."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from threadpoolctl import ThreadpoolController

from genreclf.audio.excerpt import Excerpt, load_excerpts
from genreclf.audio.placement import Chooser
from genreclf.config.schema import Config, ExtractionConfig
from genreclf.config.views import EmbeddingView, SpectralView, View
from genreclf.embeddings.runner import embed
from genreclf.embeddings.runner import prepare as prepare_network
from genreclf.errors import AudioError
from genreclf.features.compute import features_of, prepare_engine
from genreclf.features.measured import Measured, Spans, keep_frames
from genreclf.features.pooling import pool
from genreclf.features.scan import Scan, scan
from genreclf.features.selection import load_chosen
from genreclf.features.spectra import Array

# Feature name to (d, t) float32.
Frames: TypeAlias = dict[str, Array]


def prepare(config: ExtractionConfig) -> None:
    """Check that what a configuration needs is here, and load it; call it before workers start.

    Raises
    ------
    ConfigError
        If another version of librosa is installed than the configuration names.
    NetworkError
        If a pretrained network is not here.
    """
    prepare_engine(config)
    for network in config.networks:
        prepare_network(network)


def extract_one(path: str | Path, config: ExtractionConfig | None = None) -> Array:
    """Compute the features of one audio file.

    Parameters
    ----------
    path : str or Path
    config : ExtractionConfig or Config, optional
        Without it, the default configuration.

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


def measure(path: Path, config: ExtractionConfig, choose: Chooser | None = None) -> Measured:
    """Compute what a table holds of one audio file: statistics, and the frames that are kept.

    See ``extract_frames`` for the parameters. Where the configuration takes several excerpts and
    the caller does not choose others, the statistics of each are computed too.
    """
    views = _analyse(path, config, choose)
    frames, first = _of_track(views), views[0].excerpts
    several = config.n_excerpts > 1 and choose is None
    excerpts = _pool_each(views, config) if several else None
    return Measured(
        pool(frames, config),
        keep_frames(frames, config),
        first[0].notes,
        excerpts,
        _spans(first),
    )


def chosen_spans(path: Path, config: ExtractionConfig) -> Spans:
    """Return the start and stop of each excerpt of the first view, in seconds, as ``measure`` does.

    No features are computed. See ``extract_one`` for what is raised.
    """
    with _blas().limit(limits=1, user_api="blas"):
        [first] = load_chosen(path, config.each_view[:1])
    return _spans(first)


def _spans(excerpts: Sequence[Excerpt]) -> Spans:
    return tuple((excerpt.start_seconds, excerpt.stop_seconds) for excerpt in excerpts)


def extract_frames(
    path: Path, config: ExtractionConfig, choose: Chooser | None = None
) -> tuple[list[Excerpt], Frames]:
    """Compute the features of one audio file before they are pooled over time.

    Parameters
    ----------
    path : Path
    config : ExtractionConfig
    choose : callable, optional
        Chooses the excerpts in place of the configuration; silence is then no reason to move them.

    Returns
    -------
    excerpts : list of Excerpt
        Those of the first view.
    frames : dict of str to (d, t) float32
        Of all views; no two have a feature of the same name. The frames of several excerpts follow
        each other; a feature with one value an excerpt, such as the tempo, is their median.
    """
    views = _analyse(path, config, choose)
    return views[0].excerpts, _of_track(views)


def scan_track(path: Path, config: ExtractionConfig) -> Scan:
    """Scan a whole track, as the choice of excerpts does; with sections if that needs them."""
    timbre = any(view.excerpt.strategy == "highlight" for view in config.each_view)
    with _blas().limit(limits=1, user_api="blas"):
        scanned = scan(path, timbre=timbre)
        _ = scanned.structure  # computed at first use
    return scanned


class _Analysed(NamedTuple):
    """A file as one view sees it: its excerpts, and the features of each."""

    view: View
    excerpts: list[Excerpt]
    frames: list[Frames]


def _analyse(
    path: Path, config: ExtractionConfig, choose: Chooser | None = None
) -> list[_Analysed]:
    views = config.each_view
    with _blas().limit(limits=1, user_api="blas"):
        excerpts = load_excerpts(path, views, choose) if choose else load_chosen(path, views)
        return [
            _Analysed(view, several, [_frames_of(excerpt, view, path) for excerpt in several])
            for several, view in zip(excerpts, views, strict=True)
        ]


def _frames_of(excerpt: Excerpt, view: SpectralView | EmbeddingView, path: Path) -> Frames:
    if isinstance(view, SpectralView):
        return features_of(excerpt, view)
    try:
        found = embed(excerpt.unpadded, view.embedding, view.outputs)
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from None
    return dict(zip(view.feature_names, found.values(), strict=True))


def _of_track(views: Sequence[_Analysed]) -> Frames:
    return _side_by_side(_joined(view) for view in views)


def _pool_each(views: Sequence[_Analysed], config: ExtractionConfig) -> Array:
    """Summarise the frames of each excerpt, (n_excerpts, n_features).

    A view with fewer excerpts, because the track is short or partly silent, repeats those it has.
    """
    n = config.n_excerpts
    each = [
        _side_by_side(view.frames[i * len(view.frames) // n] for view in views) for i in range(n)
    ]
    return np.array([pool(frames, config) for frames in each])


def _joined(analysed: _Analysed) -> Frames:
    """Put the frames of several excerpts one after the other."""
    view, _, several = analysed
    if len(several) == 1:
        return several[0]
    joined = {}
    for name in several[0]:
        frames = np.concatenate([frames[name] for frames in several], axis=1)
        # The mean of two tempi an octave apart would be the tempo of neither.
        over_time = view.rate_hz(name) > 0
        joined[name] = frames if over_time else np.median(frames, axis=1, keepdims=True)
    return joined


def _side_by_side(of_views: Iterable[Frames]) -> Frames:
    return {name: rows for frames in of_views for name, rows in frames.items()}


@lru_cache
def _blas() -> ThreadpoolController:
    # Looking for the libraries takes longer than limiting their threads: once a process.
    return ThreadpoolController()
