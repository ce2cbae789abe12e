"""Load the excerpts of a track that the features are computed from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from genreclf.audio.audiofile import AudioInfo, Samples
from genreclf.audio.decode import decode_spans
from genreclf.audio.placement import Chooser, placed_spans
from genreclf.audio.resampling import resample
from genreclf.audio.silence import Span, audible_spans
from genreclf.config.views import Audio, View
from genreclf.errors import AudioError, SilenceError

ONLY_SILENCE = (
    "holds only silence (nothing above the noise of 16 bits); there is nothing to classify"
)

# If less than this share of an excerpt is audible, the loudest part is used instead, provided that
# more of it is.
ENOUGH_AUDIBLE = 0.5


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The samples that the features are computed from.

    Attributes
    ----------
    samples : (n,) float32
        Mono, at ``sample_rate_hz`` and ``rms_dbfs``, in the configured length; a shorter track has
        zeros on both sides, but a whole track keeps its length.
    audio : slice
        The samples that hold audio.
    start_seconds : float
        Where in the track the audio begins.
    info : AudioInfo
    notes : tuple of str
        What the user should know about how the track was decoded, without its name.
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
        """The samples that hold audio, (n,): the only ones that features read."""
        return self.samples[self.audio]


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
        For each view, the excerpts that are not silent. All have the same notes.

    Raises
    ------
    AudioError
        If the file cannot be decoded, holds less than ``excerpt.min_seconds`` of audio, or is
        silent in all excerpts of a view.
    """
    found, info, notes = _decode(path, views, choose)
    replaced: list[tuple[_Segment, View]] = []
    for i, (view, segments) in enumerate(zip(views, found, strict=True)):
        _require_enough(path, segments, info, view)
        if instead is not None and (louder := _louder(path, segments, info, view, instead)):
            found[i] = [louder]
            replaced.append((louder, view))
            notes += louder.notes
    if replaced:  # the views use similar parts: name the longest
        notes.insert(0, _note(info, *max(replaced, key=lambda pair: len(pair[0].samples))))
    unique_notes = tuple(dict.fromkeys(notes))
    excerpts = []
    for view, segments in zip(views, found, strict=True):
        if not (audible := _audible(segments)):
            raise SilenceError(f"{path}: {ONLY_SILENCE}")
        excerpts.append([_excerpt(segment, info, view, unique_notes) for segment in audible])
    return excerpts


def with_level(samples: Samples, audio: Audio) -> Samples:
    """Scale samples to the configured root mean square, or return them as recorded.

    0 dBFS is the root mean square of a square wave of full scale. The result may exceed full scale;
    it is not clipped.
    """
    if audio.rms_dbfs == "as recorded":
        return samples
    mean_square = float(np.square(samples).mean(dtype=np.float64))
    return samples * np.float32(10 ** (audio.rms_dbfs / 20) / math.sqrt(mean_square))


class _Segment(NamedTuple):
    """Samples of a track, where they begin in it, and which of them are not silent."""

    samples: Samples
    start: int
    audible: list[Span]
    notes: tuple[str, ...] = ()

    @property
    def n_audible(self) -> int:
        return sum(stop - start for start, stop in self.audible)

    @property
    def is_mostly_silent(self) -> bool:
        return self.n_audible < ENOUGH_AUDIBLE * len(self.samples)


def _decode(
    path: Path, views: Sequence[View], choose: Chooser
) -> tuple[list[list[_Segment]], AudioInfo, list[str]]:
    """Decode the excerpts of each view; those that overlap are decoded once."""
    chosen: list[list[Span]] = []

    def needed(info: AudioInfo) -> list[Span]:
        chosen.extend(choose(info, view.excerpt) for view in views)
        return _joined([span for spans in chosen for span in spans])

    decoded, info, notes = decode_spans(path, needed)
    joined = _joined([span for spans in chosen for span in spans])

    def segment(start: int, stop: int) -> _Segment:
        i = next(i for i, (first, last) in enumerate(joined) if first <= start and stop <= last)
        samples = decoded[i][start - joined[i][0] : stop - joined[i][0]]
        return _Segment(samples, start, audible_spans(samples, info.sample_rate_hz))

    return [[segment(*span) for span in spans] for spans in chosen], info, list(notes)


def _joined(spans: Sequence[Span]) -> list[Span]:
    """Join spans that overlap or touch, in the order of time."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            start, before = joined.pop()
            stop = max(stop, before)
        joined.append((start, stop))
    return joined


def _require_enough(path: Path, found: list[_Segment], info: AudioInfo, view: View) -> None:
    """Refuse a track that is too short."""
    seconds = min(len(segment.samples) for segment in found) / info.sample_rate_hz
    needed = view.excerpt.min_seconds
    if seconds < needed:
        raise AudioError(
            f"{path}: holds {math.floor(100 * seconds) / 100:.2f} s of audio; "
            f"at least {needed:g} s is required (excerpt.min_seconds)"
        )


def _louder(
    path: Path, found: list[_Segment], info: AudioInfo, view: View, instead: Chooser
) -> _Segment | None:
    """Decode another part of a track whose excerpts are mostly silent.

    Only its longest audible stretch is used, so that silence does not enter the features. Returns
    None if the excerpts are audible enough, or if the other part is not more audible.
    """
    mostly_silent = all(segment.is_mostly_silent for segment in found)
    if not mostly_silent or any(len(segment.samples) >= info.n_frames for segment in found):
        return None
    rate = info.sample_rate_hz
    try:
        [(start, stop)] = instead(info, view.excerpt)
        [samples], _, notes = decode_spans(path, lambda _: [(start, stop)])
    except AudioError:  # the excerpts themselves were decoded without an error
        return None
    other = _Segment(samples, start, audible_spans(samples, rate), notes)
    if other.n_audible <= max(segment.n_audible for segment in found):
        return None
    first, last = max(other.audible, key=lambda span: span[1] - span[0])
    if last - first < view.excerpt.min_seconds * rate:
        return other
    samples = samples[first:last]
    return _Segment(samples, start + first, audible_spans(samples, rate), notes)


def _note(info: AudioInfo, other: _Segment, view: View) -> str:
    """Say that the loudest part is used, and why."""
    parts = {"centre": "its middle", "start": "its beginning"}
    silent = parts.get(view.excerpt.strategy, "the part that excerpt.strategy chooses")
    rate = info.sample_rate_hz
    return (
        f"{silent} is silent; the loudest {len(other.samples) / rate:.2f} s are used instead, "
        f"from {other.start / rate:.1f} s on"
    )


def _audible(found: list[_Segment]) -> list[_Segment]:
    """Leave out excerpts that are mostly silent; if all are, those that are silent throughout."""
    enough = [segment for segment in found if not segment.is_mostly_silent]
    return enough or [segment for segment in found if segment.audible]


def _excerpt(segment: _Segment, info: AudioInfo, view: View, notes: tuple[str, ...]) -> Excerpt:
    rate = view.audio.sample_rate_hz
    samples = with_level(segment.samples, view.audio)
    samples = resample(samples, info.sample_rate_hz, rate, view.audio.resampler)
    audio = slice(0, len(samples))
    if view.excerpt.strategy != "full":
        samples, audio = _pad_centre(samples, round(view.excerpt.seconds * rate))
    return Excerpt(samples, audio, rate, segment.start / info.sample_rate_hz, info, notes)


def _pad_centre(samples: Samples, size: int) -> tuple[Samples, slice]:
    """Put zeros on both sides up to ``size``."""
    samples = samples[:size]  # resampling may round up by one
    missing = size - len(samples)
    before = missing // 2
    padded = np.pad(samples, (before, missing - before))
    return padded, slice(before, before + len(samples))
