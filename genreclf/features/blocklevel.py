"""Block-level features: patterns in blocks of many frames, pooled over blocks by a quantile.

After Seyerlehner, Widmer & Pohle 2010, "Fusing block-level features for music similarity
estimation" (DAFx), and Seyerlehner, Schedl, Pohle & Knees 2010 (MIREX). Blocks and hops have their
widths in frames; a frame is 23 ms there and ``spectra.hop_length`` here (21 ms by default). The
mean level of the whole excerpt is subtracted here, a running mean there.

Each feature is a function from a ``Sound`` to (rows, 1), declared in the catalogue.
"""

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from genreclf.config.bands import band_bins
from genreclf.config.views import SpectralView
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, fft_frequencies, power_to_db

LOWEST_HZ = 53.43  # 2,050 cents above C0
BANDS_PER_OCTAVE = 12  # 100 cents each
RISE_FRAMES = 3  # over which the delta spectral pattern looks for rises
SPECTRAL_FRAMES, SPECTRAL_HOP = 10, 5
# About half of 25 frames do not rise; their ranks would all be 0.
DELTA_FRAMES, DELTA_HOP, DELTA_RANKS = 25, 5, 14
FLUCTUATION_FRAMES, FLUCTUATION_HOP = 512, 128
FLUCTUATION_MAX_HZ = 10.0  # 600 beats per minute
FLUCTUATIONS_PER_OCTAVE = 8  # about 37 in all
CORRELATION_FRAMES, CORRELATION_HOP = 256, 128
CORRELATION_BANDS = 52


def cent_spectrum(sound: Sound) -> Array:
    """Return the level of bands of 100 cents in dB, less the mean of the excerpt, (bands, t).

    Sums of magnitudes above 53.43 Hz. A band holds at least one bin, so the lower bands, up to
    about 200 Hz at the default resolution, are as far apart as bins.
    """
    spectrum = sound.spectrum
    first, starts = _cent_bands(spectrum.frequencies_hz)
    magnitude = np.add.reduceat(spectrum.in_band[first:], starts, axis=0)
    level = power_to_db(np.square(magnitude))
    return level - level.mean(dtype=np.float64).astype(np.float32)


def spectral_pattern(sound: Sound) -> Array:
    """Levels of each band within 10 frames, sorted, the highest first.

    (bands * 10, 1). The 0.9 quantile over blocks. An excerpt shorter than a block is repeated until
    it fills one.
    """
    return _sorted_pattern(
        sound.once(cent_spectrum), SPECTRAL_FRAMES, SPECTRAL_HOP, SPECTRAL_FRAMES
    )


def delta_spectral_pattern(sound: Sound) -> Array:
    """Rises of each band within 25 frames, sorted, the steepest first.

    (bands * 14, 1). Rises in dB over three frames, where falls count as 0, then as
    ``spectral_pattern``. The first three frames are compared with the very first one.
    """
    cents = sound.once(cent_spectrum)
    earlier = np.maximum(np.arange(cents.shape[1]) - RISE_FRAMES, 0)
    rises = np.maximum(cents - cents[:, earlier], 0)
    return _sorted_pattern(rises, DELTA_FRAMES, DELTA_HOP, DELTA_RANKS)


def fluctuation_pattern(sound: Sound) -> Array:
    """Strength of each band's modulation up to 600 beats per minute.

    (bands * modulations, 1). The logarithmic fluctuation pattern: spectra over blocks of 512
    frames, weighted by how strongly people perceive a fluctuation, most at 4 Hz (Pampalk, Rauber &
    Merkl 2002); averaged in steps of an eighth of an octave, so that another tempo is a shift
    (Pohle et al. 2009); and blurred over neighbouring bands. The 0.6 quantile over blocks. A
    shorter excerpt is one block, padded with zeros to 512 frames, which blurs slow modulations.
    """
    hz, starts = _modulations(sound.frame_rate_hz)
    blocks = _blocks(sound.once(cent_spectrum), FLUCTUATION_FRAMES, FLUCTUATION_HOP)
    centred = blocks - blocks.mean(axis=2, keepdims=True)
    amplitudes = np.abs(scipy.fft.rfft(centred, FLUCTUATION_FRAMES, axis=2)) / blocks.shape[2]
    weighted = amplitudes[..., 1 : len(hz) + 1] / (hz / 4 + 4 / hz)
    sums = np.add.reduceat(weighted, starts, axis=2)
    means = sums / np.diff(starts, append=len(hz))
    blurred = gaussian_filter1d(means, sigma=1.0, axis=1, mode="nearest")
    return _pooled(blurred, 0.6)


def correlation_pattern(sound: Sound) -> Array:
    """Correlation over time of the levels of each two of 52 bands.

    (pairs, 1). Neighbouring bands are averaged to 52 bands. Pearson's coefficient within blocks of
    256 frames, median over blocks; a shorter excerpt is one block. The correlation with a band that
    never varies is 0.
    """
    cents = sound.once(cent_spectrum)
    starts = _fewer_bands(len(cents))
    counts = np.diff(starts, append=len(cents))[:, None]
    bands = np.add.reduceat(cents, starts, axis=0, dtype=np.float64) / counts
    blocks = _blocks(bands, CORRELATION_FRAMES, CORRELATION_HOP)
    centred = blocks - blocks.mean(axis=2, keepdims=True)
    length = np.linalg.norm(centred, axis=2, keepdims=True)
    # Levels are float32: what varies by less than a thousandth of a dB does not vary.
    steady = length <= 1e-3 * np.sqrt(blocks.shape[2])
    unit = np.where(steady, 0, centred / np.where(steady, 1, length))
    correlation = unit @ unit.transpose(0, 2, 1)
    above = np.triu_indices(len(starts), 1)
    return _pooled(correlation[:, *above], 0.5)


def spectral_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the rows by band (b) and rank (r)."""
    return _crossed(_n_bands(view), "r", SPECTRAL_FRAMES)


def delta_spectral_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the rows by band (b) and rank (r)."""
    return _crossed(_n_bands(view), "r", DELTA_RANKS)


def fluctuation_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the rows by band (b) and modulation frequency (m)."""
    steps = _modulations(view.audio.sample_rate_hz / view.spectra.hop_length)[1]
    return _crossed(_n_bands(view), "m", len(steps))


def correlation_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the rows by the two bands."""
    bands = range(len(_fewer_bands(_n_bands(view))))
    return tuple(f"b{low:02d}xb{high:02d}" for low in bands for high in bands if low < high)


def _n_bands(view: SpectralView) -> int:
    spectra, rate = view.spectra, view.audio.sample_rate_hz
    hz = fft_frequencies(rate, spectra.n_fft)[band_bins(*view.band_hz, rate, spectra.n_fft)]
    return len(_cent_bands(hz)[1])


def _crossed(n_bands: int, letter: str, n: int) -> tuple[str, ...]:
    return tuple(f"b{band:02d}.{letter}{i:02d}" for band in range(n_bands) for i in range(n))


def _sorted_pattern(levels: Array, width: int, hop: int, n_ranks: int) -> Array:
    missing = max(0, width - levels.shape[1])
    blocks = _blocks(np.pad(levels, ((0, 0), (0, missing)), mode="wrap"), width, hop)
    return _pooled(-np.sort(-blocks, axis=2)[..., :n_ranks], 0.9)


def _blocks(rows: NDArray[np.floating], width: int, hop: int) -> NDArray[np.floating]:
    """View rows as overlapping blocks, (n, d, width); shorter rows are one block."""
    width = min(width, rows.shape[1])
    return sliding_window_view(rows, width, axis=1)[:, ::hop].transpose(1, 0, 2)


def _pooled(blocks: NDArray[np.floating], quantile: float) -> Array:
    """Return the quantile of each value over all blocks, (n, …) to (values, 1)."""
    return np.quantile(blocks, quantile, axis=0).reshape(-1, 1).astype(np.float32)


def _cent_bands(hz: NDArray[np.float64]) -> tuple[int, NDArray[np.intp]]:
    """Return the first bin, and where bands begin, counted from it."""
    first = int(np.searchsorted(hz, LOWEST_HZ))
    return first, _starts(hz[first:] / LOWEST_HZ, BANDS_PER_OCTAVE)


def _modulations(frame_rate_hz: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Return the modulation frequencies above 0 in Hz, and where their steps begin."""
    hz = fft_frequencies(1, FLUCTUATION_FRAMES)[1:] * frame_rate_hz
    hz = hz[: max(1, int(np.searchsorted(hz, FLUCTUATION_MAX_HZ, side="right")))]
    return hz, _starts(hz / hz[0], FLUCTUATIONS_PER_OCTAVE)


def _starts(ratios: NDArray[np.float64], steps_per_octave: int) -> NDArray[np.intp]:
    """Return where steps of rising frequency ratios begin, without empty steps."""
    steps = np.floor(steps_per_octave * np.log2(ratios) + 1e-9)
    return np.unique(steps, return_index=True)[1]


def _fewer_bands(n_bands: int) -> NDArray[np.intp]:
    """Return where at most 52 groups of neighbouring bands begin, of nearly equal sizes."""
    n = min(n_bands, CORRELATION_BANDS)
    return np.arange(n) * n_bands // n
