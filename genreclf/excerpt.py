"""Which seconds of a track are listened to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np

from genreclf.audio import AudioInfo, Samples, decode_spans
from genreclf.config import LONGEST_SECONDS, Audio, View
from genreclf.config import Excerpt as ExcerptSettings
from genreclf.errors import AudioError, SilenceError
from genreclf.resampling import resample

__all__ = [
    "Chooser",
    "Excerpt",
    "Span",
    "centre_span",
    "load_excerpt",
    "load_excerpts",
    "middle",
    "placed_spans",
    "with_level",
]

# From start to stop, in samples of the file.
Span: TypeAlias = tuple[int, int]
Chooser: TypeAlias = Callable[[AudioInfo, ExcerptSettings], list[Span]]

# Less than half a step of 20-bit audio between the lowest and the highest sample.
SILENCE = 1e-6


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The samples that the features are computed from.

    Attributes
    ----------
    samples : (n,) float32
        Mono, at ``sample_rate_hz`` and ``rms_dbfs``, as long as the configuration says; a shorter
        track has zeros on both sides, but a whole one is as long as it is.
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
    def stop_seconds(self) -> float:
        """Where in the track the audio ends."""
        return self.start_seconds + self.seconds

    @property
    def unpadded(self) -> Samples:
        """The samples that hold audio, (n,): all that any feature reads."""
        return self.samples[self.audio]


def placed_spans(info: AudioInfo, settings: ExcerptSettings) -> list[Span]:
    """Place excerpts in a track by its length alone.

    "multi" cuts it into as many equal parts as there are ``excerpts``, or into fewer that hold
    ``seconds`` each, and takes the middle of each part: none is heard twice, and a track shorter
    than two excerpts has one. A "window" that goes beyond the end is moved before it.

    Raises
    ------
    ValueError
        If the strategy is one that has to hear the track.
    """
    n_frames, rate = info.n_frames, info.sample_rate_hz
    wanted = min(n_frames, round(settings.seconds * rate))
    match settings.strategy, settings.from_seconds:
        case "centre", _:
            return [centre_span(n_frames, rate, settings)]
        case "start", _:
            return [(0, wanted)]
        case "full", _:
            return [middle(0, n_frames, LONGEST_SECONDS * rate)]
        case "multi", _:
            n_parts = max(1, min(settings.excerpts, n_frames // max(wanted, 1)))
            edges = [i * n_frames // n_parts for i in range(n_parts + 1)]
            return [middle(start, stop, wanted) for start, stop in pairwise(edges)]
        case "window", float(second):
            start = min(round(second * rate), n_frames - wanted)
            return [(start, start + wanted)]
    raise ValueError(f"{settings.strategy}: the track has to be heard first")


def centre_span(n_frames: int, sample_rate_hz: int, settings: ExcerptSettings) -> Span:
    """Return start and stop of the middle ``seconds``, or all of a shorter track.

    ``earlier_seconds`` move them towards the beginning of the track, as far as it goes.
    """
    wanted = min(n_frames, round(settings.seconds * sample_rate_hz))
    earlier = round(settings.earlier_seconds * sample_rate_hz)
    start = max(0, (n_frames - wanted) // 2 - earlier)
    return start, start + wanted


def middle(start: int, stop: int, size: int) -> Span:
    """Return the middle of a span, or all of a shorter one."""
    size = min(size, stop - start)
    start += (stop - start - size) // 2
    return start, start + size


def load_excerpt(path: Path, config: View) -> Excerpt:
    """Decode the first excerpt of a track whose place needs no listening, as ``load_excerpts``."""
    return load_excerpts(path, [config])[0][0]


def load_excerpts(
    path: Path, views: Sequence[View], choose: Chooser = placed_spans
) -> list[list[Excerpt]]:
    """Decode what is listened to of a track, mono, at the configured sample rate.

    Parameters
    ----------
    path : Path
    views : sequence of View
        What they have in common is decoded once.
    choose : callable
        Which spans each view listens to.

    Returns
    -------
    list of list of Excerpt
        For each view, those that hold more than silence (a constant).

    Raises
    ------
    AudioError
        If the file cannot be decoded, or holds less than ``excerpt.min_seconds`` of audio, or
        nothing but silence where a view listens.
    """
    chosen: list[list[Span]] = []

    def needed(info: AudioInfo) -> list[Span]:
        chosen.extend(choose(info, view.excerpt) for view in views)
        return _joined([span for spans in chosen for span in spans])

    decoded, info = decode_spans(path, needed)
    parts = list(zip(_joined([span for spans in chosen for span in spans]), decoded, strict=True))
    excerpts = []
    for view, spans in zip(views, chosen, strict=True):
        heard = [(start, _part(parts, start, stop)) for start, stop in spans]
        heard = [(start, native) for start, native in heard if _is_heard(native, path, info, view)]
        if not heard:
            raise SilenceError(f"{path}: holds only silence; there is nothing to classify")
        excerpts.append([_excerpt(native, start, info, view) for start, native in heard])
    return excerpts


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Join spans that overlap or touch, in the order of time."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            start, before = joined.pop()
            stop = max(stop, before)
        joined.append((start, stop))
    return joined


def _part(parts: Sequence[tuple[Span, Samples]], start: int, stop: int) -> Samples:
    """Return the samples of a span out of the part that it is in."""
    first, samples = next(
        (first, samples) for (first, last), samples in parts if first <= start and stop <= last
    )
    return samples[start - first : stop - first]


def _excerpt(native: Samples, start: int, info: AudioInfo, view: View) -> Excerpt:
    rate = view.audio.sample_rate_hz
    native = with_level(native, view.audio)
    samples = resample(native, info.sample_rate_hz, rate, view.audio.resampler)
    if view.excerpt.strategy == "full":
        audio = slice(0, len(samples))
    else:
        samples, audio = _pad_centre(samples, round(view.excerpt.seconds * rate))
    return Excerpt(samples, audio, rate, start / info.sample_rate_hz, info)


def with_level(samples: Samples, audio: Audio) -> Samples:
    """Scale samples to the root mean square that is configured, unless it stays as recorded.

    0 dBFS is the root mean square of a square wave of full scale. The result is not clipped.
    """
    if audio.rms_dbfs == "as recorded":
        return samples
    mean_square = float(np.square(samples).mean(dtype=np.float64))
    return samples * np.float32(10 ** (audio.rms_dbfs / 20) / math.sqrt(mean_square))


def _is_heard(native: Samples, path: Path, info: AudioInfo, view: View) -> bool:
    """Tell whether there is more than silence; refuse what is too short."""
    held, needed = len(native) / info.sample_rate_hz, view.excerpt.min_seconds
    if held < needed:
        raise AudioError(
            f"{path}: holds {math.floor(100 * held) / 100:.2f} s of audio; "
            f"at least {needed:g} s are needed (excerpt.min_seconds)"
        )
    return bool(np.ptp(native) >= SILENCE)


def _pad_centre(samples: Samples, size: int) -> tuple[Samples, slice]:
    """Put zeros on both sides up to ``size``."""
    samples = samples[:size]  # resampling may round up by one
    missing = size - len(samples)
    before = missing // 2
    padded = np.pad(samples, (before, missing - before))
    return padded, slice(before, before + len(samples))
