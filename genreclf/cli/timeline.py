"""``genreclf predict --timeline``: how the genre changes along a track."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genreclf.cli.output import complain, stdout_console, tell_written
from genreclf.cli.progress import Meter, TrackNotes
from genreclf.cli.streams import record_writer

if TYPE_CHECKING:
    from genreclf.extraction.chain import Failure
    from genreclf.learning.model import Model, Prediction
    from genreclf.learning.timeline import Timeline, Window

    Results = Iterator[Timeline | Failure]


def counted(results: "Results", meter: Meter, notes: TrackNotes) -> "Results":
    """Let a meter count tracks as they are done, and tell how they were heard."""
    from genreclf.extraction.chain import Failure

    for result in results:
        meter(failed=isinstance(result, Failure))
        if not isinstance(result, Failure):
            notes.tell(result.path, result.notes)
        yield result


def plotted(results: "Results", file: Path, genres: Sequence[str]) -> "Results":
    """Draw the timelines that come along into a picture."""
    import numpy as np

    from genreclf.extraction.chain import Failure
    from genreclf.reports.plots import draw_timeline

    for result in results:
        if not isinstance(result, Failure):
            said = [_probabilities(window) for window in result.windows]
            shares = np.array([[of.get(genre, np.nan) for genre in genres] for of in said])
            draw_timeline(file, result.borders, shares, genres, Path(result.path).name)
            tell_written("picture", file)
        yield result


def _probabilities(window: "Window") -> dict[str, float]:
    return {} if window.prediction is None else window.prediction.probabilities


def write_table(results: "Results", model: "Model", top: int) -> Iterator[bool]:
    """Print the stretches of each track as a table, with all of it in one line."""
    from genreclf.extraction.chain import Failure
    from genreclf.reports.text import timeline_report

    for result in results:
        if isinstance(result, Failure):
            complain(result.error)
        else:
            timeline_report(result, stdout_console())
        yield not isinstance(result, Failure)


def write_jsonl(results: "Results", model: "Model", top: int) -> Iterator[bool]:
    """Write an object a track, with all its windows."""
    from genreclf.extraction.chain import Failure

    for result in results:
        record: dict[str, Any]
        if isinstance(result, Failure):
            record = {"path": str(result.track.path), "error": result.error}
        else:
            windows = [_window_record(window, top) for window in result.windows]
            record = {"path": result.path, "timeline": windows}
            if result.notes:
                record["notes"] = result.notes
        click.echo(json.dumps(record))
        yield not isinstance(result, Failure)


def _window_record(window: "Window", top: int) -> dict[str, Any]:
    said: Prediction | None = window.prediction
    shown = list(_probabilities(window).items())[: top if top > 1 else None]
    record = {
        "start": round(window.start, 3),
        "stop": round(window.stop, 3),
        "genre": window.genre,
        "confidence": None if said is None else said.confidence,
        "probabilities": dict(shown),
    }
    return record | ({"novel": True} if said is not None and said.novel else {})


def write_csv(results: "Results", model: "Model", top: int) -> Iterator[bool]:
    """Write a row a window."""
    from genreclf.extraction.chain import Failure

    write = record_writer()
    names = ["path", "start", "stop", "genre", "confidence"]
    write([*names, *model.genres, "novel", "error"])
    for result in results:
        if isinstance(result, Failure):
            blank = [""] * (len(names) + len(model.genres))
            write([str(result.track.path), *blank, result.error])
        else:
            for window in result.windows:
                row = [result.path, round(window.start, 3), round(window.stop, 3)]
                write([*row, *_answer(window, model.genres), ""])
        yield not isinstance(result, Failure)


def _answer(window: "Window", genres: Sequence[str]) -> list[object]:
    said = window.prediction
    if said is None:
        return ["", "", *("" for _ in genres), ""]
    shares = [said.probabilities[genre] for genre in genres]
    return [said.genre, said.confidence, *shares, str(said.novel).lower()]
