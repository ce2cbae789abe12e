"""The input of a network: samples, or a mel spectrogram on a logarithmic scale.

``genreclf.config.frontends`` lists the kinds with their numbers and sources.
"""

import math
from functools import lru_cache

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from genreclf.audio.audiofile import Samples
from genreclf.config.bands import hz_to_mel, mel_to_hz
from genreclf.config.frontends import Frontend, Mel, Waveform
from genreclf.features.spectra import Array, fft_frequencies, frame, windowed_magnitude

_FACTOR = {"ln": 1.0, "log10": 1 / math.log(10), "decibels": 10 / math.log(10)}


def network_input(samples: Samples, frontend: Frontend) -> Array:
    """Compute what a network sees of samples.

    Parameters
    ----------
    samples : (n,) float32
        At the front-end's sample rate.
    frontend : Frontend

    Returns
    -------
    (t, bands) float32, or (n,) float32 for a waveform
    """
    if isinstance(frontend, Waveform):
        return _levelled(samples, frontend)
    magnitude = windowed_magnitude(_frames(samples, frontend), _window(frontend), frontend.n_fft)
    spectrum = magnitude if frontend.spectrum == "magnitude" else np.square(magnitude)
    return _logarithm(spectrum.T @ mel_bank(frontend).T, frontend)


def n_samples(n_frames: int, frontend: Frontend) -> int:
    """Return how many samples are needed for a number of frames."""
    if isinstance(frontend, Waveform):
        return n_frames
    between = (n_frames - 1) * frontend.hop_length
    if frontend.padding == "none":
        return between + frontend.window_length
    return max(between, frontend.window_length if frontend.padding == "reflect" else 1)


def _levelled(samples: Samples, frontend: Waveform) -> Samples:
    if frontend.level == "as recorded":
        return samples
    # As the feature extractor of wav2vec 2.0, which MERT uses too.
    return (samples - samples.mean()) / np.sqrt(samples.var() + np.float32(1e-7))


def _frames(samples: Samples, frontend: Mel) -> Samples:
    """Cut samples into frames, (t, window_length)."""
    length, hop = frontend.window_length, frontend.hop_length
    if frontend.padding == "zeros":
        samples = np.pad(samples, length // 2)
    elif frontend.padding == "reflect":
        samples = np.pad(samples, length // 2, mode="reflect")
    return frame(samples, length, hop)


def _window(frontend: Mel) -> NDArray[np.float64]:
    periodic = frontend.window == "hann"
    return scipy.signal.get_window("hann", frontend.window_length, fftbins=periodic)


@lru_cache(maxsize=8)
def mel_bank(frontend: Mel) -> Array:
    """Return triangular mel filters, (n_mels, 1 + n_fft / 2).

    Band ``i`` rises from edge ``i`` to ``i + 1`` and falls to ``i + 2``, where edges are evenly
    spaced in mel. The slopes are straight lines over Hz, as in librosa, or over mel, as in HTK.
    """
    to_mel, to_hz = (hz_to_mel, mel_to_hz) if frontend.mel_scale == "slaney" else (_to_htk, _to_hz)
    limits = to_mel(frontend.min_hz), to_mel(frontend.max_hz)
    mels = np.linspace(*limits, frontend.n_mels + 2)
    edges_hz = np.array([to_hz(mel) for mel in mels])
    edges, bins = edges_hz, fft_frequencies(frontend.sample_rate_hz, frontend.n_fft)
    if frontend.mel_slopes == "mel":
        edges, bins = mels, np.array([to_mel(hz) for hz in bins])
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    bank = np.maximum(0, np.minimum(rising, falling))
    if frontend.mel_norm == "slaney":
        bank *= (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    bank = bank.astype(np.float32)
    bank.setflags(write=False)
    return bank


def _to_htk(hz: float) -> float:
    return 2595 * math.log10(1 + hz / 700)


def _to_hz(mel: float) -> float:
    return 700 * (10.0 ** (mel / 2595) - 1)


def _logarithm(mel: Array, frontend: Mel) -> Array:
    """Apply the formula of ``genreclf.config.frontends.Mel``."""
    mel *= np.float32(frontend.log_scale)
    np.maximum(mel, np.float32(frontend.log_floor), out=mel)
    mel += np.float32(frontend.log_offset)
    np.log(mel, out=mel)
    mel *= np.float32(_FACTOR[frontend.log])
    if frontend.range_db:
        np.maximum(mel - mel.max(), np.float32(-frontend.range_db), out=mel)
    if (frontend.mean, frontend.deviation) != (0.0, 1.0):
        mel = (mel - np.float32(frontend.mean)) / np.float32(frontend.deviation)
    return mel
