"""Excerpts and sounds for tests of features."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from genreclf.audio.audiofile import AudioInfo, Samples
from genreclf.audio.excerpt import Excerpt
from genreclf.config.load import load_config
from genreclf.config.views import Features, View
from genreclf.features.compute import features_of
from genreclf.features.sound import Sound
from genreclf.features.spectra import Array, Spectrum, mix_spectrum

ONE_FEATURE = View(features=Features(("mix.rms",)))


def excerpt_of(samples: Samples, rate: int = 12_000, before: int = 0, after: int = 0) -> Excerpt:
    info = AudioInfo(len(samples), rate, 1, "WAV", "PCM_16")
    padded = np.pad(samples, (before, after))
    return Excerpt(padded, slice(before, before + len(samples)), rate, 0.0, info)


def mix_of(samples: Samples, view: View) -> Sound:
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
        view: View = ONE_FEATURE,
    ) -> None:
        spectrum = Spectrum(np.zeros((129, 1), np.float32), 12_000, 64, 20)
        super().__init__(spectrum, spectrum, excerpt_of(np.zeros(64, np.float32)), view)
        self._known.update(given)
        self._frame_rate_hz = frame_rate_hz

    @property
    def frame_rate_hz(self) -> float:
        return self._frame_rate_hz


def settings(**changes: float) -> View:
    """A view with other numbers in the definitions of features."""
    return View(features=Features(("mix.rms",), **changes))  # type: ignore[arg-type]
