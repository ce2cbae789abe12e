"""Choose which seconds of a track the features are computed from."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter1d

from genreclf.audio.audiofile import AudioInfo
from genreclf.audio.excerpt import Excerpt, load_excerpts
from genreclf.audio.placement import Chooser, placed_spans
from genreclf.audio.silence import Span
from genreclf.config.views import Excerpt as ExcerptSettings
from genreclf.config.views import View
from genreclf.features.scan import ENERGY_SECONDS, Doubles, Scan, scan
from genreclf.features.structure import SMOOTHED_BLOCKS, Structure

PEAK_SECONDS = 3.0  # length of the loudest moment
_LOUDNESS_WEIGHT = 0.05  # against a repetition of at most 1


def load_chosen(path: Path, views: Sequence[View]) -> list[list[Excerpt]]:
    """Decode the excerpts of a track; where they are silent, decode the loudest part instead.

    See ``load_excerpts`` for what is returned and raised.
    """
    scan_once = cache(partial(scan, path, timbre=False))

    def loudest(info: AudioInfo, settings: ExcerptSettings) -> list[Span]:
        whole = settings.strategy == "full"
        seconds = settings.longest_seconds if whole else settings.seconds
        return [_loudest_span(scan_once(), info, seconds)]

    return load_excerpts(path, views, chooser(path, views), instead=loudest)


def chooser(path: Path, views: Sequence[View]) -> Chooser:
    """Return the function that chooses the spans of a view, for ``load_excerpts``.

    The track is scanned once for all views, and only if a view needs it.
    """
    if not any(view.excerpt.needs_scan for view in views):
        return placed_spans
    timbre = any(view.excerpt.strategy == "highlight" for view in views)
    return partial(choose_spans, scan(path, timbre=timbre))


def choose_spans(track: Scan, info: AudioInfo, settings: ExcerptSettings) -> list[Span]:
    """Choose spans of a track that was scanned.

    "energy" is the span of the highest mean energy. "window" has the loudest moment, of
    ``PEAK_SECONDS``, in its middle, unless the track ends before. "highlight" is the span with the
    most repetition, in the middle of a section rather than at its edge, and the loudest of these
    spans; if nothing repeats, it is as "energy".
    """
    if not settings.needs_scan:
        return placed_spans(info, settings)
    wanted = min(info.n_frames, round(settings.seconds * info.sample_rate_hz))
    structure = track.structure if settings.strategy == "highlight" else None
    if settings.strategy == "window":
        moment = round(PEAK_SECONDS / ENERGY_SECONDS)
        start = track.hop * _best_start(track.energies, moment) + track.hop * moment // 2
        start -= wanted // 2
    elif structure is not None and structure.repetition.any():
        start = _highlight_start(track, structure, wanted)
    else:
        return [_loudest_span(track, info, settings.seconds)]
    start = max(0, min(start, info.n_frames - wanted))
    return [(start, start + wanted)]


def _loudest_span(track: Scan, info: AudioInfo, seconds: float) -> Span:
    wanted = min(info.n_frames, round(seconds * info.sample_rate_hz))
    start = track.hop * _best_start(track.energies, round(wanted / track.hop))
    start = max(0, min(start, info.n_frames - wanted))
    return start, start + wanted


def _highlight_start(track: Scan, structure: Structure, wanted: int) -> int:
    block = structure.block_seconds * track.info.sample_rate_hz
    loudness = track.loudness(structure.block_seconds, len(structure.labels))
    # Smoothing moves the maximum to the middle of a section: boundaries may be seconds off.
    worth = uniform_filter1d(structure.repetition, SMOOTHED_BLOCKS, mode="nearest")
    worth += _LOUDNESS_WEIGHT * loudness / max(loudness.max(), 1e-9)
    return round(block * _best_start(worth, round(wanted / block)))


def _best_start(worth: Doubles, length: int) -> int:
    """Return where the ``length`` values with the largest sum begin; the first such place."""
    length = max(1, min(length, len(worth)))
    total = np.concatenate(([0.0], np.cumsum(worth)))
    return int(np.argmax(total[length:] - total[:-length])) if len(worth) else 0
