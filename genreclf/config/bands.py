"""Bands of frequencies: the bins of a spectrum between two limits, and the mel scale.

In plain Python, so that a configuration can be checked before slow packages are imported.
"""

import math
from typing import NamedTuple

# Slaney's scale: 3 mels to 200 Hz up to 1 kHz, from there 27 mels to a factor of 6.4.
_MELS_PER_HZ = 3 / 200
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ * _MELS_PER_HZ
_MELS_PER_LOG = 27 / math.log(6.4)


class Emphasis(NamedTuple):
    """Mel bands are ``factor`` times as dense between two frequencies."""

    factor: float = 1.0
    min_hz: float = 4000.0
    max_hz: float = 11_000.0


NO_EMPHASIS = Emphasis()


def band_bins(min_hz: float, max_hz: float, sample_rate_hz: int, n_fft: int) -> slice:
    """Return the bins with frequencies from ``min_hz`` to ``max_hz``, both included."""
    first = math.ceil(min_hz * n_fft / sample_rate_hz)
    last = math.floor(min(max_hz, sample_rate_hz / 2) * n_fft / sample_rate_hz)
    return slice(first, last + 1)


def mel_edges(
    n_mels: int, min_hz: float, max_hz: float, emphasis: Emphasis = NO_EMPHASIS
) -> list[float]:
    """Return the edges of mel bands in Hz.

    Band ``i`` rises from edge ``i`` to edge ``i + 1`` and falls to edge ``i + 2``. Edges are evenly
    spaced on the mel scale, except that they are denser within the emphasis.

    Returns
    -------
    list of n_mels + 2 float
    """
    factor, start, end = emphasis.factor, hz_to_mel(emphasis.min_hz), hz_to_mel(emphasis.max_hz)

    def stretch(mel: float) -> float:
        return mel + (factor - 1) * (min(max(mel, start), end) - start)

    def shrink(stretched: float) -> float:
        if factor == 1 or stretched <= start:
            return stretched
        inside = start + (stretched - start) / factor
        return inside if inside <= end else stretched - (factor - 1) * (end - start)

    low, high = stretch(hz_to_mel(min_hz)), stretch(hz_to_mel(max_hz))
    step = (high - low) / (n_mels + 1)
    positions = [low + i * step for i in range(n_mels + 1)]
    return [mel_to_hz(shrink(position)) for position in [*positions, high]]


def check_mel_bands(edges: list[float], sample_rate_hz: int, n_fft: int) -> None:
    """Refuse mel bands that would always be empty, because they are between two bins.

    Raises
    ------
    ValueError
    """
    for low, high in zip(edges, edges[2:], strict=False):
        next_bin = math.floor(low * n_fft / sample_rate_hz) + 1
        if next_bin * sample_rate_hz / n_fft >= high:
            raise ValueError(
                f"spectra.n_mels = {len(edges) - 2}: some mel bands are narrower than a bin of "
                f"n_fft = {n_fft} at {sample_rate_hz} Hz; take fewer bands or a longer window"
            )


def hz_to_mel(hz: float) -> float:
    """Convert by the scale of Slaney's Auditory Toolbox: linear below 1 kHz, logarithmic above."""
    if hz < _KNEE_HZ:
        return hz * _MELS_PER_HZ
    return _KNEE_MEL + math.log(hz / _KNEE_HZ) * _MELS_PER_LOG


def mel_to_hz(mel: float) -> float:
    """Invert ``hz_to_mel``."""
    if mel < _KNEE_MEL:
        return mel / _MELS_PER_HZ
    return _KNEE_HZ * math.exp((mel - _KNEE_MEL) / _MELS_PER_LOG)
