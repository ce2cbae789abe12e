"""The short-time Fourier transform of an excerpt, and what is derived from it once.

Definitions are librosa's (McFee et al. 2015), so that the numbers can be compared with published
work. Our own code shares work between features, and starts without a compiler.
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genreclf.audio.audiofile import Samples
from genreclf.audio.excerpt import Excerpt
from genreclf.config.bands import NO_EMPHASIS, Emphasis, band_bins, check_mel_bands, mel_edges
from genreclf.config.views import PadMode, SpectralView
from genreclf.errors import ConfigError

Array = NDArray[np.float32]
TINY = float(np.finfo(np.float32).tiny)
Real = TypeVar("Real", bound=np.floating[Any])


@dataclass(frozen=True)
class Spectrum:
    """A magnitude spectrogram and what is derived from it, computed at first use and then shared.

    Separation and its inverse see all bins. Everything else sees only the band from ``min_hz`` to
    ``max_hz``, as if there were no other bins.

    Attributes
    ----------
    magnitude : (1 + n_fft / 2, t) float32
        Linear, not decibels. Row ``k`` is the frequency ``k * sample_rate_hz / n_fft``.
    emphasis : Emphasis
        Range in which mel bands are denser.
    """

    magnitude: Array
    sample_rate_hz: int
    hop_length: int
    n_mels: int
    min_hz: float = 0.0
    max_hz: float = math.inf
    emphasis: Emphasis = NO_EMPHASIS

    @property
    def n_fft(self) -> int:
        """Samples in a window."""
        return 2 * (len(self.magnitude) - 1)

    @property
    def frame_rate_hz(self) -> float:
        """Frames in a second."""
        return self.sample_rate_hz / self.hop_length

    @property
    def bins(self) -> slice:
        """Rows of ``magnitude`` in the band."""
        return band_bins(self.min_hz, self.max_hz, self.sample_rate_hz, self.n_fft)

    @property
    def in_band(self) -> Array:
        """Magnitude of the band alone, (bins, t)."""
        return self.magnitude[self.bins]

    @property
    def frequencies_hz(self) -> NDArray[np.float64]:
        """Frequencies of the band's bins, (bins,)."""
        return fft_frequencies(self.sample_rate_hz, self.n_fft)[self.bins]

    @cached_property
    def power(self) -> Array:
        """Squared magnitude of the band, (bins, t)."""
        return np.square(self.in_band)

    @cached_property
    def mel_power(self) -> Array:
        """Power in mel bands, (n_mels, t)."""
        limits = (self.min_hz, min(self.max_hz, self.sample_rate_hz / 2))
        bank = mel_filterbank(self.sample_rate_hz, self.n_fft, self.n_mels, limits, self.emphasis)
        return bank[:, self.bins] @ self.power

    @cached_property
    def mel_db(self) -> Array:
        """Mel-band power in dB, (n_mels, t), from which MFCC and onset strength are computed."""
        return power_to_db(self.mel_power)

    @cached_property
    def weights(self) -> Array:
        """Magnitude of the band, which sums to 1 in each frame, (bins, t); silent frames are 0."""
        total = self.in_band.sum(axis=0)
        total[total < TINY] = 1
        return self.in_band / total


def mix_spectrum(excerpt: Excerpt, config: SpectralView) -> Spectrum:
    """Transform the audio of an excerpt, without the zeros that pad a short track."""
    spectra = config.spectra
    magnitude = stft_magnitude(
        excerpt.unpadded, spectra.n_fft, spectra.hop_length, spectra.pad_mode
    )
    return Spectrum(
        magnitude, excerpt.sample_rate_hz, spectra.hop_length, spectra.n_mels, *config.band_hz,
        spectra.emphasis,
    )  # fmt: skip


def stft_magnitude(
    samples: Samples, n_fft: int, hop_length: int, pad_mode: PadMode = "constant"
) -> Array:
    """Magnitude of the short-time Fourier transform, as ``abs(librosa.stft(samples))``.

    Parameters
    ----------
    samples : (n,) float32
    n_fft : int
        Window length; a periodic Hann window.
    hop_length : int
        Samples between frames. Frame ``t`` is centred on sample ``t * hop_length``.
    pad_mode : "constant" or "reflect"
        Beyond the ends the signal is zero, or its mirror image (librosa's default until 2023).

    Returns
    -------
    (1 + n_fft / 2, 1 + n // hop_length) float32
        Transformed in double precision, as in librosa: rounding in single precision would hide the
        quiet bins that spectral contrast measures.
    """
    windows = centred_frames(samples, n_fft, hop_length, pad_mode)
    return windowed_magnitude(windows, hann_window(n_fft), n_fft)


def windowed_magnitude(frames: Samples, window: NDArray[np.float64], n_fft: int) -> Array:
    """Magnitude of the Fourier transform of frames, (t, length), as (1 + n_fft / 2, t) float32."""
    magnitude = np.empty((1 + n_fft // 2, len(frames)), dtype=np.float32)
    block = max(1, 2**15 // n_fft)  # a quarter megabyte of transform stays in the cache
    for start in range(0, len(frames), block):
        part = scipy.fft.rfft(frames[start : start + block] * window, n_fft, axis=-1)
        magnitude[:, start : start + block] = np.abs(part).T
    return magnitude


def centred_frames(
    samples: Samples, frame_length: int, hop_length: int, pad_mode: PadMode
) -> Samples:
    """View a signal as frames around every ``hop_length``-th sample, (t, frame_length)."""
    return frame(np.pad(samples, frame_length // 2, mode=pad_mode), frame_length, hop_length)


def frame(samples: Samples, frame_length: int, hop_length: int) -> Samples:
    """View a signal as overlapping frames, (t, frame_length), without copying."""
    return sliding_window_view(samples, frame_length)[::hop_length]


@lru_cache(maxsize=8)
def hann_window(length: int) -> NDArray[np.float64]:
    """Return the periodic Hann window, (length,)."""
    return _frozen(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))


def fft_frequencies(sample_rate_hz: int, n_fft: int) -> NDArray[np.float64]:
    """Return the frequency of each bin in Hz, (1 + n_fft / 2,)."""
    return np.fft.rfftfreq(n_fft, 1 / sample_rate_hz).astype(np.float64)


def normalised(rows: Array, length: Array) -> Array:
    """Divide each frame by its length; near-silent frames stay as they are."""
    return np.divide(rows, np.where(length < TINY, np.float32(1), length), dtype=np.float32)


def power_to_db(power: NDArray[np.floating], dynamic_range_db: float = 80.0) -> Array:
    """Return ``10 log10(power)``, floored at 1e-10 and at ``dynamic_range_db`` below the peak."""
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    return np.maximum(decibels, decibels.max() - dynamic_range_db)


@lru_cache(maxsize=8)
def mel_filterbank(
    sample_rate_hz: int,
    n_fft: int,
    n_mels: int,
    limits_hz: tuple[float, float] | None = None,
    emphasis: Emphasis = NO_EMPHASIS,
) -> Array:
    """Return triangular mel filters of equal area, (n_mels, 1 + n_fft / 2).

    As ``librosa.filters.mel``, with an emphasis that librosa does not have.

    Raises
    ------
    ConfigError
        If a band is narrower than a bin, and so always empty.
    """
    min_hz, max_hz = limits_hz or (0.0, sample_rate_hz / 2)
    between = mel_edges(n_mels, min_hz, max_hz, emphasis)
    try:
        check_mel_bands(between, sample_rate_hz, n_fft)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    edges = np.array(between)
    frequencies = fft_frequencies(sample_rate_hz, n_fft)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    area = (2 / (edges[2:] - edges[:-2])).astype(np.float32)
    return _frozen(bank * area[:, None])


def _frozen(array: NDArray[Real]) -> NDArray[Real]:
    """Make an array read-only, because all callers share it."""
    array.setflags(write=False)
    return array
