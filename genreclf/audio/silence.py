"""Find the parts of a signal that are not silent."""

from typing import TypeAlias

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from genreclf.audio.audiofile import Samples

Span: TypeAlias = tuple[int, int]  # from start to stop, in samples

# Root mean square below which a track is silent. 16-bit dither has 0.5 to 1 step, also after
# coding; music at -60 dB has about 3 steps.
SILENCE = 1.5 / 2**15
# Shaped dither has up to 15 steps, most of it at frequencies to which ears are less sensitive, and
# only half a step below AUDIBLE_HZ. So only frequencies below AUDIBLE_HZ count in quiet pieces.
SHAPED_DITHER = 32 / 2**15
AUDIBLE_HZ = 8000
PIECE_SECONDS = 0.1  # each piece is silent or not
PAUSE_SECONDS = 2.0  # a longer silence is not a pause in the music


def audible_spans(samples: Samples, sample_rate_hz: int) -> list[Span]:
    """Return the parts that are not silent; they include short pauses.

    Silence is at most a constant offset and the dither of 16-bit audio.
    """
    hop = round(PIECE_SECONDS * sample_rate_hz)
    # One sample longer than the hop, so that a step between two pieces is in one of them.
    pieces = sliding_window_view(samples, min(hop + 1, len(samples)))[::hop]
    last = samples[None, -hop:]
    levels = [_levels(some, sample_rate_hz) for some in (pieces, last)]
    audible = np.flatnonzero(np.concatenate(levels) > SILENCE)
    if not len(audible):
        return []
    gaps = np.flatnonzero(np.diff(audible) * PIECE_SECONDS > PAUSE_SECONDS)
    starts = hop * audible[np.concatenate(([0], gaps + 1))]
    stops = hop * audible[np.concatenate((gaps, [-1]))] + hop
    stops = np.minimum(stops, len(samples))
    return [(int(start), int(stop)) for start, stop in zip(starts, stops, strict=True)]


def _levels(pieces: Samples, sample_rate_hz: int) -> Samples:
    """Return the root mean squares of (n, size) pieces after subtracting their means, (n,)."""
    levels: Samples = pieces.std(axis=1)
    doubtful = (levels > SILENCE) & (levels < SHAPED_DITHER)
    if doubtful.any():
        size = pieces.shape[1]
        audible = slice(1, 1 + AUDIBLE_HZ * size // sample_rate_hz)
        amplitudes = np.abs(scipy.fft.rfft(pieces[doubtful], axis=1)[:, audible]) / size
        levels[doubtful] = np.sqrt(2 * np.sum(np.square(amplitudes), axis=1))
    return levels
