"""Excerpts and sounds for tests of features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from conftest import music, noise, sine

from genreclf.audio.audiofile import AudioInfo, Samples
from genreclf.audio.excerpt import Excerpt
from genreclf.config.load import load_config
from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import Features, SpectralView
from genreclf.features.catalogue import FEATURES
from genreclf.features.compute import compute_features, features_of
from genreclf.features.separation import Parts, separate
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, Spectrum, mix_spectrum

PRESETS = ["default", "wide"]
# Each feature, in each of the ways in which it can be defined.
EVERYTHING = f"features.select={list(FEATURES)}"
SHORT_WINDOWS = ["spectra.n_fft=256", "spectra.hop_length=64", "spectra.n_mels=20"]
C_MAJOR_HZ = (261.626, 329.628, 391.995)
ONE_FEATURE = SpectralView(features=Features(("mix.rms",)))


def excerpt_of(samples: Samples, rate: int = 12_000, before: int = 0, after: int = 0) -> Excerpt:
    info = AudioInfo(len(samples), rate, 1, "WAV", "PCM_16")
    padded = np.pad(samples, (before, after))
    return Excerpt(padded, slice(before, before + len(samples)), rate, 0.0, info)


def mix_of(samples: Samples, view: SpectralView) -> Sound:
    excerpt = excerpt_of(samples, view.audio.sample_rate_hz)
    mix = mix_spectrum(excerpt, view)
    return Sound(mix, mix, excerpt, view)


def feature_of(
    name: str, samples: Samples, preset: str = "default", overrides: Sequence[str] = ()
) -> Array:
    """Compute one feature of samples, with its own part."""
    config = load_config(preset, [f"features.select=['{name}']", *overrides])
    return features_of(excerpt_of(samples, config.audio.sample_rate_hz), config)[name]


class Given(Sound):
    """A sound of which some values are given, whatever its spectrum."""

    def __init__(
        self,
        given: Mapping[Callable[[Sound], Any], Any],
        frame_rate_hz: float = 50.0,
        view: SpectralView = ONE_FEATURE,
    ) -> None:
        spectrum = Spectrum(np.zeros((129, 1), np.float32), 12_000, 64, 20)
        super().__init__(spectrum, spectrum, excerpt_of(np.zeros(64, np.float32)), view)
        self._known.update(given)
        self._frame_rate_hz = frame_rate_hz

    @property
    def frame_rate_hz(self) -> float:
        return self._frame_rate_hz


def settings(**changes: float) -> SpectralView:
    """A view with other numbers in the definitions of features."""
    return SpectralView(features=Features(("mix.rms",), **changes))


def chord(seconds: float, rate: int, cents: float = 0.0, root_factor: float = 1.0) -> Samples:
    """C major with three partials a note, out of tune by some cents."""
    factor = root_factor * 2 ** (cents / 1200)
    tones = [
        sine(hz * factor * partial, seconds, rate, 0.15 / partial)
        for hz in C_MAJOR_HZ
        for partial in (1, 2, 3)
    ]
    return np.sum(tones, axis=0, dtype=np.float32)


def with_pause(seconds: float, rate: int) -> Samples:
    """Music with digital silence in its middle third."""
    signal = music(seconds, rate, seed=3)
    signal[len(signal) // 3 : 2 * len(signal) // 3] = 0
    return signal


SIGNALS: dict[str, Callable[[float, int], Samples]] = {
    "music": music,
    "noise": noise,
    "detuned chord": lambda seconds, rate: chord(seconds, rate, cents=30),
    "pause": with_pause,
}


def spectrum_of(samples: Samples, preset: str = "default") -> Spectrum:
    config = load_config(preset)
    return mix_spectrum(excerpt_of(samples, config.audio.sample_rate_hz), config)


@dataclass(frozen=True)
class Analysis:
    """What the chain makes of an excerpt."""

    config: ExtractionConfig
    excerpt: Excerpt
    parts: Parts
    frames: dict[str, Array]


def analyse(excerpt: Excerpt, config: ExtractionConfig) -> Analysis:
    parts = separate(mix_spectrum(excerpt, config), config)
    names = list(config.features.select)
    return Analysis(config, excerpt, parts, compute_features(names, parts, excerpt, config))


@cache
def analysed(preset: str, kind: str) -> Analysis:
    config = load_config(preset)
    rate = config.audio.sample_rate_hz
    return analyse(excerpt_of(SIGNALS[kind](6, rate), rate), config)


def bpm_lags(bpm: float, frame_rate_hz: float) -> int:
    return round(60 * frame_rate_hz / bpm)
