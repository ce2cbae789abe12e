"""Which seconds of a track are listened to."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genreclf.audio import AudioInfo, Samples, decode, resample
from genreclf.config import ExtractionConfig
from genreclf.errors import AudioError

__all__ = ["Excerpt", "centre_span", "load_excerpt"]


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

    def audio_frames(self, hop_length: int) -> slice:
        """Return the frames of a centred analysis whose middle lies in the audio."""
        first = -(-self.audio.start // hop_length)
        return slice(first, self.audio.stop // hop_length + 1)


def load_excerpt(path: Path, config: ExtractionConfig) -> Excerpt:
    """Decode the centre of a track, mono, at the configured sample rate.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds less than ``excerpt.min_seconds`` of audio, or
        nothing but silence (a constant) where it is listened to.
    """
    seconds, rate = config.excerpt.seconds, config.audio.sample_rate_hz
    native, info, start = decode(path, lambda n, rate_hz: centre_span(n, rate_hz, seconds))
    held = len(native) / info.sample_rate_hz
    if held < config.excerpt.min_seconds:
        raise AudioError(
            f"{path}: holds {math.floor(100 * held) / 100:.2f} s of audio; "
            f"at least {config.excerpt.min_seconds:g} s are needed (excerpt.min_seconds)"
        )
    if np.ptp(native) < SILENCE:
        raise AudioError(f"{path}: holds only silence; there is nothing to classify")
    samples, audio = _pad_centre(
        resample(native, info.sample_rate_hz, rate),
        round(seconds * rate),
        config.spectra.hop_length,
    )
    return Excerpt(samples, audio, rate, start / info.sample_rate_hz, info)


def centre_span(n_frames: int, sample_rate_hz: int, seconds: float) -> tuple[int, int]:
    """Return start and stop of the middle ``seconds``, or all of a shorter track."""
    wanted = min(n_frames, round(seconds * sample_rate_hz))
    start = (n_frames - wanted) // 2
    return start, start + wanted


def _pad_centre(samples: Samples, size: int, hop_length: int) -> tuple[Samples, slice]:
    """Put zeros on both sides up to ``size``.

    Whole hops of them come first, so that the frames of a short track fall where they would
    fall without padding.
    """
    samples = samples[:size]  # resampling may round up by one
    missing = size - len(samples)
    before = missing // 2 // hop_length * hop_length
    padded = np.pad(samples, (before, missing - before))
    return padded, slice(before, before + len(samples))
