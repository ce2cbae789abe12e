"""Place excerpts in a track by its length alone."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

from genreclf.audio.audiofile import AudioInfo
from genreclf.audio.silence import Span
from genreclf.config.views import LONGEST_SECONDS, Excerpt

Chooser: TypeAlias = Callable[[AudioInfo, Excerpt], list[Span]]


def placed_spans(info: AudioInfo, settings: Excerpt) -> list[Span]:
    """Return the spans of the excerpts of a track, in samples of the file.

    "multi" divides the track into ``excerpts`` equal parts, or fewer if they would be shorter than
    ``seconds``, and takes the middle of each. So excerpts never overlap, and a track shorter than
    two excerpts has one. A "window" that would extend beyond the end is moved back to end there.

    Raises
    ------
    ValueError
        If the strategy needs the samples of the track.
    """
    n_frames, rate = info.n_frames, info.sample_rate_hz
    wanted = min(n_frames, round(settings.seconds * rate))
    match settings.strategy, settings.from_seconds:
        case "centre", _:
            return [centre_span(n_frames, rate, settings)]
        case "start", _:
            return [(0, wanted)]
        case "full", _:
            return [_middle(0, n_frames, LONGEST_SECONDS * rate)]
        case "multi", _:
            n_parts = max(1, min(settings.excerpts, n_frames // max(wanted, 1)))
            edges = [i * n_frames // n_parts for i in range(n_parts + 1)]
            return [_middle(start, stop, wanted) for start, stop in pairwise(edges)]
        case "window", float(second):
            start = min(round(second * rate), n_frames - wanted)
            return [(start, start + wanted)]
    raise ValueError(f"{settings.strategy}: needs the samples of the track")


def centre_span(n_frames: int, sample_rate_hz: int, settings: Excerpt) -> Span:
    """Return the middle ``seconds``, or all of a shorter track.

    ``earlier_seconds`` moves them towards the beginning of the track, at most to its start.
    """
    wanted = min(n_frames, round(settings.seconds * sample_rate_hz))
    earlier = round(settings.earlier_seconds * sample_rate_hz)
    start = max(0, (n_frames - wanted) // 2 - earlier)
    return start, start + wanted


def _middle(start: int, stop: int, size: int) -> Span:
    """Return the middle of a span, or all of a shorter one."""
    size = min(size, stop - start)
    start += (stop - start - size) // 2
    return start, start + size
