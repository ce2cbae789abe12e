"""The constant-Q transform: bins evenly spaced in pitch, with windows that are longer for low bins.

The code is our own because librosa is slower and less accurate. On 29 s at 12 kHz and one core,
``librosa.cqt`` takes 113 ms and ``hybrid_cqt`` 123 ms, against 59 ms here; their largest errors are
2 % and 9 % of the largest value, against 0.005 % here, and 0.6 dB and 1.5 dB in the mean, against
0.02 dB.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from genreclf.audio.audiofile import Samples
from genreclf.config.views import PadMode, Spectra, SpectralView
from genreclf.features.catalogue import PITCH_CLASSES
from genreclf.features.spectra import Array

# Side lobes of a Hann window are left out below -82 dB, beyond the range of any feature in dB.
_LOBES = 16


def constant_q(
    samples: Samples, sample_rate_hz: int, spectra: Spectra, deviation: float = 0.0
) -> Array:
    """Magnitude of the constant-Q transform (Brown 1991), (bins, 1 + n // hop_length).

    Bin ``k`` of frame ``t`` is the inner product of the samples around ``t * hop_length`` with a
    complex sinusoid of frequency ``f_k`` under a Hann window of ``L_k = Q * sample_rate_hz / f_k``
    samples and of sum ``sqrt(L_k)``. As ``abs(librosa.cqt(samples))``, which rounds the lengths of
    the windows to whole samples.

    The transform of the whole signal is multiplied by the response of each bin (Brown & Puckette
    1992). Only every ``hop_length``-th sample of the inverse is needed, so the product is folded
    before it is inverted.

    Parameters
    ----------
    samples : (n,) float32
        Padded by ``spectra.pad_mode`` where windows extend beyond the ends.
    sample_rate_hz : int
    spectra : Spectra
    deviation : float
        Deviation of the tuning from A = 440 Hz in semitones, which the bins follow.

    Returns
    -------
    (bins, t) float32
        Bins as named by ``cqt_rows``.
    """
    hz = cqt_frequencies(spectra) * 2 ** (deviation / 12)
    q, hop = _quality(spectra.cqt_bins_per_octave), spectra.hop_length
    longest = math.ceil(q * sample_rate_hz / hz[0])
    n_hops = scipy.fft.next_fast_len(math.ceil((len(samples) + longest + 2) / hop))
    circle = _pad_circularly(samples, longest // 2 + 1, n_hops * hop, spectra.pad_mode)
    transformed = scipy.fft.rfft(circle)
    folded = np.zeros((len(hz), n_hops), dtype=transformed.dtype)
    for row, centre in zip(folded, hz * n_hops * hop / sample_rate_hz, strict=True):
        reach = _LOBES * centre / q
        start = max(0, math.ceil(centre - reach))
        stop = min(len(transformed), math.floor(centre + reach) + 1)
        lobes = q * (np.arange(start, stop) / centre - 1)
        row += _fold(transformed[start:stop] * _hann_response(lobes), start, n_hops)
    rows = np.abs(scipy.fft.ifft(folded, axis=1))[:, : 1 + len(samples) // hop]
    lengths = q * sample_rate_hz / hz
    return (rows * (np.sqrt(lengths) / hop)[:, None]).astype(np.float32)


def _pad_circularly(samples: Samples, reach: int, size: int, pad_mode: PadMode) -> Samples:
    """Pad samples by ``reach`` on both sides, with the padding before them at the end, (size,)."""
    padded = np.pad(samples, reach, mode=pad_mode)
    circle = np.zeros(size, dtype=np.float32)
    circle[: len(samples) + reach] = padded[reach:]
    circle[-reach:] = padded[:reach]
    return circle


def _hann_response(lobes: NDArray[np.float64]) -> Array:
    """Return the transform of a Hann window of sum 1; one lobe is one over its length."""
    # sinc(u) / (1 - u^2), in a form without cancellation near u = 0 and u = 1.
    distance = np.maximum(np.abs(lobes.astype(np.float32)), np.float32(1e-3))
    to_one = 1 - distance + np.float32(1e-9)
    response: Array = np.sin(np.float32(np.pi) * to_one)
    return response / (np.float32(np.pi) * to_one * distance * (1 + distance))


def _fold(values: NDArray[np.complex64], start: int, size: int) -> NDArray[np.complex64]:
    """Add up values, the first of which has the index ``start``, by their index modulo ``size``."""
    before = start % size
    turns = math.ceil((before + len(values)) / size)
    laid = np.zeros(turns * size, dtype=values.dtype)
    laid[before : before + len(values)] = values
    return laid.reshape(turns, size).sum(axis=0)


def _quality(bins_per_octave: int) -> float:
    """Return frequency over bandwidth, as in librosa; neighbouring bins meet."""
    step = 2 ** (2 / bins_per_octave)
    return (step + 1) / (step - 1)


def _lowest_pitch(spectra: Spectra) -> int:
    """Return the MIDI number of the first bin, the lowest semitone from ``cqt_min_hz`` up."""
    return math.ceil(round(69 + 12 * math.log2(spectra.cqt_min_hz / 440), 6))


def cqt_frequencies(spectra: Spectra) -> NDArray[np.float64]:
    """Return the frequencies of the bins in Hz, at A = 440 Hz, (bins,)."""
    lowest_hz = 440 * 2 ** ((_lowest_pitch(spectra) - 69) / 12)
    steps = spectra.cqt_bins_per_octave * math.log2(spectra.cqt_max_hz / lowest_hz)
    return lowest_hz * 2 ** (
        np.arange(math.floor(round(steps, 6)) + 1) / spectra.cqt_bins_per_octave
    )


def cqt_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the bins by the nearest pitch and the distance in cents: ``A4``, ``A4+33``, ``A#4-33``.

    A bin half-way between two pitches belongs to the upper one, as in librosa.
    """
    spectra = view.spectra
    names = []
    for k in range(len(cqt_frequencies(spectra))):
        pitch, cents = _nearest_pitch(k, spectra)
        octave, pitch_class = divmod(pitch, 12)
        names.append(f"{PITCH_CLASSES[pitch_class]}{octave - 1}{f'{cents:+d}' if cents else ''}")
    return tuple(names)


def _nearest_pitch(k: int, spectra: Spectra) -> tuple[int, int]:
    """Return the MIDI number of the nearest pitch, and the distance from it in cents."""
    a_semitone = spectra.cqt_bins_per_octave // 12
    above, rest = divmod(k + a_semitone // 2, a_semitone)
    return _lowest_pitch(spectra) + above, round(100 * (rest - a_semitone // 2) / a_semitone)


def pitch_class_energy(magnitude: Array, spectra: Spectra) -> Array:
    """Add up the bins of each pitch class, C first, (12, t)."""
    energy = np.zeros((12, magnitude.shape[1]), dtype=np.float32)
    for k, row in enumerate(magnitude):
        energy[_nearest_pitch(k, spectra)[0] % 12] += row
    return energy
