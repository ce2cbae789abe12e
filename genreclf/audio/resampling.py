"""Change the sample rate."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.fft
import soxr
from numpy.typing import NDArray

from genreclf.audio.audiofile import Samples
from genreclf.config.views import Resampler


def resample(
    samples: Samples, from_hz: int, to_hz: int, resampler: Resampler = "soxr_hq"
) -> Samples:
    """Change the sample rate with soxr's high-quality recipe, as ``librosa.resample`` does.

    ``resampler="kaiser_best"`` resamples as librosa did from 2016 to 2022; only the highest twelfth
    of the band differs. The result has ``ceil(len(samples) * to_hz / from_hz)`` samples.
    """
    if from_hz == to_hz:
        return samples
    resampled: Samples
    if resampler == "kaiser_best":
        resampled = _resample_by_kaiser_best(samples, from_hz, to_hz)
    else:
        resampled = soxr.resample(samples, from_hz, to_hz, quality="soxr_hq")
    n = -(-len(samples) * to_hz // from_hz)
    if len(resampled) < n:
        return np.pad(resampled, (0, n - len(resampled)))
    return resampled[:n]


def block_resampler(from_hz: int, to_hz: int) -> Callable[[Samples], Samples]:
    """Return a function that changes the sample rate of a signal, block by block.

    It returns the samples that do not depend on later blocks, so the last few milliseconds of the
    signal are missing. Its quality is soxr's second lowest, which takes a third of the time.
    """
    stream = soxr.ResampleStream(from_hz, to_hz, num_channels=1, dtype="float32", quality="LQ")
    return stream.resample_chunk


def _resample_by_kaiser_best(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """Resample with the filter that resampy 0.1 and 0.2 call "kaiser_best".

    It is applied by multiplying spectra, which are cut off at the new Nyquist frequency.
    """
    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    kernel = _kaiser_best(min(1, up / down))
    periods = scipy.fft.next_fast_len(-(-(len(samples) + len(kernel)) // down), real=True)
    n_before, n_after = periods * down, periods * up
    spectrum = scipy.fft.rfft(samples, n_before)[: n_after // 2 + 1]
    spectrum *= _kaiser_best_spectrum(n_before, min(1, up / down))[: len(spectrum)]
    resampled: Samples = scipy.fft.irfft(spectrum, n_after)[: len(samples) * up // down]
    return resampled * np.float32(n_after / n_before)


def _kaiser_best(ratio: float) -> NDArray[np.float64]:
    """Return the impulse response, (2 m + 1,): a sinc under a Kaiser window (Smith 2002)."""
    zero_crossings, beta, rolloff = 64, 14.769656459379492, 0.9475937167399596
    # resampy walks through its table of the filter, 512 entries from one zero crossing to the
    # next, in whole steps: the cut-off frequency is a little lower than the ratio says.
    step = math.floor(512 * ratio) / 512
    half = math.floor(zero_crossings / step)
    position = step * np.arange(-half, half + 1)
    window = np.i0(beta * np.sqrt(1 - (position / zero_crossings) ** 2)) / np.i0(beta)
    return ratio * rolloff * np.sinc(rolloff * position) * window


@lru_cache(maxsize=2)
def _kaiser_best_spectrum(size: int, ratio: float) -> Samples:
    """Return its frequency response, (size // 2 + 1,): real, since the filter is symmetric."""
    kernel = _kaiser_best(ratio)
    around_zero = np.zeros(size)
    around_zero[: len(kernel)] = kernel
    response = scipy.fft.rfft(np.roll(around_zero, -(len(kernel) // 2))).real
    return response.astype(np.float32)
