"""Features of timbre: the shape of the spectrum, how it changes, and its level.

Each feature is a function from a ``Sound`` to (rows, frames), or to (rows, 1) where it is one value
per track, declared in the catalogue. Features of the spectrum see the configured band only.
"""

import math

import numpy as np
import scipy.fft
from scipy.ndimage import correlate1d, uniform_filter1d

from genreclf.config.bands import band_bins, mel_edges
from genreclf.config.views import SpectralView
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, Spectrum, centred_frames, power_to_db


def mel(sound: Sound) -> Array:
    """Level of each mel band in dB.

    (n_mels, t), at most 80 dB below the loudest. As ``librosa.power_to_db`` of
    ``librosa.feature.melspectrogram``.
    """
    return sound.spectrum.mel_db


def mel_rows(view: SpectralView) -> tuple[str, ...]:
    """Name mel bands by the frequency of their peak."""
    spectra = view.spectra
    hz = mel_edges(spectra.n_mels, *view.band_hz, spectra.emphasis)[1:-1]
    return tuple(f"{round(frequency):05d}Hz" for frequency in hz)


def mfcc(sound: Sound) -> Array:
    """Mel-frequency cepstral coefficients: the shape of the spectrum in a few numbers.

    (n_mfcc, t). Orthonormal DCT-II of the mel bands in dB (Davis & Mermelstein 1980). As
    ``librosa.feature.mfcc(S=mel_db)``.
    """
    return cepstrum(sound.spectrum, sound.view.features.n_mfcc)


def mfcc_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the coefficients by their number."""
    return _numbers(view.features.n_mfcc)


def mfcc_delta(sound: Sound) -> Array:
    """Slope of each MFCC along time, (n_mfcc, t); see ``delta`` and ``difference``."""
    return _mfcc_delta(sound, order=1)


def mfcc_delta2(sound: Sound) -> Array:
    """Curvature of each MFCC along time, (n_mfcc, t); see ``delta`` and ``difference``."""
    return _mfcc_delta(sound, order=2)


def centroid(sound: Sound) -> Array:
    """Mean frequency in Hz, weighted by magnitude; 0 in silence.

    (1, t). As ``librosa.feature.spectral_centroid``.
    """
    hz = sound.spectrum.frequencies_hz.astype(np.float32)
    return (hz @ sound.spectrum.weights)[None]


def bandwidth(sound: Sound) -> Array:
    """Spread (standard deviation) of frequency in Hz, weighted by magnitude; 0 in silence.

    (1, t). As ``librosa.feature.spectral_bandwidth``.
    """
    hz = sound.spectrum.frequencies_hz.astype(np.float32)
    deviation = hz[:, None] - sound.once(centroid)
    deviation *= deviation
    deviation *= sound.spectrum.weights
    return np.sqrt(deviation.sum(axis=0, keepdims=True))


def rolloff(sound: Sound) -> Array:
    """Lowest frequency in Hz below which ``rolloff_fraction`` of the magnitude lies.

    (1, t). Tzanetakis & Cook 2002; as ``librosa.feature.spectral_rolloff``.
    """
    fraction = np.float32(sound.view.features.rolloff_fraction)
    below = np.cumsum(sound.spectrum.in_band, axis=0)
    bins = np.add.reduce(below < fraction * below[-1], axis=0, dtype=np.uint16)
    return sound.spectrum.frequencies_hz[bins][None].astype(np.float32)


def flatness(sound: Sound) -> Array:
    """Geometric over arithmetic mean of the power: near 1 for noise, 0 for a tone.

    (1, t). Dubnov 2004; as ``librosa.feature.spectral_flatness``.
    """
    power = np.maximum(sound.spectrum.power, np.float32(1e-10))
    geometric = np.exp(np.mean(np.log(power), axis=0, keepdims=True))
    return geometric / power.mean(axis=0, keepdims=True)


def flux(sound: Sound) -> Array:
    """Euclidean distance between the spectra of a frame and of the one before.

    (1, t); 0 for the first frame. Scheirer & Slaney 1997, of spectra that sum to one, so that the
    level has no influence (Tzanetakis & Cook 2002).
    """
    changes = np.diff(sound.spectrum.weights, axis=1)
    return np.pad(np.sqrt(np.sum(np.square(changes), axis=0, keepdims=True)), ((0, 0), (1, 0)))


def contrast(sound: Sound) -> Array:
    """Difference between peaks and valleys of the spectrum in each octave, in dB.

    (octaves + 1, t). Row 0 is the band below ``contrast_min_hz``, row k the k-th octave above it.
    Peaks and valleys are the means of the highest and lowest ``contrast_quantile`` of a band's bins
    (Jiang et al. 2002). As ``librosa.feature.spectral_contrast`` with as many octaves as there are.
    """
    spectrum, settings = sound.spectrum, sound.view.features
    magnitude, hz = spectrum.in_band, spectrum.frequencies_hz
    n_bands = _octaves(
        settings.contrast_min_hz, spectrum.bins, spectrum.sample_rate_hz, spectrum.n_fft
    )
    edges = np.concatenate(([0], settings.contrast_min_hz * 2.0 ** np.arange(n_bands + 1)))
    peaks = np.empty((n_bands + 1, magnitude.shape[1]), dtype=np.float32)
    valleys = np.empty_like(peaks)
    for band in range(n_bands + 1):
        inside = np.flatnonzero((hz >= edges[band]) & (hz <= edges[band + 1]))
        # As in librosa: a band begins one bin early, all but the last leave out their top bin,
        # and the last extends to the end of the spectrum.
        start = max(inside[0] - 1, 0) if band else inside[0]
        stop = inside[-1] + 1 if band < n_bands else len(hz)
        count = max(1, round(settings.contrast_quantile * (stop - start)))
        ordered = np.sort(magnitude[start : stop - (band < n_bands)], axis=0)
        valleys[band] = ordered[:count].mean(axis=0)
        peaks[band] = ordered[-count:].mean(axis=0)
    return power_to_db(peaks) - power_to_db(valleys)


def contrast_rows(view: SpectralView) -> tuple[str, ...]:
    """Name the bands by number; 00 is below the first octave."""
    rate, n_fft = view.audio.sample_rate_hz, view.spectra.n_fft
    bins = band_bins(*view.band_hz, rate, n_fft)
    return _numbers(_octaves(view.features.contrast_min_hz, bins, rate, n_fft) + 1)


def rms(sound: Sound) -> Array:
    """Root mean square of each frame, of the windowed frame or of its samples as they are.

    (1, t). As ``librosa.feature.rms(S=magnitude)`` if ``features.rms`` is "spectrum": a sine of
    amplitude 1 gives 0.43, because the window takes its part. As ``librosa.feature.rms(y=samples)``
    if it is "waveform": the sine gives 0.71.
    """
    if sound.view.features.rms == "spectrum":
        return spectrum_rms(sound)
    spectra = sound.view.spectra
    frames = centred_frames(
        sound.excerpt.unpadded, spectra.n_fft, spectra.hop_length, spectra.pad_mode
    )
    return np.sqrt(np.mean(np.square(frames), axis=1))[None]


def spectrum_rms(sound: Sound) -> Array:
    """Return the root mean square of each windowed frame by Parseval's theorem, (1, t)."""
    spectrum, power, bins = sound.spectrum, sound.spectrum.power, sound.spectrum.bins
    # Every bin counts twice, for its mirror image, but those of 0 Hz and of the Nyquist frequency.
    once = np.zeros_like(power[:1])
    if bins.start == 0:
        once += power[:1]
    if bins.stop == len(spectrum.magnitude):
        once += power[-1:]
    energy = power.sum(axis=0, keepdims=True) - once / 2
    return np.sqrt(2 * energy) / np.float32(spectrum.n_fft)


def low_energy(sound: Sound) -> Array:
    """Share of the frames whose RMS is below half the mean of the second around them.

    (1, 1). Large for speech, with its pauses between syllables (Scheirer & Slaney 1997). Beyond
    the ends the first or last frame is repeated.
    """
    levels = sound.once(spectrum_rms)[0]
    second = max(1, round(sound.frame_rate_hz))
    mean = uniform_filter1d(levels.astype(np.float64), second, mode="nearest")
    return np.array([[np.mean(levels < 0.5 * mean)]], dtype=np.float32)


def zero_crossing_rate(sound: Sound) -> Array:
    """Share of the samples at which the waveform changes its sign.

    (1, t). As ``librosa.feature.zero_crossing_rate``: values within 1e-10 of zero count as
    positive.
    """
    frame_length, samples = sound.spectrum.n_fft, sound.excerpt.unpadded
    half = frame_length // 2
    negative = np.pad(samples, (half, frame_length - half), mode="edge") < -1e-10
    crossings = np.concatenate(([0], np.cumsum(negative[1:] != negative[:-1])))
    starts = np.arange(0, len(samples) + 1, sound.spectrum.hop_length)
    count = crossings[starts + frame_length - 1] - crossings[starts]
    return (count / frame_length).astype(np.float32)[None]


def cepstrum(spectrum: Spectrum, n_coefficients: int) -> Array:
    """Return the first mel-frequency cepstral coefficients, (n_coefficients, t)."""
    return scipy.fft.dct(spectrum.mel_db, axis=0, type=2, norm="ortho")[:n_coefficients]


def delta(rows: Array, width: int, order: int) -> Array:
    """Return the local slope (order 1) or curvature (order 2) along time, (d, t).

    Derivative of the polynomial of that order fitted to ``width`` frames around each frame, at the
    ends to the outermost ``width`` frames (Savitzky & Golay 1964); as
    ``librosa.feature.delta(rows, width=width, order=order)``. The window is narrower if there are
    fewer frames; if there are too few for any window, the slope is 0.
    """
    width = min(width, rows.shape[1] - 1 + rows.shape[1] % 2)
    if width <= order:
        return np.zeros_like(rows)
    half = width // 2
    # Row p of the inverse gives the p-th coefficient of the least-squares polynomial.
    fit = np.linalg.pinv(np.vander(np.arange(-half, half + 1), order + 1, increasing=True))
    derivative = (fit[order] * math.factorial(order)).astype(np.float32)
    result = correlate1d(rows, derivative, axis=1, mode="nearest")
    # The highest derivative of a polynomial is the same wherever it is evaluated.
    result[:, :half] = result[:, half : half + 1]
    result[:, -half:] = result[:, -half - 1 : -half]
    return result


def difference(rows: Array, order: int) -> Array:
    """Return ``numpy.diff`` along time, (d, t - order); 0 if there are too few frames."""
    if rows.shape[1] <= order:
        return np.zeros_like(rows[:, :1])
    return np.diff(rows, order, axis=1)


def _mfcc_delta(sound: Sound, order: int) -> Array:
    settings = sound.view.features
    if settings.delta == "difference":
        return difference(sound.once(mfcc), order)
    return delta(sound.once(mfcc), settings.delta_frames, order)


def _octaves(min_hz: float, bins: slice, sample_rate_hz: int, n_fft: int) -> int:
    """Count the octaves above ``min_hz`` that begin below the highest bin."""
    return math.ceil(math.log2((bins.stop - 1) * sample_rate_hz / n_fft / min_hz))


def _numbers(n: int) -> tuple[str, ...]:
    return tuple(f"{i:02d}" for i in range(n))
