"""Windows along a track, and the features of each."""

import warnings
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genreclf.audio.audiofile import AudioInfo
from genreclf.audio.decode import describe
from genreclf.audio.excerpt import ONLY_SILENCE
from genreclf.audio.silence import Span
from genreclf.config.load import config_from_dict
from genreclf.config.schema import Config
from genreclf.config.views import Excerpt
from genreclf.errors import AudioError, SilenceError
from genreclf.extraction.chain import measure
from genreclf.extraction.tracks import Failure, failure
from genreclf.features.measured import Measured
from genreclf.library.sources import Track

MOST_WINDOWS = 10_000


@dataclass(frozen=True, slots=True)
class Windows:
    """Which windows to classify.

    Attributes
    ----------
    seconds : float or None
        Length; None is the length of the excerpts that the model was trained on.
    step : float or None
        Seconds from one window to the next; None is half a window.
    """

    seconds: float | None = None
    step: float | None = None


@dataclass(frozen=True, slots=True)
class MeasuredWindows:
    """The windows of a track.

    Attributes
    ----------
    spans : list of (float, float)
        Where each begins and ends, in seconds.
    measured : list of Measured or None
        What was computed of each; None of silence.
    """

    spans: list[tuple[float, float]]
    measured: list[Measured | None]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how the track was decoded, without its name."""
        sounding = [window for window in self.measured if window is not None]
        return tuple(dict.fromkeys(note for window in sounding for note in window.notes))


def measure_windows(track: Track, config: Config, step: float | None) -> MeasuredWindows | Failure:
    """Compute the features of all windows of a track, each as long as its longest view."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # every window would repeat it
            return _measured(track.path, config, step)
    except Exception as error:  # even a bug in genreclf must not stop the other files
        return failure(track, error)


def _measured(path: Path, config: Config, step: float | None) -> MeasuredWindows:
    """Measure one window after the other, so that an hour takes no more memory than a song."""
    info = describe(path)
    spans: list[tuple[float, float]] = []
    measured: list[Measured | None] = []
    for start, stop in _places(path, info, config, step):
        spans.append((start / info.sample_rate_hz, stop / info.sample_rate_hz))
        try:
            window = measure(path, config, partial(_spans, middle=(start, stop)))
        except SilenceError:
            measured.append(None)
            continue
        if name := window.not_finite(config):
            raise AudioError(f"{path}: feature {name} is not finite")
        measured.append(window)
    if not any(measured):
        raise SilenceError(f"{path}: {ONLY_SILENCE}")
    return MeasuredWindows(spans, measured)


def _places(path: Path, info: AudioInfo, config: Config, step: float | None) -> list[Span]:
    """Return start and stop of the windows in samples; the last one ends with the track."""
    rate = info.sample_rate_hz
    seconds = max(view.excerpt.seconds for view in config.each_view)
    size = min(info.n_frames, round(seconds * rate))
    step = step or seconds / 2
    last = info.n_frames - size
    n = int(np.ceil(last / (step * rate))) + 1
    if n > MOST_WINDOWS:
        raise AudioError(
            f"{path}: {n} windows, a step of {step:g} s apart; take a longer --step, for at most "
            f"{MOST_WINDOWS}"
        )
    starts = [min(round(i * step * rate), last) for i in range(n)]
    return [(start, start + size) for start in starts]


def _spans(info: AudioInfo, settings: Excerpt, *, middle: Span) -> list[Span]:
    """Return the excerpt of a view in the middle of a window, instead of in the track."""
    n_frames, rate = info.n_frames, info.sample_rate_hz
    size = middle[1] - middle[0]
    wanted = min(n_frames, round(settings.seconds * rate))
    moved = middle[0] - (n_frames - size) // 2
    start = (n_frames - wanted) // 2 - round(settings.earlier_seconds * rate) + moved
    start = max(0, min(start, n_frames - wanted))
    return [(start, start + wanted)]


def with_length(config: Config, seconds: float | None) -> Config:
    """Return the configuration with excerpts of this length in every view."""
    if seconds is None:
        return config
    plain: dict[str, Any] = config.to_dict()
    for view in plain.get("views", [plain]):
        excerpt = view["excerpt"]
        view["excerpt"] = {
            "seconds": seconds,
            "min_seconds": min(seconds, excerpt["min_seconds"]),
        }
    return config_from_dict(plain, f"--window {seconds:g}")
