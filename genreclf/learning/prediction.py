"""Prediction: from the inputs of a pipeline to genres, novelty and explanations."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genreclf.errors import ModelError, shortened
from genreclf.extraction.tracks import Failure, Outcome, Row
from genreclf.features.measured import Measured, Spans
from genreclf.learning.excerpts import as_rows
from genreclf.learning.explanation import column_groups, explain_track
from genreclf.learning.novelty import NoveltyDetector
from genreclf.tables.inputs import Inputs, inputs_of, statistics_of

if TYPE_CHECKING:
    from genreclf.learning.model import Model
    from genreclf.learning.networktags import NetworkTags

UNKNOWN = "unknown"

# Tracks that are predicted at once. A forest takes as long for one track as for this many.
BATCH = 16


def margin(probabilities: Mapping[str, float]) -> float:
    """Return the probability of the most probable genre, the first one, less that of the next."""
    best, second = [*islice(probabilities.values(), 2), 0.0][:2]
    return best - second


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model predicts for one track.

    Attributes
    ----------
    path : str
    probabilities : dict of str to float
        The most probable genre first.
    novel : bool
        Whether the track is unlike all training tracks, so that none of the genres may fit.
    threshold : float
        Confidence below which the genre is ``unknown``.
    explanation : dict of str to float
        If asked for: what each group of features adds to the probability of the most probable
        genre, compared with the average training track; the largest amount first.
    notes : tuple of str
        What the user should know of how the track was decoded, without its name.
    tags : dict of str to float
        If asked for: the probabilities of the tags of a pretrained network, the largest first.
    spans : tuple of (float, float)
        The seconds of the track that the model heard, if they are known.
    """

    path: str
    probabilities: dict[str, float]
    novel: bool = False
    threshold: float = 0.0
    explanation: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spans: Spans = field(default=(), compare=False)  # a table does not have them
    tags: dict[str, float] = field(default_factory=dict)

    @property
    def genre(self) -> str:
        """The most probable genre, or ``unknown`` if its probability is below the threshold."""
        return UNKNOWN if self.confidence < self.threshold else next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        """Probability of the most probable genre."""
        return next(iter(self.probabilities.values()))


# Which predictions are explained: all, none, or those for which a function returns True.
Explained: TypeAlias = bool | Callable[[Prediction], bool]


@dataclass(frozen=True, slots=True)
class TrackToPredict:
    """A track to predict: its path, notes on it, and the seconds that its features are from."""

    path: str
    notes: tuple[str, ...] = ()
    spans: Spans = ()


def predict_inputs(
    model: "Model",
    inputs: Inputs,
    tracks: Sequence[TrackToPredict],
    *,
    explained: Explained = False,
) -> Iterator[Prediction]:
    """Yield a prediction for each track.

    Parameters
    ----------
    model : Model
    inputs : Inputs
    tracks : sequence of TrackToPredict
        In the order of the inputs.
    explained : bool or callable
        Which predictions get an explanation.

    Raises
    ------
    ModelError
        If the estimators of the model fail.
    """
    novel, probabilities = novelty_and_probabilities(model, inputs)
    for row, track in enumerate(tracks):
        shares = probabilities[row]
        order = np.argsort(-shares, kind="stable")
        prediction = Prediction(
            path=track.path,
            probabilities={model.genres[genre]: float(shares[genre]) for genre in order},
            novel=bool(novel[row]),
            threshold=model.threshold,
            notes=track.notes,
            spans=track.spans,
        )
        if explained(prediction) if callable(explained) else explained:
            explanation = _explanation(model, inputs[row : row + 1], int(order[0]))
            prediction = replace(prediction, explanation=explanation)
        yield prediction


def novelty_and_probabilities(
    model: "Model", inputs: Inputs
) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Return which inputs are novel, (n,), and the probabilities of genres, (n, n_genres)."""
    try:
        with np.errstate(all="ignore"):
            novel = _is_novel(model.novelty, statistics_of(inputs))
            return novel, model.pipeline.predict_proba(inputs)
    except Exception as error:  # estimators from others may raise anything
        raise _damaged(error) from None


def _is_novel(detector: NoveltyDetector, statistics: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which tracks are novel, (n_tracks,): in most of their excerpts."""
    novel = detector.is_novel(as_rows(statistics)).reshape(len(statistics), -1)
    return novel.mean(axis=1) > 0.5


def _explanation(model: "Model", inputs: Inputs, genre: int) -> dict[str, float]:
    if model.config.classifier.takes_frames:  # a network, whose frames are in no groups
        return {}
    try:
        with np.errstate(all="ignore"):
            groups = column_groups(model.feature_names, model.config)
            return explain_track(model.pipeline, groups, inputs, genre)
    except Exception as error:  # as above
        raise _damaged(error) from None


def _damaged(error: Exception) -> ModelError:
    reason = shortened(str(error) or type(error).__name__, 300)
    return ModelError(f"the model cannot predict, and may be damaged: {reason}")


def predict_outcomes(
    model: "Model",
    outcomes: Iterable[Outcome],
    *,
    explained: Explained = False,
    tags: "NetworkTags | None" = None,
) -> Iterator[Prediction | Failure]:
    """Yield a prediction or a failure for each outcome of an extraction, in their order.

    With ``tags``, the extraction has to be with its configuration, not with the model's.
    """
    columns = model.columns(None if tags is None else tags.config)
    outcomes = iter(outcomes)
    while batch := list(islice(outcomes, BATCH)):
        rows = [outcome for outcome in batch if isinstance(outcome, Row)]
        predictions = _predict_rows(model, rows, columns, explained)
        if tags is not None:
            of_rows = tags.of_tracks([row.measured.statistics for row in rows])
            predictions = with_tags(predictions, of_rows)
        for outcome in batch:
            yield outcome if isinstance(outcome, Failure) else next(predictions)


def with_tags(
    predictions: Iterable[Prediction], tags: Iterable[dict[str, float]]
) -> Iterator[Prediction]:
    """Add tags to predictions."""
    for prediction, of_track in zip(predictions, tags, strict=True):
        yield replace(prediction, tags=of_track)


def _predict_rows(
    model: "Model", rows: Sequence[Row], columns: list[int], explained: Explained
) -> Iterator[Prediction]:
    if not rows:
        return
    tracks = [TrackToPredict(str(row.track.path), row.notes, row.measured.spans) for row in rows]
    inputs = inputs_of([row.measured for row in rows], columns, model.config)
    yield from predict_inputs(model, inputs, tracks, explained=explained)


def predict_windows(model: "Model", path: str, windows: Sequence[Measured]) -> list[Prediction]:
    """Return a prediction for each window of one track.

    Parameters
    ----------
    model : Model
    path : str
    windows : sequence of Measured
    """
    if not windows:
        return []
    inputs = inputs_of(windows, model.columns(), model.config)
    return list(predict_inputs(model, inputs, [TrackToPredict(path)] * len(windows)))
