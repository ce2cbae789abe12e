"""Predictions and timelines as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from genreclf.reports.console import FilePath, Records, printable, right, shown

if TYPE_CHECKING:
    from genreclf.learning.prediction import Prediction
    from genreclf.learning.timeline import Timeline

_MOST_REASONS = 3
_MOST_TAGS = 3
_STRIP_WIDTH = 60
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def predictions_table(predictions: "Sequence[Prediction]", top: int) -> Table:
    """Return a table with a row per file: genre, confidence, and the next genres of the ``top``."""
    any_novel = any(prediction.novel for prediction in predictions)
    any_tags = any(prediction.tags for prediction in predictions)
    any_explained = any(prediction.explanation for prediction in predictions)
    table = Records("file", "genre", right("confidence"))
    if top > 1:
        table.add_column("then")
    if any_explained:
        table.add_column("because of (points compared with the average track)")
    if any_tags:
        table.add_column("tags")
    if any_novel:
        table.add_column("note")
    for prediction in predictions:
        (best, _), *others = list(prediction.probabilities.items())[:top]
        # The confidence is not that of "unknown": name the genre that it belongs to.
        of = f"{printable(best)} " if prediction.genre != best else ""
        cells: list[str | FilePath] = [
            FilePath.of(prediction.path),
            printable(prediction.genre),
            f"{of}{prediction.confidence:.0%}",
        ]
        if top > 1:
            cells.append(_shares(dict(others), len(others)))
        if any_explained:
            cells.append(_reasons(prediction.explanation))
        if any_tags:
            cells.append(_shares(prediction.tags, _MOST_TAGS))
        if any_novel:
            cells.append("novel" if prediction.novel else "")
        table.add_row(*cells)
    return table


def _shares(probabilities: dict[str, float], most: int) -> str:
    shown = list(probabilities.items())[:most]
    return ", ".join(f"{printable(name)} {share:.0%}" for name, share in shown)


def _reasons(explanation: dict[str, float]) -> str:
    """Name the largest contributions, in percentage points."""
    largest = list(explanation.items())[:_MOST_REASONS]
    return ", ".join(f"{printable(group)} {100 * share:+.0f}" for group, share in largest)


def timeline_report(timeline: "Timeline", console: Console) -> None:
    """Print the parts of a track that have one genre each, and the track as a strip of letters."""
    from genreclf.learning.prediction import (
        UNKNOWN,  # heavy, but loaded already to make the timeline
    )

    runs = timeline.runs()
    genres = dict.fromkeys(run.genre for run in runs if run.genre is not None)
    signs: dict[str | None, str] = dict(zip(genres, _SIGNS, strict=False))
    any_novel = any(run.novel for run in runs)
    table = Records("", right("from"), right("to"), "genre", right("confidence"))
    if any_novel:
        table.add_column("note")
    for run in runs:
        # The confidence of a withheld prediction is not that of "unknown".
        withheld = run.confidence is None or run.genre == UNKNOWN
        cells = [
            _sign(run.genre, signs), _clock(run.start), _clock(run.stop),
            printable(run.genre or "silence"), "" if withheld else f"{run.confidence:.0%}",
        ]  # fmt: skip
        table.add_row(*cells, *(["novel" if run.novel else ""] if any_novel else []))
    begin, end = runs[0].start, runs[-1].stop
    width = min(_STRIP_WIDTH, len(timeline.windows))
    times = [begin + (end - begin) * (i + 0.5) / width for i in range(width)]
    strip = (next(run.genre for run in runs if time <= run.stop) for time in times)
    letters = "".join(_sign(genre, signs) for genre in strip)
    console.print(f"{printable(timeline.path)}\n{letters}", highlight=False, soft_wrap=True)
    console.print(table)


def _sign(genre: str | None, signs: dict[str | None, str]) -> str:
    return shown("·", ".") if genre is None else signs.get(genre, "?")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
