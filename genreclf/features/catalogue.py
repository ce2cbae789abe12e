"""The features: one function each, all giving (d, t) arrays over the frames of an excerpt.

Every function that librosa has too gives librosa's numbers on the same input within float32
rounding; the tests hold them against it. Sources stand with each function.
"""

import math
from collections.abc import Callable
from functools import cached_property, lru_cache, partial
from typing import get_args

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, uniform_filter1d

from genreclf.audio.decode import Samples
from genreclf.audio.excerpt import Excerpt
from genreclf.config.bands import band_bins, mel_edges
from genreclf.config.schema import (
    Feature,
    Features,
    OnsetAggregate,
    PadMode,
    Spectra,
    TrackFeature,
    View,
)
from genreclf.features.blocklevel import (
    cent_spectrum,
    correlation_pattern,
    delta_spectral_pattern,
    fluctuation_pattern,
    pattern_rows,
    spectral_pattern,
)
from genreclf.features.constantq import PITCH_CLASSES, constant_q, cqt_pitches, pitch_class_energy
from genreclf.features.separation import Parts, waveform
from genreclf.features.spectra import (
    Array,
    Spectrum,
    centred_frames,
    frame,
    hann_window,
    power_to_db,
)

TONNETZ_AXES = ("fifth.x", "fifth.y", "minor_third.x", "minor_third.y", "major_third.x",
                "major_third.y")  # fmt: skip
TEMPOGRAM_SUMMARY = ("peak1", "peak2", "peak_ratio", "tempo_ratio")

# Features of the whole excerpt, (d, 1): they become columns as they are, without pooling.
TRACK_LEVEL: frozenset[str] = frozenset(get_args(TrackFeature))

_TINY = float(np.finfo(np.float32).tiny)


class _Analysis:
    """A spectrum, and what several features of it begin with, each computed at first use."""

    def __init__(self, spectrum: Spectrum, samples: Callable[[], Samples], config: View) -> None:
        self.spectrum = spectrum
        self._samples = samples
        self._settings, self._spectra = config.features, config.spectra

    @cached_property
    def tuning(self) -> float:
        return tuning(self.spectrum)

    @cached_property
    def chroma(self) -> Array:
        return chroma(self.spectrum, self.tuning)

    @cached_property
    def samples(self) -> Samples:
        return self._samples()

    @cached_property
    def cqt(self) -> Array:
        rate = self.spectrum.sample_rate_hz
        return constant_q(self.samples, rate, self._spectra, self.tuning)

    @cached_property
    def chroma_cqt(self) -> Array:
        return chroma_cqt(self.cqt, self._spectra)

    @cached_property
    def onsets(self) -> Array:
        return onset_strength(self.spectrum, self._settings.onset_aggregate)

    @cached_property
    def tempogram(self) -> Array:
        return mean_tempogram(self.onsets, self.spectrum.frame_rate_hz, self._settings)

    @cached_property
    def mfcc(self) -> Array:
        return mfcc(self.spectrum, self._settings.n_mfcc)

    @cached_property
    def centroid(self) -> Array:
        return spectral_centroid(self.spectrum)

    @cached_property
    def cents(self) -> Array:
        return cent_spectrum(self.spectrum)

    def tempo(self) -> Array:
        return tempo(self.tempogram, self.spectrum.frame_rate_hz, self._settings)

    def mfcc_delta(self, order: int) -> Array:
        if self._settings.delta == "difference":
            return difference(self.mfcc, order)
        return delta(self.mfcc, self._settings.delta_frames, order)


def compute_features(parts: Parts, excerpt: Excerpt, config: View) -> dict[str, Array]:
    """Compute the selected features of an excerpt.

    Returns
    -------
    dict of str to (d, t) float32
        In the order of ``features.select``, which is that of the columns; rows as
        ``feature_rows`` names them.
    """
    recipes = _recipes(parts, excerpt, config)
    return {name: recipes[name]() for name in config.features.select}


def _recipes(parts: Parts, excerpt: Excerpt, config: View) -> dict[Feature, Callable[[], Array]]:
    settings, pad_mode = config.features, config.spectra.pad_mode
    mix, rate = parts.mix, parts.mix.frame_rate_hz

    def samples_of(part: Spectrum) -> Samples:
        if part is mix:
            return excerpt.unpadded
        return waveform(part, mix, excerpt, pad_mode)[0]

    harmonic, percussive, whole = (
        _Analysis(part, partial(samples_of, part), config) for part in parts
    )
    return {
        "harmonic.chroma": lambda: harmonic.chroma,
        "harmonic.tonnetz": lambda: tonnetz(harmonic.chroma),
        "harmonic.chroma_cqt": lambda: harmonic.chroma_cqt,
        "harmonic.tonnetz_cqt": lambda: tonnetz(harmonic.chroma_cqt),
        "harmonic.waveform": lambda: waveform(parts.harmonic, mix, excerpt, pad_mode),
        "percussive.onset_strength": lambda: percussive.onsets,
        "percussive.tempo": percussive.tempo,
        "percussive.tempogram": lambda: tempogram_summary(percussive.tempogram, rate, settings),
        "percussive.pulse_clarity": lambda: pulse_clarity(percussive.onsets, rate, settings),
        "percussive.onset_rate": lambda: onset_rate(percussive.onsets, rate),
        "percussive.waveform": lambda: waveform(parts.percussive, mix, excerpt, pad_mode),
        "mix.chroma": lambda: whole.chroma,
        "mix.chroma_cqt": lambda: whole.chroma_cqt,
        "mix.cqt": lambda: power_to_db(np.square(whole.cqt)),
        "mix.tempo": whole.tempo,
        "mix.mel": lambda: mix.mel_db,
        "mix.mfcc": lambda: whole.mfcc,
        "mix.mfcc_delta": lambda: whole.mfcc_delta(order=1),
        "mix.mfcc_delta2": lambda: whole.mfcc_delta(order=2),
        "mix.centroid": lambda: whole.centroid,
        "mix.bandwidth": lambda: spectral_bandwidth(mix, whole.centroid),
        "mix.rolloff": lambda: spectral_rolloff(mix, settings.rolloff_fraction),
        "mix.flatness": lambda: spectral_flatness(mix),
        "mix.flux": lambda: spectral_flux(mix),
        "mix.contrast": lambda: spectral_contrast(
            mix, settings.contrast_min_hz, settings.contrast_quantile
        ),
        "mix.rms": lambda: (
            rms(mix)
            if settings.rms == "spectrum"
            else waveform_rms(excerpt, mix.n_fft, mix.hop_length, pad_mode)
        ),
        "mix.low_energy": lambda: low_energy(rms(mix), rate),
        "mix.modulation_4hz": lambda: modulation_4hz(mix),
        "mix.zero_crossing_rate": lambda: zero_crossing_rate(excerpt, mix.n_fft, mix.hop_length),
        "mix.spectral_pattern": lambda: spectral_pattern(whole.cents),
        "mix.delta_spectral_pattern": lambda: delta_spectral_pattern(whole.cents),
        "mix.fluctuation_pattern": lambda: fluctuation_pattern(whole.cents, rate),
        "mix.correlation_pattern": lambda: correlation_pattern(whole.cents),
    }


def feature_rows(config: View) -> dict[str, tuple[str, ...]]:
    """Name the rows of every selected feature, in the order of ``compute_features``.

    A feature of one row has one empty name.
    """
    coefficients = _numbers(config.features.n_mfcc)
    rate, spectra = config.audio.sample_rate_hz, config.spectra
    bins = band_bins(*config.band_hz, rate, spectra.n_fft)
    octaves = _octaves(config.features.contrast_min_hz, bins, rate, spectra.n_fft)
    mel_hz = mel_edges(spectra.n_mels, *config.band_hz, spectra.emphasis)[1:-1]
    several = {
        "harmonic.chroma": PITCH_CLASSES,
        "harmonic.tonnetz": TONNETZ_AXES,
        "percussive.tempogram": TEMPOGRAM_SUMMARY,
        "mix.chroma": PITCH_CLASSES,
        "mix.mfcc": coefficients,
        "mix.mfcc_delta": coefficients,
        "mix.mfcc_delta2": coefficients,
        "mix.contrast": _numbers(octaves + 1),
        "mix.mel": tuple(f"{round(hz):05d}Hz" for hz in mel_hz),
        "mix.cqt": cqt_pitches(spectra),
        "mix.chroma_cqt": PITCH_CLASSES,
        "harmonic.chroma_cqt": PITCH_CLASSES,
        "harmonic.tonnetz_cqt": TONNETZ_AXES,
        **pattern_rows(config),
    }
    return {name: several.get(name, ("",)) for name in config.features.select}


def _numbers(n: int) -> tuple[str, ...]:
    return tuple(f"{i:02d}" for i in range(n))


# --- harmony ---------------------------------------------------------------------------------


def chroma(spectrum: Spectrum, deviation: float | None = None) -> Array:
    """Energy of the twelve pitch classes, C first, (12, t); each frame's largest is 1.

    As ``librosa.feature.chroma_stft(S=power)``, its tuning estimate included where no
    ``deviation`` in semitones is given (Ellis 2007).
    """
    if deviation is None:
        deviation = tuning(spectrum)
    bank = _chroma_filterbank(spectrum.sample_rate_hz, spectrum.n_fft, deviation)
    energy = bank[:, spectrum.bins] @ spectrum.power
    return _scaled(energy, energy.max(axis=0))


def chroma_cqt(magnitude: Array, spectra: Spectra) -> Array:
    """Energy of the twelve pitch classes in a constant-Q transform, as ``chroma``, (12, t).

    As ``librosa.feature.chroma_cqt(C=magnitude)``.
    """
    energy = pitch_class_energy(magnitude, spectra)
    return _scaled(energy, energy.max(axis=0))


def tonnetz(chromagram: Array) -> Array:
    """Tonal centroids, (6, t): sine and cosine on the circles of fifths and of both thirds.

    Harte, Sandler & Gasser 2006; as ``librosa.feature.tonnetz(chroma=chromagram)``.
    """
    pitch = np.arange(12)
    angles = np.pi * np.outer((7 / 6, 7 / 6, 3 / 2, 3 / 2, 2 / 3, 2 / 3), pitch)
    angles[::2] -= np.pi / 2
    radii = np.array([1, 1, 1, 1, 0.5, 0.5])[:, None]
    projection = (radii * np.cos(angles)).astype(np.float32)
    return projection @ _scaled(chromagram, chromagram.sum(axis=0))


def tuning(spectrum: Spectrum, resolution: float = 0.01) -> float:
    """Deviation from A = 440 Hz in semitones, in [-0.5, 0.5).

    The most frequent deviation among the louder half of the spectral peaks between 150 Hz and
    4 kHz; as ``librosa.estimate_tuning(S=power)``. A spectrum without peaks gives 0.
    """
    frequencies, heights = _spectral_peaks(spectrum)
    if not len(frequencies):
        return 0.0
    frequencies = frequencies[heights >= np.median(heights)]
    deviation = np.mod(12 * np.log2(frequencies / 27.5), 1.0)
    deviation[deviation >= 0.5] -= 1
    edges = np.linspace(-0.5, 0.5, math.ceil(1 / resolution) + 1)
    counts, _ = np.histogram(deviation, edges)
    return float(edges[counts.argmax()])


def _spectral_peaks(spectrum: Spectrum) -> tuple[Array, Array]:
    """Parabolically interpolated frequency and height of each frame's peaks above a tenth.

    Smith & Serra 1987; as ``librosa.piptrack``, but interpolating at the peaks only.
    """
    power = spectrum.power
    bins = spectrum.frequencies_hz
    low, high = np.searchsorted(bins, (150.0, min(4000.0, spectrum.sample_rate_hz / 2)))
    low = max(int(low), 1)
    high = max(low, min(int(high), len(bins) - 1))
    middle, below, above = power[low:high], power[low - 1 : high - 1], power[low + 1 : high + 1]
    loud = middle > np.float32(0.1) * power.max(axis=0)
    k, t = np.nonzero(loud & (middle > below) & (middle >= above))
    left, peak, right = below[k, t], middle[k, t], above[k, t]
    curvature, slope = left + right - 2 * peak, (right - left) / 2
    inside = np.abs(slope) < np.abs(curvature)
    shift = np.where(inside, -slope / np.where(inside, curvature, 1), 0)
    frequencies = (spectrum.bins.start + low + k + shift) * spectrum.sample_rate_hz / spectrum.n_fft
    heights = peak + slope * shift / 2
    return frequencies.astype(np.float32), heights.astype(np.float32)


@lru_cache(maxsize=128)
def _chroma_filterbank(sample_rate_hz: int, n_fft: int, deviation: float) -> Array:
    """Gaussian bumps a semitone wide around each pitch class, (12, 1 + n_fft / 2).

    Ellis 2007: octaves far from the fifth count less, by a Gaussian two octaves wide.
    """
    a440 = 440 * 2 ** (deviation / 12)
    hz = np.arange(1, n_fft // 2 + 2) * sample_rate_hz / n_fft
    semitones = 12 * np.log2(hz / (a440 / 16))
    # The bin at 0 Hz has no pitch: it is put one and a half octaves below the first.
    semitones = np.concatenate(([semitones[0] - 18], semitones))
    widths = np.maximum(np.diff(semitones), 1)
    semitones = semitones[:-1]
    distance = np.mod(semitones - np.arange(12)[:, None] + 6, 12) - 6
    bumps = np.exp(-0.5 * (2 * distance / widths) ** 2)
    bumps /= np.sqrt(np.sum(bumps**2, axis=0))
    bumps *= np.exp(-0.5 * ((semitones / 12 - 5) / 2) ** 2)
    return np.roll(bumps, -3, axis=0).astype(np.float32)  # from A first to C first


# --- rhythm ----------------------------------------------------------------------------------


def onset_strength(spectrum: Spectrum, aggregate: OnsetAggregate = "mean") -> Array:
    """Mean or median rise of the mel bands in dB from frame to frame, (1, t).

    Spectral flux (Böck & Widmer 2013, without the maximum filter); as
    ``librosa.onset.onset_strength(S=mel_db)``, with its shift by half a window. The median,
    which librosa tracks beats with, heeds only what begins in half of the bands at once.
    """
    levels = spectrum.mel_db
    rises = np.maximum(0, np.diff(levels, axis=1))
    rise = rises.mean(axis=0) if aggregate == "mean" else np.median(rises, axis=0)
    delay = 1 + spectrum.n_fft // (2 * spectrum.hop_length)
    return np.pad(rise, (delay, 0))[None, : levels.shape[1]]


def mean_tempogram(onsets: Array, frame_rate_hz: float, settings: Features) -> Array:
    """Time average of the local autocorrelation of onset strength, (lags,).

    As ``librosa.feature.tempogram(onset_envelope=onsets).mean(axis=-1)`` (Grosche, Müller &
    Kurth 2010) with windows of ``tempogram_seconds``. Every local autocorrelation is scaled to
    1 at lag 0, and autocorrelation and mean are both linear in the power spectrum, so that one
    inverse transform serves all frames.
    """
    length = math.floor(settings.tempogram_seconds * frame_rate_hz)
    n = onsets.shape[1]
    ramped = np.pad(onsets[0], length // 2, mode="linear_ramp")
    windows = frame(ramped, length, 1)[:n] * hann_window(length).astype(np.float32)
    energy = np.sum(windows**2, axis=1)
    windows = windows[energy >= _TINY] / np.sqrt(energy[energy >= _TINY])[:, None]
    size = scipy.fft.next_fast_len(2 * length - 1, real=True)
    spectra = scipy.fft.rfft(windows, size, axis=1)
    power = np.sum(spectra.real**2 + spectra.imag**2, axis=0) / n
    autocorrelation: Array = scipy.fft.irfft(power, size)[:length]
    return autocorrelation


def tempo(autocorrelation: Array, frame_rate_hz: float, settings: Features) -> Array:
    """Global tempo in beats per minute, (1, 1); 0 where nothing ever sounds anew.

    The lag whose autocorrelation, weighted by a log-normal prior one octave wide, is largest
    (Ellis 2007); as ``librosa.feature.tempo``, except that librosa calls silence 117 BPM or so,
    and that rounding does not matter: onset strength is nowhere negative, so its autocorrelation
    is not either, and what is computed as a little less than 0 counts as 0. librosa takes the
    logarithm of it, which may be NaN, and NaN is the maximum of everything.
    """
    autocorrelation = np.maximum(autocorrelation, 0)
    if not autocorrelation.any():
        return np.zeros((1, 1), dtype=np.float32)
    bpm = _lag_bpm(len(autocorrelation), frame_rate_hz)
    prior = -0.5 * np.log2(bpm[1:] / settings.tempo_prior_bpm) ** 2
    prior[bpm[1:] >= settings.tempo_max_bpm] = -np.inf
    best = np.argmax(np.log1p(1e6 * autocorrelation[1:]) + prior)
    return np.array([[bpm[1 + best]]], dtype=np.float32)


def tempogram_summary(autocorrelation: Array, frame_rate_hz: float, settings: Features) -> Array:
    """Describe the two highest peaks of the mean tempogram, (4, 1).

    After the beat histogram of Tzanetakis & Cook 2002: the heights of both peaks in the
    configured range of tempi, the second height relative to the first, and the second tempo
    relative to the first (2 for a pulse twice as fast). What is missing is 0.
    """
    lags, heights = _tempo_peaks(autocorrelation, frame_rate_hz, settings)
    summary = np.zeros((4, 1), dtype=np.float32)
    summary[: len(heights[:2]), 0] = heights[:2]
    if len(heights) > 1:
        summary[2:, 0] = heights[1] / heights[0], lags[0] / lags[1]
    return summary


def pulse_clarity(onsets: Array, frame_rate_hz: float, settings: Features) -> Array:
    """Height of the highest peak in the autocorrelation of the whole onset curve, (1, 1).

    Lartillot et al. 2008, "MaxAutocor": near 1 for a machine's even pulse, near 0 for none.
    """
    centred = onsets[0] - onsets[0].mean()
    size = scipy.fft.next_fast_len(2 * len(centred) - 1, real=True)
    power = np.abs(scipy.fft.rfft(centred, size)) ** 2
    autocorrelation = scipy.fft.irfft(power, size)[: len(centred)]
    if autocorrelation[0] < _TINY:
        return np.zeros((1, 1), dtype=np.float32)
    _, heights = _tempo_peaks(autocorrelation / autocorrelation[0], frame_rate_hz, settings)
    return np.array([[heights[0] if len(heights) else 0]], dtype=np.float32)


def onset_rate(onsets: Array, frame_rate_hz: float) -> Array:
    """Onsets a second, (1, 1).

    An onset is the largest value of the normalised curve within 30 ms before it, and 0.07 above
    the mean of 100 ms around (Böck, Krebs & Schedl 2012); as ``librosa.onset.onset_detect``.
    """
    curve = onsets[0] - onsets[0].min()
    if not curve.any():
        return np.zeros((1, 1), dtype=np.float32)
    curve /= curve.max() + _TINY
    n = len(curve)
    before, around = math.floor(0.03 * frame_rate_hz), math.floor(0.1 * frame_rate_hz)
    total = np.concatenate(([0], np.cumsum(curve, dtype=np.float64)))
    frames = np.arange(n)
    start, stop = np.maximum(frames - around, 0), np.minimum(frames + around + 1, n)
    mean = (total[stop] - total[start]) / (stop - start)
    largest = np.max(frame(np.pad(curve, (before, 0)), before + 1, 1), axis=1)
    candidates = np.flatnonzero((curve == largest) & (curve >= mean + 0.07))
    return np.array([[_count_apart(candidates, before) * frame_rate_hz / n]], dtype=np.float32)


def _count_apart(positions: NDArray[np.intp], wait: int) -> int:
    """Count positions, skipping any within ``wait`` after one that counted."""
    count, last = 0, -wait - 1
    for position in positions:
        if position > last + wait:
            count, last = count + 1, position
    return count


def _lag_bpm(n_lags: int, frame_rate_hz: float) -> NDArray[np.float64]:
    return 60 * frame_rate_hz / np.maximum(np.arange(n_lags), 1e-9)


def _tempo_peaks(
    autocorrelation: NDArray[np.floating], frame_rate_hz: float, settings: Features
) -> tuple[NDArray[np.intp], NDArray[np.floating]]:
    """Positive local maxima within the range of tempi, highest first: lags and heights."""
    bpm = _lag_bpm(len(autocorrelation), frame_rate_hz)[1:-1]
    middle = autocorrelation[1:-1]
    peaks = (middle > autocorrelation[:-2]) & (middle >= autocorrelation[2:]) & (middle > 1e-6)
    peaks &= (bpm >= settings.tempogram_min_bpm) & (bpm <= settings.tempo_max_bpm)
    lags = np.flatnonzero(peaks) + 1
    order = np.argsort(-autocorrelation[lags], kind="stable")
    return lags[order], autocorrelation[lags[order]]


# --- timbre ----------------------------------------------------------------------------------


def mfcc(spectrum: Spectrum, n_mfcc: int) -> Array:
    """Mel-frequency cepstral coefficients, (n_mfcc, t).

    Orthonormal DCT-II of the mel bands in dB (Davis & Mermelstein 1980); as
    ``librosa.feature.mfcc(S=mel_db)``.
    """
    coefficients: Array = scipy.fft.dct(spectrum.mel_db, axis=0, type=2, norm="ortho")[:n_mfcc]
    return coefficients


def delta(rows: Array, width: int, order: int) -> Array:
    """Local slope (order 1) or curvature (order 2) along time, (d, t).

    Derivative of the polynomial of that order fitted to ``width`` frames around each one, at the
    ends to the outermost ``width`` frames (Savitzky & Golay 1964); as
    ``librosa.feature.delta(rows, width=width, order=order)``. A shorter excerpt narrows the
    window; one too short for any has no slope.
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
    """Difference between neighbouring frames, ``order`` times over, (d, t - order).

    As ``numpy.diff``. An excerpt too short for any has one of 0.
    """
    if rows.shape[1] <= order:
        return np.zeros_like(rows[:, :1])
    return np.diff(rows, order, axis=1)


def spectral_centroid(spectrum: Spectrum) -> Array:
    """Mean frequency in Hz, weighted by magnitude, (1, t); 0 in silence."""
    hz = spectrum.frequencies_hz.astype(np.float32)
    return (hz @ spectrum.weights)[None]


def spectral_bandwidth(spectrum: Spectrum, centroid: Array) -> Array:
    """Weighted standard deviation of frequency in Hz, (1, t); 0 in silence."""
    hz = spectrum.frequencies_hz.astype(np.float32)
    deviation = hz[:, None] - centroid
    deviation *= deviation
    deviation *= spectrum.weights
    return np.sqrt(deviation.sum(axis=0, keepdims=True))


def spectral_rolloff(spectrum: Spectrum, fraction: float) -> Array:
    """Lowest frequency in Hz below which ``fraction`` of the magnitude lies, (1, t).

    Tzanetakis & Cook 2002; as ``librosa.feature.spectral_rolloff``.
    """
    below = np.cumsum(spectrum.in_band, axis=0)
    bins = np.add.reduce(below < np.float32(fraction) * below[-1], axis=0, dtype=np.uint16)
    return spectrum.frequencies_hz[bins][None].astype(np.float32)


def spectral_flatness(spectrum: Spectrum) -> Array:
    """Geometric over arithmetic mean of the power, (1, t): 1 for white noise, 0 for a tone.

    Dubnov 2004; as ``librosa.feature.spectral_flatness``.
    """
    power = np.maximum(spectrum.power, np.float32(1e-10))
    geometric = np.exp(np.mean(np.log(power), axis=0, keepdims=True))
    return geometric / power.mean(axis=0, keepdims=True)


def spectral_flux(spectrum: Spectrum) -> Array:
    """Distance of each frame's spectrum from that of the one before, (1, t).

    Euclidean (Scheirer & Slaney 1997), between spectra that sum to one, so that loudness has no
    part in it (Tzanetakis & Cook 2002). The first frame has none before it, and 0.
    """
    changes = np.diff(spectrum.weights, axis=1)
    return np.pad(np.sqrt(np.sum(np.square(changes), axis=0, keepdims=True)), ((0, 0), (1, 0)))


def spectral_contrast(spectrum: Spectrum, min_hz: float, quantile: float) -> Array:
    """Peaks over valleys in dB, in octaves up to the end of the band, (octaves + 1, t).

    Row 0 is everything below ``min_hz``, row k the k-th octave above. Peaks and valleys are the
    means of the highest and lowest ``quantile`` of a band's bins (Jiang et al. 2002); as
    ``librosa.feature.spectral_contrast``, with as many octaves as the band has.
    """
    magnitude, hz = spectrum.in_band, spectrum.frequencies_hz
    n_bands = _octaves(min_hz, spectrum.bins, spectrum.sample_rate_hz, spectrum.n_fft)
    edges = np.concatenate(([0], min_hz * 2.0 ** np.arange(n_bands + 1)))
    peaks = np.empty((n_bands + 1, magnitude.shape[1]), dtype=np.float32)
    valleys = np.empty_like(peaks)
    for band in range(n_bands + 1):
        inside = np.flatnonzero((hz >= edges[band]) & (hz <= edges[band + 1]))
        # As in librosa: a band begins one bin early, all but the last leave out their top bin,
        # and the last goes on to the end of the band.
        start = max(inside[0] - 1, 0) if band else inside[0]
        stop = inside[-1] + 1 if band < n_bands else len(hz)
        count = max(1, round(quantile * (stop - start)))
        ordered = np.sort(magnitude[start : stop - (band < n_bands)], axis=0)
        valleys[band] = ordered[:count].mean(axis=0)
        peaks[band] = ordered[-count:].mean(axis=0)
    return power_to_db(peaks) - power_to_db(valleys)


def _octaves(min_hz: float, bins: slice, sample_rate_hz: int, n_fft: int) -> int:
    """Octaves from ``min_hz`` that begin below the highest of some bins."""
    return math.ceil(math.log2((bins.stop - 1) * sample_rate_hz / n_fft / min_hz))


def rms(spectrum: Spectrum) -> Array:
    """Root mean square of each windowed frame, by Parseval's theorem, (1, t).

    As ``librosa.feature.rms(S=magnitude)``: the window takes its part, so that a sine of
    amplitude 1 gives 0.43, not 0.71.
    """
    power, bins = spectrum.power, spectrum.bins
    # Every bin but that of 0 Hz and the Nyquist frequency stands for its mirror image too.
    once = np.zeros_like(power[:1])
    if bins.start == 0:
        once += power[:1]
    if bins.stop == len(spectrum.magnitude):
        once += power[-1:]
    energy = power.sum(axis=0, keepdims=True) - once / 2
    return np.sqrt(2 * energy) / np.float32(spectrum.n_fft)


def waveform_rms(excerpt: Excerpt, frame_length: int, hop_length: int, pad_mode: PadMode) -> Array:
    """Root mean square of each frame's samples, (1, t).

    As ``librosa.feature.rms(y=samples)``: without a window, a sine of amplitude 1 gives 0.71.
    """
    frames = centred_frames(excerpt.unpadded, frame_length, hop_length, pad_mode)
    return np.sqrt(np.mean(np.square(frames), axis=1))[None]


def low_energy(levels: Array, frame_rate_hz: float) -> Array:
    """Share of frames whose RMS is below half the mean of the second around them, (1, 1).

    Large for speech, with its pauses between syllables (Scheirer & Slaney 1997). At the ends the
    first or last frame goes on.
    """
    second = max(1, round(frame_rate_hz))
    mean = uniform_filter1d(levels[0].astype(np.float64), second, mode="nearest")
    return np.array([[np.mean(levels[0] < 0.5 * mean)]], dtype=np.float32)


def modulation_4hz(spectrum: Spectrum) -> Array:
    """Share of the energy of mel bands' envelopes that pulses at about 4 Hz, (1, 1).

    The rate of syllables (Scheirer & Slaney 1997): what a second-order band-pass of quality 2
    around 4 Hz leaves of the energy of all bands' magnitudes over time.
    """
    envelopes = np.sqrt(spectrum.mel_power)
    n = envelopes.shape[1]
    hz = scipy.fft.rfftfreq(n, 1 / spectrum.frame_rate_hz)[1:]
    passed = 1 / (1 + 4 * (hz / 4 - 4 / hz) ** 2)
    # Each frequency stands for its mirror image too, but the last of an even number of frames.
    passed[: (n - 1) // 2] *= 2
    energy = n * np.sum(np.square(envelopes), dtype=np.float64)
    power = np.sum(np.square(np.abs(scipy.fft.rfft(envelopes, axis=1)[:, 1:])), axis=0)
    return np.array([[power @ passed / energy if energy > _TINY else 0]], dtype=np.float32)


def zero_crossing_rate(excerpt: Excerpt, frame_length: int, hop_length: int) -> Array:
    """Share of samples at which the sign of the waveform changes, (1, t).

    As ``librosa.feature.zero_crossing_rate``: values within 1e-10 of zero count as positive.
    """
    half = frame_length // 2
    samples = excerpt.unpadded
    negative = np.pad(samples, (half, frame_length - half), mode="edge") < -1e-10
    crossings = np.concatenate(([0], np.cumsum(negative[1:] != negative[:-1])))
    starts = np.arange(0, len(samples) + 1, hop_length)
    count = crossings[starts + frame_length - 1] - crossings[starts]
    return (count / frame_length).astype(np.float32)[None]


def _scaled(rows: Array, length: Array) -> Array:
    """Divide each frame by its length, leaving frames of next to nothing as they are."""
    return np.divide(rows, np.where(length < _TINY, np.float32(1), length), dtype=np.float32)
