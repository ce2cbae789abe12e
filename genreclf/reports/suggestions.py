"""Suggested tracks as a table, as records for programs, and as items of a review page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from genreclf.reports.console import FilePath, Records, printable, right
from genreclf.reports.review import ReviewItem

if TYPE_CHECKING:
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


def review_items(suggestions: "Sequence[Suggestion]") -> list[ReviewItem]:
    """Return the tracks for a review page."""
    return [
        ReviewItem(
            path=found.path,
            probabilities=found.probabilities,
            doubts=("suggested", *(["novel"] if found.novel else [])),
        )
        for found in suggestions
    ]
