"""Features of rhythm: onsets, tempo and pulse.

Each feature is a function from a ``Sound`` to (rows, frames), or to (rows, 1) where it is one value
per track, declared in the catalogue.
"""

import math

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from genreclf.features.sound import Sound
from genreclf.features.spectra import TINY, Array, frame, hann_window

Floats = NDArray[np.floating]


def onset_strength(sound: Sound) -> Array:
    """Rise of the mel bands in dB from frame to frame, their mean or their median.

    (1, t). Spectral flux (Böck & Widmer 2013, without the maximum filter); as
    ``librosa.onset.onset_strength(S=mel_db)``, with its delay of half a window. librosa's beat
    tracker takes the median, which only rises if half of the bands do.
    """
    levels = sound.spectrum.mel_db
    rises = np.maximum(0, np.diff(levels, axis=1))
    take_mean = sound.view.features.onset_aggregate == "mean"
    rise = rises.mean(axis=0) if take_mean else np.median(rises, axis=0)
    delay = 1 + sound.spectrum.n_fft // (2 * sound.spectrum.hop_length)
    return np.pad(rise, (delay, 0))[None, : levels.shape[1]]


def tempo(sound: Sound) -> Array:
    """Tempo of the excerpt in beats per minute; 0 if there is no onset.

    (1, 1). The lag with the largest autocorrelation, weighted by a log-normal prior one octave wide
    (Ellis 2007). As ``librosa.feature.tempo``, with two exceptions: librosa gives about 117 BPM for
    silence, and it takes the logarithm of an autocorrelation that rounding may have made negative,
    which gives NaN.
    """
    settings = sound.view.features
    autocorrelation = np.maximum(sound.once(mean_tempogram), 0)
    if not autocorrelation.any():
        return np.zeros((1, 1), dtype=np.float32)
    bpm = _lag_bpm(len(autocorrelation), sound.frame_rate_hz)
    prior = -0.5 * np.log2(bpm[1:] / settings.tempo_prior_bpm) ** 2
    prior[bpm[1:] >= settings.tempo_max_bpm] = -np.inf
    best = np.argmax(np.log1p(1e6 * autocorrelation[1:]) + prior)
    return np.array([[bpm[1 + best]]], dtype=np.float32)


def tempogram_peaks(sound: Sound) -> Array:
    """Heights of the two highest peaks of the mean tempogram, their ratio and that of their tempi.

    (4, 1). After the beat histogram of Tzanetakis & Cook 2002, for peaks between
    ``tempogram_min_bpm`` and ``tempo_max_bpm``. The ratios are of the second peak to the first: a
    ratio of tempi of 2 is a pulse that is twice as fast. Missing peaks are 0.
    """
    lags, heights = _tempo_peaks(sound.once(mean_tempogram), sound)
    rows = np.zeros((4, 1), dtype=np.float32)
    rows[: len(heights[:2]), 0] = heights[:2]
    if len(heights) > 1:
        rows[2:, 0] = heights[1] / heights[0], lags[0] / lags[1]
    return rows


def pulse_clarity(sound: Sound) -> Array:
    """Height of the highest peak in the autocorrelation of the onset strength.

    (1, 1). "MaxAutocor" of Lartillot et al. 2008: near 1 for the even pulse of a machine, near 0
    without a pulse.
    """
    onsets = sound.once(onset_strength)[0]
    centred = onsets - onsets.mean()
    size = scipy.fft.next_fast_len(2 * len(centred) - 1, real=True)
    power = np.abs(scipy.fft.rfft(centred, size)) ** 2
    autocorrelation = scipy.fft.irfft(power, size)[: len(centred)]
    if autocorrelation[0] < TINY:
        return np.zeros((1, 1), dtype=np.float32)
    _, heights = _tempo_peaks(autocorrelation / autocorrelation[0], sound)
    return np.array([[heights[0] if len(heights) else 0]], dtype=np.float32)


def onset_rate(sound: Sound) -> Array:
    """How many onsets there are per second.

    (1, 1). An onset is the largest value of the normalised onset strength within the last 30 ms,
    and at least 0.07 above its mean of 100 ms before and after (Böck, Krebs & Schedl 2012). As
    ``librosa.onset.onset_detect``.
    """
    rate = sound.frame_rate_hz
    curve = sound.once(onset_strength)[0]
    curve = curve - curve.min()
    if not curve.any():
        return np.zeros((1, 1), dtype=np.float32)
    curve /= curve.max() + TINY
    n = len(curve)
    before, around = math.floor(0.03 * rate), math.floor(0.1 * rate)
    total = np.concatenate(([0], np.cumsum(curve, dtype=np.float64)))
    frames = np.arange(n)
    start, stop = np.maximum(frames - around, 0), np.minimum(frames + around + 1, n)
    mean = (total[stop] - total[start]) / (stop - start)
    largest = np.max(frame(np.pad(curve, (before, 0)), before + 1, 1), axis=1)
    candidates = np.flatnonzero((curve == largest) & (curve >= mean + 0.07))
    return np.array([[_count_apart(candidates, before) * rate / n]], dtype=np.float32)


def modulation_4hz(sound: Sound) -> Array:
    """Share of the energy of the mel bands' envelopes that pulses at about 4 Hz.

    (1, 1). 4 Hz is the rate of syllables (Scheirer & Slaney 1997). A second-order band-pass filter
    of quality 2 selects it.
    """
    envelopes = np.sqrt(sound.spectrum.mel_power)
    n = envelopes.shape[1]
    hz = scipy.fft.rfftfreq(n, 1 / sound.frame_rate_hz)[1:]
    passed = 1 / (1 + 4 * (hz / 4 - 4 / hz) ** 2)
    # Each frequency counts twice, for its mirror image, but the last of an even number of frames.
    passed[: (n - 1) // 2] *= 2
    energy = n * np.sum(np.square(envelopes), dtype=np.float64)
    power = np.sum(np.square(np.abs(scipy.fft.rfft(envelopes, axis=1)[:, 1:])), axis=0)
    return np.array([[power @ passed / energy if energy > TINY else 0]], dtype=np.float32)


def mean_tempogram(sound: Sound) -> Floats:
    """Return the mean over time of the local autocorrelation of onset strength, (lags,).

    As ``librosa.feature.tempogram(onset_envelope=onsets).mean(axis=-1)`` (Grosche, Müller & Kurth
    2010) with windows of ``tempogram_seconds``. Each local autocorrelation is scaled to 1 at lag 0.
    Autocorrelation and mean are linear in the power spectrum, so one inverse transform serves all
    frames.
    """
    onsets = sound.once(onset_strength)
    length = math.floor(sound.view.features.tempogram_seconds * sound.frame_rate_hz)
    n = onsets.shape[1]
    ramped = np.pad(onsets[0], length // 2, mode="linear_ramp")
    windows = frame(ramped, length, 1)[:n] * hann_window(length).astype(np.float32)
    energy = np.sum(windows**2, axis=1)
    windows = windows[energy >= TINY] / np.sqrt(energy[energy >= TINY])[:, None]
    size = scipy.fft.next_fast_len(2 * length - 1, real=True)
    spectra = scipy.fft.rfft(windows, size, axis=1)
    power = np.sum(spectra.real**2 + spectra.imag**2, axis=0) / n
    return scipy.fft.irfft(power, size)[:length]


def _count_apart(positions: NDArray[np.intp], wait: int) -> int:
    """Count positions, skipping any within ``wait`` after one that counted."""
    count, last = 0, -wait - 1
    for position in positions:
        if position > last + wait:
            count, last = count + 1, position
    return count


def _lag_bpm(n_lags: int, frame_rate_hz: float) -> NDArray[np.float64]:
    return 60 * frame_rate_hz / np.maximum(np.arange(n_lags), 1e-9)


def _tempo_peaks(autocorrelation: Floats, sound: Sound) -> tuple[NDArray[np.intp], Floats]:
    """Return lags and heights of the positive peaks in the range of tempi, the highest first."""
    settings = sound.view.features
    bpm = _lag_bpm(len(autocorrelation), sound.frame_rate_hz)[1:-1]
    middle = autocorrelation[1:-1]
    peaks = (middle > autocorrelation[:-2]) & (middle >= autocorrelation[2:]) & (middle > 1e-6)
    peaks &= (bpm >= settings.tempogram_min_bpm) & (bpm <= settings.tempo_max_bpm)
    lags = np.flatnonzero(peaks) + 1
    order = np.argsort(-autocorrelation[lags], kind="stable")
    return lags[order], autocorrelation[lags[order]]
