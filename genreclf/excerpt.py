"""Which seconds of a track are listened to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from genreclf.audio import AudioInfo, Samples, decode
from genreclf.config import Excerpt as ExcerptSettings
from genreclf.config import View
from genreclf.errors import AudioError, SilenceError
from genreclf.resampling import resample

__all__ = ["Excerpt", "centre_span", "load_excerpt", "load_excerpts"]


# From the length and the sample rate of a track to start and stop, all in samples but the rate.
Placing: TypeAlias = Callable[[int, int, ExcerptSettings], tuple[int, int]]

# Less than half a step of 20-bit audio between the lowest and the highest sample.
SILENCE = 1e-6


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The samples that the features are computed from.

    Attributes
    ----------
    samples : (n,) float32
        Mono, at ``sample_rate_hz``, always as long as the configuration says; a shorter track
        has zeros on both sides.
    audio : slice
        The samples that hold audio.
    start_seconds : float
        Where in the track the audio begins.
    info : AudioInfo
        What the file is.
    """

    samples: Samples
    audio: slice
    sample_rate_hz: int
    start_seconds: float
    info: AudioInfo

    @property
    def seconds(self) -> float:
        """Seconds of audio, without padding."""
        return float(self.audio.stop - self.audio.start) / self.sample_rate_hz

    @property
    def unpadded(self) -> Samples:
        """The samples that hold audio, (n,): all that any feature reads."""
        return self.samples[self.audio]


def load_excerpt(path: Path, config: View) -> Excerpt:
    """Decode the centre of a track, mono, at the configured sample rate.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds less than ``excerpt.min_seconds`` of audio, or
        nothing but silence (a constant) where it is listened to.
    """
    return load_excerpts(path, [config])[0]


def load_excerpts(path: Path, views: Sequence[View], place: Placing | None = None) -> list[Excerpt]:
    """As ``load_excerpt`` for each view, but decode once; elsewhere with another ``place``."""
    place = place or centre_span

    def needed(n_frames: int, sample_rate_hz: int) -> tuple[int, int]:
        spans = [place(n_frames, sample_rate_hz, view.excerpt) for view in views]
        return min(start for start, _ in spans), max(stop for _, stop in spans)

    decoded, info, first = decode(path, needed)
    excerpts = []
    for view in views:
        start, stop = place(info.n_frames, info.sample_rate_hz, view.excerpt)
        native = decoded[start - first : stop - first]
        _check(path, native, info.sample_rate_hz, view.excerpt)
        rate = view.audio.sample_rate_hz
        samples, audio = _pad_centre(
            resample(native, info.sample_rate_hz, rate, view.audio.resampler),
            round(view.excerpt.seconds * rate),
        )
        excerpts.append(Excerpt(samples, audio, rate, start / info.sample_rate_hz, info))
    return excerpts


def _check(path: Path, native: Samples, sample_rate_hz: int, settings: ExcerptSettings) -> None:
    held = len(native) / sample_rate_hz
    if held < settings.min_seconds:
        raise AudioError(
            f"{path}: holds {math.floor(100 * held) / 100:.2f} s of audio; "
            f"at least {settings.min_seconds:g} s are needed (excerpt.min_seconds)"
        )
    if np.ptp(native) < SILENCE:
        raise SilenceError(f"{path}: holds only silence; there is nothing to classify")


def centre_span(n_frames: int, sample_rate_hz: int, settings: ExcerptSettings) -> tuple[int, int]:
    """Return start and stop of the middle ``seconds``, or all of a shorter track.

    ``earlier_seconds`` move them towards the beginning of the track, as far as it goes.
    """
    wanted = min(n_frames, round(settings.seconds * sample_rate_hz))
    earlier = round(settings.earlier_seconds * sample_rate_hz)
    start = max(0, (n_frames - wanted) // 2 - earlier)
    return start, start + wanted


def _pad_centre(samples: Samples, size: int) -> tuple[Samples, slice]:
    """Put zeros on both sides up to ``size``."""
    samples = samples[:size]  # resampling may round up by one
    missing = size - len(samples)
    before = missing // 2
    padded = np.pad(samples, (before, missing - before))
    return padded, slice(before, before + len(samples))
