"""Spectrograms of an excerpt, to be drawn."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from genreclf.audio.excerpt import Excerpt
from genreclf.config.bands import mel_edges
from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import SpectralView
from genreclf.errors import ConfigError
from genreclf.features.constantq import constant_q, cqt_frequencies
from genreclf.features.selection import load_chosen
from genreclf.features.separation import hpss
from genreclf.features.spectra import Array, fft_frequencies, mix_spectrum

Kind = Literal["stft", "mel", "cqt"]

RANGE_DB = 80.0


@dataclass(frozen=True, slots=True)
class Spectrogram:
    """Levels over frequency and time.

    Attributes
    ----------
    name : str
    decibels : (bins, t) float32
        Relative to the loudest value of the mix, at least -80 dB.
    hz : (bins,) float64
        Frequency of each row.
    start, stop : float
        Where in the track the excerpt begins and ends, in seconds.
    """

    name: str
    decibels: Array
    hz: NDArray[np.float64]
    start: float
    stop: float


def spectrogram_of(path: Path, config: ExtractionConfig, kind: Kind) -> Spectrogram:
    """Return the spectrogram of the first excerpt of the first view that has spectra.

    Parameters
    ----------
    path : Path
    config : ExtractionConfig
    kind : "stft", "mel" or "cqt"

    Raises
    ------
    AudioError
        As ``load_chosen``.
    ConfigError
        If all views are embeddings.
    """
    excerpt, view = _first_excerpt(path, config)
    spectra, mix = view.spectra, mix_spectrum(excerpt, view)
    if kind == "cqt":
        magnitude = constant_q(excerpt.unpadded, excerpt.sample_rate_hz, spectra)
        hz = cqt_frequencies(spectra)
    elif kind == "mel":
        magnitude = np.sqrt(mix.mel_power)
        hz = np.array(mel_edges(spectra.n_mels, *view.band_hz, spectra.emphasis)[1:-1])
    else:
        magnitude, hz = mix.magnitude, fft_frequencies(mix.sample_rate_hz, mix.n_fft)
    return _spectrogram(kind, magnitude, hz, excerpt, magnitude.max())


def parts_of(path: Path, config: ExtractionConfig) -> list[Spectrogram]:
    """Return the mix, its harmonic and its percussive part, as ``spectrogram_of``."""
    excerpt, view = _first_excerpt(path, config)
    mix = mix_spectrum(excerpt, view)
    hz = fft_frequencies(mix.sample_rate_hz, mix.n_fft)
    parts = zip(
        ("mix", "harmonic", "percussive"),
        (mix.magnitude, *hpss(mix.magnitude, view.hpss)),
        strict=True,
    )
    loudest = mix.magnitude.max()
    return [_spectrogram(name, magnitude, hz, excerpt, loudest) for name, magnitude in parts]


def _first_excerpt(path: Path, config: ExtractionConfig) -> tuple[Excerpt, SpectralView]:
    if not config.spectral_views:
        raise ConfigError("a spectrogram needs a view with features of the catalogue")
    view = config.spectral_views[0]
    return load_chosen(path, [view])[0][0], view


def _spectrogram(
    name: str, magnitude: Array, hz: NDArray[np.float64], excerpt: Excerpt, loudest: np.float32
) -> Spectrogram:
    quietest = np.float32(10 ** (-RANGE_DB / 20))
    decibels = 20 * np.log10(np.maximum(magnitude / loudest, quietest))
    return Spectrogram(name, decibels, hz, excerpt.start_seconds, excerpt.stop_seconds)
