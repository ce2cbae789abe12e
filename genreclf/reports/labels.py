"""The labels of a table or manifest as text."""

import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from genreclf.reports.console import Records, print_line, print_notes, printable, right

if TYPE_CHECKING:
    from genreclf.library.labelcounts import LabelCounts


def labels_report(counts: "LabelCounts", console: Console) -> None:
    """Print genres with their numbers of tracks, and spellings that are probably one genre."""
    n_labelled = counts.n_tracks - counts.n_unlabelled
    tracks = "1 track" if counts.n_tracks == 1 else f"{counts.n_tracks} tracks"
    genres = "the only genre" if len(counts.genres) == 1 else f"one of {len(counts.genres)} genres"
    with_genre = f"{n_labelled} with {genres}" if counts.genres else "none with a genre"
    print_line(f"{tracks}: {with_genre}, {counts.n_unlabelled} without a label", console)
    grouped = any(genre.n_groups for genre in counts.genres)
    if counts.genres:
        table = Records("genre", right("tracks"), *([right("groups")] if grouped else []))
        for genre in counts.genres:
            groups = [str(genre.n_groups)] if grouped else []
            table.add_row(printable(genre.genre), str(genre.n_tracks), *groups)
        console.print(table)
    print_notes(map(_hint, counts.spellings), console)


def _hint(alike: list[str]) -> str:
    most, *others = alike
    pairs = " ".join(f"{shlex.quote(other)} {shlex.quote(most)}" for other in others)
    return (
        f"probably one genre: {', '.join(map(repr, alike))}; genreclf labels rename {pairs} TABLE"
    )
