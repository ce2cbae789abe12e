"""Sound: the part of an excerpt that features are computed from, with results that they share."""

from collections.abc import Callable
from typing import Any, TypeVar

from genreclf.audio.excerpt import Excerpt
from genreclf.config.views import SpectralView
from genreclf.features.spectra import Spectrum

Value = TypeVar("Value")


class Sound:
    """The harmonic part, the percussive part or the mix of an excerpt.

    Attributes
    ----------
    spectrum : Spectrum
        Of this part.
    mix : Spectrum
        Of the whole excerpt; the same object as ``spectrum`` for the mix.
    excerpt : Excerpt
    view : SpectralView
    """

    def __init__(
        self, spectrum: Spectrum, mix: Spectrum, excerpt: Excerpt, view: SpectralView
    ) -> None:
        self.spectrum = spectrum
        self.mix = mix
        self.excerpt = excerpt
        self.view = view
        self._known: dict[Callable[[Sound], Any], Any] = {}

    @property
    def frame_rate_hz(self) -> float:
        """Frames per second."""
        return self.spectrum.frame_rate_hz

    def once(self, function: "Callable[[Sound], Value]") -> Value:
        """Return what a function gives for this sound, computed the first time only."""
        if function not in self._known:
            self._known[function] = function(self)
        return self._known[function]
