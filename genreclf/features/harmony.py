"""Features of harmony: which pitches sound, and how they relate.

Each feature is a function from a ``Sound`` to (rows, frames), declared in the catalogue. The
tests compare each one with librosa's.
"""

import math
from functools import lru_cache

import numpy as np

from genreclf.features.constantq import constant_q, pitch_class_energy
from genreclf.features.separation import samples_of
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, Spectrum, normalised, power_to_db


def chroma(sound: Sound) -> Array:
    """Energy of the twelve pitch classes, C first; the largest of each frame is 1.

    (12, t). As ``librosa.feature.chroma_stft(S=power)``, with its estimate of the tuning (Ellis
    2007).
    """
    return chromagram(sound.spectrum, sound.once(tuning))


def tonnetz(sound: Sound) -> Array:
    """Position of the harmony on the circles of fifths, minor thirds and major thirds.

    (6, t): sine and cosine on each circle (Harte, Sandler & Gasser 2006). As
    ``librosa.feature.tonnetz(chroma=chroma)``.
    """
    return tonal_centroids(sound.once(chroma))


def cqt(sound: Sound) -> Array:
    """Level of each bin of the constant-Q transform in dB.

    (bins, t), at most 80 dB below the loudest. As ``librosa.amplitude_to_db``.
    """
    return power_to_db(np.square(sound.once(cqt_magnitude)))


def chroma_cqt(sound: Sound) -> Array:
    """Energy of the twelve pitch classes in the constant-Q transform, C first.

    (12, t). As ``librosa.feature.chroma_cqt(C=magnitude)``.
    """
    energy = pitch_class_energy(sound.once(cqt_magnitude), sound.view.spectra)
    return normalised(energy, energy.max(axis=0))


def tonnetz_cqt(sound: Sound) -> Array:
    """Position of the constant-Q transform's harmony on the circles, as ``tonnetz``, (6, t)."""
    return tonal_centroids(sound.once(chroma_cqt))


def cqt_magnitude(sound: Sound) -> Array:
    """Return the constant-Q transform, (bins, t), whose bins follow the tuning."""
    rate, spectra = sound.spectrum.sample_rate_hz, sound.view.spectra
    return constant_q(sound.once(samples_of), rate, spectra, sound.once(tuning))


def tuning(sound: Sound) -> float:
    """Return the deviation from A = 440 Hz in semitones; see ``estimate_tuning``."""
    return estimate_tuning(sound.spectrum)


def chromagram(spectrum: Spectrum, deviation: float) -> Array:
    """Return the energy of the twelve pitch classes, (12, t), for a tuning in semitones."""
    bank = _chroma_filterbank(spectrum.sample_rate_hz, spectrum.n_fft, deviation)
    energy = bank[:, spectrum.bins] @ spectrum.power
    return normalised(energy, energy.max(axis=0))


def tonal_centroids(chromagram: Array) -> Array:
    """Project pitch classes, (12, t), onto the circles, (6, t)."""
    angles = np.pi * np.outer((7 / 6, 7 / 6, 3 / 2, 3 / 2, 2 / 3, 2 / 3), np.arange(12))
    angles[::2] -= np.pi / 2
    radii = np.array([1, 1, 1, 1, 0.5, 0.5])[:, None]
    projection = (radii * np.cos(angles)).astype(np.float32)
    return projection @ normalised(chromagram, chromagram.sum(axis=0))


def estimate_tuning(spectrum: Spectrum, resolution: float = 0.01) -> float:
    """Estimate the deviation from A = 440 Hz in semitones, in [-0.5, 0.5).

    The most frequent deviation of the louder half of the spectral peaks between 150 Hz and 4 kHz;
    0 for a spectrum without peaks. As ``librosa.estimate_tuning(S=power)``.
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
    """Return the frequencies and heights of the peaks above a tenth of each frame's maximum.

    Interpolated by parabolas (Smith & Serra 1987), as ``librosa.piptrack``, but only at the peaks.
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
    """Return Gaussian filters a semitone wide around each pitch class, (12, 1 + n_fft / 2).

    Octaves far from the fifth have smaller weights, by a Gaussian two octaves wide (Ellis 2007).
    """
    a440 = 440 * 2 ** (deviation / 12)
    hz = np.arange(1, n_fft // 2 + 2) * sample_rate_hz / n_fft
    semitones = 12 * np.log2(hz / (a440 / 16))
    # The bin at 0 Hz has no pitch: it is placed one and a half octaves below the first.
    semitones = np.concatenate(([semitones[0] - 18], semitones))
    widths = np.maximum(np.diff(semitones), 1)
    semitones = semitones[:-1]
    distance = np.mod(semitones - np.arange(12)[:, None] + 6, 12) - 6
    bumps = np.exp(-0.5 * (2 * distance / widths) ** 2)
    bumps /= np.sqrt(np.sum(bumps**2, axis=0))
    bumps *= np.exp(-0.5 * ((semitones / 12 - 5) / 2) ** 2)
    return np.roll(bumps, -3, axis=0).astype(np.float32)  # from A first to C first
