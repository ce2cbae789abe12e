"""Excerpts: which seconds of a track are decoded, and how."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from genreclf.audio.decode import AudioInfo, Samples, decode_spans
from genreclf.audio.resampling import resample
from genreclf.config.views import LONGEST_SECONDS, Audio, View
from genreclf.config.views import Excerpt as ExcerptSettings
from genreclf.errors import AudioError, SilenceError

# From start to stop, in samples of the file.
Span: TypeAlias = tuple[int, int]
Chooser: TypeAlias = Callable[[AudioInfo, ExcerptSettings], list[Span]]

ONLY_SILENCE = (
    "holds only silence (nothing above the noise of 16 bits); there is nothing to classify"
)

# Root mean square below which a track is silent. Dither of 16 bits has 0.5 to 1 step, also after
# coding; music at -60 dB has some 3 steps.
SILENCE = 1.5 / 2**15
# Shaped dither has up to 15 steps, most of it at frequencies where ears are less sensitive. Below
# AUDIBLE_HZ half a step of it is left, so quiet pieces are judged by those frequencies alone.
SHAPED_DITHER = 32 / 2**15
AUDIBLE_HZ = 8000
PIECE_SECONDS = 0.1  # each piece is silent or not
PAUSE_SECONDS = 2.0  # a longer silence is no pause in the music

# If less than this share of an excerpt sounds, the loudest part is used instead, if more of it
# does.
ENOUGH_SOUND = 0.5


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
    notes : tuple of str
        What the user should know about how the track was heard, without its name.
    """

    samples: Samples
    audio: slice
    sample_rate_hz: int
    start_seconds: float
    info: AudioInfo
    notes: tuple[str, ...] = ()

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

    "multi" divides the track into ``excerpts`` equal parts, or fewer if they would be shorter than
    ``seconds``, and takes the middle of each. So excerpts never overlap, and a track shorter than
    two excerpts has one. A "window" that would extend beyond the end is moved back to end there.

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
    """Decode the first excerpt of a track, placed by its length alone; see ``load_excerpts``."""
    return load_excerpts(path, [config])[0][0]


def load_excerpts(
    path: Path,
    views: Sequence[View],
    choose: Chooser = placed_spans,
    instead: Chooser | None = None,
) -> list[list[Excerpt]]:
    """Decode the excerpts of a track, mono, at the configured sample rate.

    Parameters
    ----------
    path : Path
    views : sequence of View
        Configurations of the features. What their excerpts share is decoded once.
    choose : callable
        Returns the spans of the excerpts for a view.
    instead : callable, optional
        Returns the span to use if those are mostly silent.

    Returns
    -------
    list of list of Excerpt
        For each view, the excerpts that are not silent: they hold more than a constant and the
        dither of 16 bits. All have the same notes.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds less than ``excerpt.min_seconds`` of audio, or is
        silent in all excerpts of a view.
    """
    chosen: list[list[Span]] = []

    def needed(info: AudioInfo) -> list[Span]:
        chosen.extend(choose(info, view.excerpt) for view in views)
        return _joined([span for spans in chosen for span in spans])

    decoded, info, told = decode_spans(path, needed)
    parts = list(zip(_joined([span for spans in chosen for span in spans]), decoded, strict=True))
    excerpts, notes = [], list(told)
    moved: list[tuple[_Heard, View]] = []
    for view, spans in zip(views, chosen, strict=True):
        found = [_heard(_part(parts, start, stop), start, info) for start, stop in spans]
        _require_enough(found, path, info, view)
        if instead is not None and (louder := _louder(path, info, view, found, instead)):
            other, more = louder
            found = [other]
            moved.append((other, view))
            notes += more
        found = _with_sound(found)
        if not found:
            raise SilenceError(f"{path}: {ONLY_SILENCE}")
        excerpts.append([_excerpt(heard.native, heard.start, info, view) for heard in found])
    if moved:  # of several views, which hear about the same, the longest
        notes.insert(0, _moved(info, *max(moved, key=lambda pair: len(pair[0].native))))
    all_notes = tuple(dict.fromkeys(notes))
    return [[replace(excerpt, notes=all_notes) for excerpt in several] for several in excerpts]


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
    """Return the samples of a span from the part that contains it."""
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
    """Scale samples to the configured root mean square, or return them as recorded.

    0 dBFS is the root mean square of a square wave of full scale. The result may exceed full scale;
    it is not clipped.
    """
    if audio.rms_dbfs == "as recorded":
        return samples
    mean_square = float(np.square(samples).mean(dtype=np.float64))
    return samples * np.float32(10 ** (audio.rms_dbfs / 20) / math.sqrt(mean_square))


class _Heard(NamedTuple):
    """The samples of a span, where it begins in the track, and which parts of it sound."""

    native: Samples
    start: int
    sounding: list[Span]

    @property
    def n_sounding(self) -> int:
        """Number of samples that are not silent."""
        return sum(stop - start for start, stop in self.sounding)

    @property
    def is_mostly_silent(self) -> bool:
        return self.n_sounding < ENOUGH_SOUND * len(self.native)


def _heard(native: Samples, start: int, info: AudioInfo) -> _Heard:
    return _Heard(native, start, _sounding(native, info.sample_rate_hz))


def _sounding(native: Samples, sample_rate_hz: int) -> list[Span]:
    """Find the parts that are not silent; they include short pauses."""
    hop = round(PIECE_SECONDS * sample_rate_hz)
    # One sample longer than the hop, so that a step between two pieces is in one of them.
    pieces = sliding_window_view(native, min(hop + 1, len(native)))[::hop]
    last = native[None, -hop:]
    levels = [_levels(some, sample_rate_hz) for some in (pieces, last)]
    sounds = np.flatnonzero(np.concatenate(levels) > SILENCE)
    if not len(sounds):
        return []
    gaps = np.flatnonzero(np.diff(sounds) * PIECE_SECONDS > PAUSE_SECONDS)
    starts = hop * sounds[np.concatenate(([0], gaps + 1))]
    stops = hop * sounds[np.concatenate((gaps, [-1]))] + hop
    return [
        (int(start), min(int(stop), len(native))) for start, stop in zip(starts, stops, strict=True)
    ]


def _levels(pieces: Samples, sample_rate_hz: int) -> Samples:
    """Return the root mean squares of (n, size) pieces after subtracting their means, (n,)."""
    levels: Samples = pieces.std(axis=1)
    doubtful = (levels > SILENCE) & (levels < SHAPED_DITHER)
    if doubtful.any():
        size = pieces.shape[1]
        audible = slice(1, 1 + AUDIBLE_HZ * size // sample_rate_hz)
        amplitudes = np.abs(scipy.fft.rfft(pieces[doubtful], axis=1)[:, audible]) / size
        levels[doubtful] = np.sqrt(2 * np.sum(np.square(amplitudes), axis=1))
    return levels


def _louder(
    path: Path, info: AudioInfo, view: View, found: list[_Heard], instead: Chooser
) -> tuple[_Heard, tuple[str, ...]] | None:
    """Decode another part of a track whose excerpts are mostly silent, with notes on decoding.

    Only the longest stretch that sounds is kept, so that silence does not enter the features.
    Returns None if the excerpts hold enough sound, or the other part holds no more.
    """
    mostly_silent = all(heard.is_mostly_silent for heard in found)
    if not mostly_silent or any(len(heard.native) >= info.n_frames for heard in found):
        return None
    try:
        [(start, stop)] = instead(info, view.excerpt)
        [native], _, notes = decode_spans(path, lambda _: [(start, stop)])
    except AudioError:  # damage elsewhere is no reason to refuse what was decoded
        return None
    other = _heard(native, start, info)
    if other.n_sounding <= max(heard.n_sounding for heard in found):
        return None
    first, last = max(other.sounding, key=lambda span: span[1] - span[0])
    if last - first >= view.excerpt.min_seconds * info.sample_rate_hz:
        other = _heard(native[first:last], start + first, info)
    return other, notes


def _moved(info: AudioInfo, other: _Heard, view: View) -> str:
    """Say that the loudest part was heard instead, and why."""
    which = {"centre": "its middle", "start": "its beginning"}
    silent = which.get(view.excerpt.strategy, "the part that excerpt.strategy chooses")
    rate = info.sample_rate_hz
    return (
        f"{silent} is silent; the loudest {len(other.native) / rate:.2f} s are heard instead, "
        f"from {other.start / rate:.1f} s on"
    )


def _with_sound(found: list[_Heard]) -> list[_Heard]:
    """Leave out excerpts that are mostly silent; if all are, those that are silent throughout."""
    enough = [heard for heard in found if not heard.is_mostly_silent]
    return enough or [heard for heard in found if heard.sounding]


def _require_enough(found: list[_Heard], path: Path, info: AudioInfo, view: View) -> None:
    """Refuse a track that is too short."""
    held = min(len(heard.native) for heard in found) / info.sample_rate_hz
    needed = view.excerpt.min_seconds
    if held < needed:
        raise AudioError(
            f"{path}: holds {math.floor(100 * held) / 100:.2f} s of audio; "
            f"at least {needed:g} s are needed (excerpt.min_seconds)"
        )


def _pad_centre(samples: Samples, size: int) -> tuple[Samples, slice]:
    """Put zeros on both sides up to ``size``."""
    samples = samples[:size]  # resampling may round up by one
    missing = size - len(samples)
    before = missing // 2
    padded = np.pad(samples, (before, missing - before))
    return padded, slice(before, before + len(samples))
