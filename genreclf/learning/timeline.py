"""Windows along a track: how the genre changes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from genreclf.extraction.tracks import Failure
from genreclf.extraction.windows import MeasuredWindows, Windows, measure_windows, with_length
from genreclf.learning.model import Model
from genreclf.learning.prediction import Prediction, predict_windows
from genreclf.library.sources import Track
from genreclf.parallel.workers import WorkerError, Workers


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a track, in seconds, and its prediction; None for silence."""

    start: float
    stop: float
    prediction: Prediction | None

    @property
    def genre(self) -> str | None:
        """The predicted genre, or None for silence."""
        return None if self.prediction is None else self.prediction.genre


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a track with one predicted genre, and the mean confidence."""

    start: float
    stop: float
    genre: str | None
    confidence: float | None
    novel: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """The windows of a track, in order, and notes on how it was decoded, without its name."""

    path: str
    windows: list[Window]
    notes: tuple[str, ...] = ()

    @property
    def borders(self) -> list[float]:
        """Seconds that divide the track among n windows: n + 1 of them.

        Windows may overlap; the border of two is half way between their centres.
        """
        centres = [(window.start + window.stop) / 2 for window in self.windows]
        between = [(a + b) / 2 for a, b in pairwise(centres)]
        return [self.windows[0].start, *between, self.windows[-1].stop]

    def probabilities(self, genres: Sequence[str]) -> NDArray[np.float64]:
        """Return those of each window, (n_windows, n_genres), with NaN for silence."""
        silence = dict.fromkeys(genres, np.nan)
        found = [window.prediction for window in self.windows]
        shares = [silence if each is None else each.probabilities for each in found]
        return np.array([[share[genre] for genre in genres] for share in shares])

    def runs(self) -> list[Run]:
        """Join neighbours with the same genre."""
        borders, found, first = self.borders, [], 0
        for genre, several in groupby(self.windows, key=lambda window: window.genre):
            predictions = [window.prediction for window in several]
            known = [prediction for prediction in predictions if prediction is not None]
            confidence = float(np.mean([p.confidence for p in known])) if known else None
            novel = bool(known) and sum(p.novel for p in known) * 2 >= len(known)
            after = first + len(predictions)
            found.append(Run(borders[first], borders[after], genre, confidence, novel))
            first = after
        return found


def short_window_note(model: Model, seconds: float | None) -> str | None:
    """Return a warning if windows are less than half as long as what the model learned from."""
    each = model.config.learn_from == "excerpts"
    excerpts = [view.excerpt for view in model.config.each_view]
    trained = max(e.seconds if each else e.longest_seconds for e in excerpts)
    if seconds is None or seconds >= trained / 2:
        return None
    return (
        f"windows of {seconds:g} s are less than half as long as the excerpts of {trained:g} s "
        "that the model was trained on, so predictions may be less accurate; use --window "
        f"{math.ceil(trained / 2)} or more, or train a model on excerpts of {seconds:g} s: "
        f"genreclf extract MUSIC --set excerpt.strategy=multi --set excerpt.seconds={seconds:g} "
        "-o short.csv, then genreclf train short.csv"
    )


def predict_timelines(
    model: Model, tracks: Iterable[Track], windows: Windows, workers: Workers
) -> Iterator[Timeline | Failure]:
    """Classify the windows of tracks, one track in each worker at a time.

    A window in the middle of a track that is as long as the model's excerpt gives the prediction
    of the whole track.

    Parameters
    ----------
    model : Model
    tracks : iterable of Track
    windows : Windows
    workers : Workers

    Yields
    ------
    Timeline or Failure
        One a track, in their order.

    Raises
    ------
    ModelError
        If the model was trained on a table that genreclf did not make.
    """
    model.require_audio()
    config = with_length(model.config, windows.seconds)
    measure = partial(measure_windows, config=config, step=windows.step)
    for track, found in workers.map(measure, tracks):
        if isinstance(found, WorkerError):
            yield Failure(track, "worker", f"{track.path}: {found.reason}")
        elif isinstance(found, Failure):
            yield found
        else:
            yield _timeline(model, track, found)


def _timeline(model: Model, track: Track, found: MeasuredWindows) -> Timeline:
    path = str(track.path)
    sounding = [window for window in found.measured if window is not None]
    predictions = iter(predict_windows(model, path, sounding))
    windows = [
        Window(*span, None if measured is None else next(predictions))
        for span, measured in zip(found.spans, found.measured, strict=True)
    ]
    return Timeline(path, windows, found.notes)
