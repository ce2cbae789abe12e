"""Suggested tracks as a table, as records for programs, and as items of a review page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from genreclf.reports.console import FilePath, Records, printable, right
from genreclf.reports.review import ReviewItem, page_of_tracks

if TYPE_CHECKING:
    from genreclf.config.schema import ExtractionConfig
    from genreclf.learning.suggestion import Suggestion

COLUMNS = ["path", "genre", "confidence", "margin", "novel"]


def suggestions_table(suggestions: "Sequence[Suggestion]") -> Table:
    """Return a table with a row per track: the two most probable genres, if there is a model."""
    if not any(found.probabilities for found in suggestions):
        table = Records("file")
        for found in suggestions:
            table.add_row(FilePath.of(found.path))
        return table
    any_novel = any(found.novel for found in suggestions)
    table = Records("file", "genre", right("confidence"), "then")
    if any_novel:
        table.add_column("note")
    for found in suggestions:
        (genre, share), *others = list(found.probabilities.items())[:2]
        then = ", ".join(f"{printable(other)} {p:.0%}" for other, p in others)
        note = ["novel" if found.novel else ""] if any_novel else []
        table.add_row(FilePath.of(found.path), printable(genre), f"{share:.0%}", then, *note)
    return table


def suggestion_record(found: "Suggestion") -> dict[str, Any]:
    """Return plain values, fit for JSON."""
    genre, confidence = next(iter(found.probabilities.items()), (None, None))
    return {
        "path": found.path,
        "genre": genre,
        "confidence": confidence,
        "margin": found.margin,
        "probabilities": found.probabilities,
    } | ({"novel": True} if found.novel else {})


def suggestion_cells(found: "Suggestion") -> list[Any]:
    """Return the cells of a row of CSV, in the order of ``COLUMNS``."""
    record = suggestion_record(found) | {"novel": str(found.novel).lower()}
    return ["" if record[name] is None else record[name] for name in COLUMNS]


def suggestions_page(
    suggestions: "Sequence[Suggestion]",
    genres: "Sequence[str]",
    config: "ExtractionConfig | None",
    command: str,
) -> str:
    """Return a page to listen to the tracks and to choose their genres.

    Parameters
    ----------
    suggestions : sequence of Suggestion
    genres : sequence of str
        Those that can be chosen.
    config : ExtractionConfig or None
        Of the table, which says which seconds of the tracks were heard.
    command : str
        What to run with the corrections.
    """
    items = [
        ReviewItem(
            path=found.path,
            probabilities=found.probabilities,
            explanation=found.explanation,
            doubts=("suggested", *(["novel"] if found.novel else [])),
        )
        for found in suggestions
    ]
    return page_of_tracks(items, genres, config, command=command)
