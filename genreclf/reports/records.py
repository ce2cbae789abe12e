"""Predictions and timelines as records for programs: objects of JSON, and rows of CSV."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from genreclf.extraction.tracks import Failure
from genreclf.learning.prediction import Prediction
from genreclf.learning.timeline import Timeline, Window

Result = Prediction | Timeline | Failure


def json_record(result: Result, top: int = 1) -> dict[str, Any]:
    """Return plain values, fit for JSON.

    Parameters
    ----------
    result : Prediction, Timeline or Failure
    top : int
        Most probable genres and tags to include, if more than one; else all of them.
    """
    if isinstance(result, Failure):
        return {"path": str(result.track.path), "error": result.error}
    most = top if top > 1 else None
    record: dict[str, Any] = {"path": result.path}
    if isinstance(result, Timeline):
        record["timeline"] = [_window(window, most) for window in result.windows]
    else:
        record |= _prediction(result, most)
    if result.notes:
        record["notes"] = result.notes
    if isinstance(result, Prediction) and result.tags:
        record["tags"] = dict(islice(result.tags.items(), most))
    if isinstance(result, Prediction) and result.explanation:
        record["explanation"] = [
            {"group": group, "contribution": share} for group, share in result.explanation.items()
        ]
    return record


def _prediction(prediction: Prediction, most: int | None) -> dict[str, Any]:
    return {
        "genre": prediction.genre,
        "confidence": prediction.confidence,
        "probabilities": dict(islice(prediction.probabilities.items(), most)),
    } | ({"novel": True} if prediction.novel else {})


def _window(window: Window, most: int | None) -> dict[str, Any]:
    silence: dict[str, Any] = {"genre": None, "confidence": None, "probabilities": {}}
    prediction = silence if window.prediction is None else _prediction(window.prediction, most)
    return {"start": round(window.start, 3), "stop": round(window.stop, 3)} | prediction


def csv_header(
    genres: Sequence[str], *, windows: bool = False, tags: Sequence[str] = ()
) -> list[str]:
    """Return the names of the columns of ``csv_rows``: for windows of timelines, or files."""
    places = ["start", "stop"] if windows else []
    of_tags = [f"tag:{tag}" for tag in tags]
    return ["path", *places, "genre", "confidence", *genres, "novel", "error", *of_tags]


def csv_rows(
    result: Result, genres: Sequence[str], *, windows: bool = False, tags: Sequence[str] = ()
) -> Iterator[list[Any]]:
    """Yield the rows of a result: one, or one for each window of a timeline."""
    if isinstance(result, Failure):
        blank = [""] * (len(csv_header(genres, windows=windows)) - 2)
        yield [str(result.track.path), *blank, result.error, *([""] * len(tags))]
    elif isinstance(result, Prediction):
        of_tags = [result.tags[tag] for tag in tags]
        yield [result.path, *_cells(result, genres), "", *of_tags]
    else:
        for window in result.windows:
            place = [round(window.start, 3), round(window.stop, 3)]
            yield [result.path, *place, *_cells(window.prediction, genres), ""]


def _cells(prediction: Prediction | None, genres: Sequence[str]) -> list[Any]:
    if prediction is None:  # silence
        return [""] * (len(genres) + 3)
    shares = [prediction.probabilities[genre] for genre in genres]
    return [prediction.genre, prediction.confidence, *shares, str(prediction.novel).lower()]
