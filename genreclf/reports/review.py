"""The review page: tracks to listen to, and a choice of the genre for each.

One HTML file with one script. Its content security policy names script and style sheet by their
hashes, lets audio come from files, and allows no network. The script takes the tracks from a block
of JSON and puts all their text into the page as text, never as markup.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from genreclf.config.views import LONGEST_SECONDS, Excerpt
from genreclf.errors import decoded
from genreclf.files import on_disk
from genreclf.reports.pages import csp_hash, environment

# Why a track is on the page: the name of its filter, and the words beside the track.
DOUBTS = {
    "label": ("Doubtful labels", "doubtful label"),
    "copy": ("Copies with two labels", "copy with another label"),
    "novel": ("Novel", "novel"),
    "uncertain": ("Uncertain", "uncertain"),
    "suggested": ("Suggested", "suggested"),
}
NOT_MUSIC = "not music"

# The others are in the list of the text field.
MOST_ANSWERS = 12
MOST_REASONS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewItem:
    """A track on a review page.

    Attributes
    ----------
    path : str
        As in the table, where the correction has to find it.
    label : str
        Its genre in the table; the empty string if it has none.
    probabilities : mapping of str to float
        The most probable genre first: the model's answer. Empty if there is no answer.
    explanation : mapping of str to float
        What each group of features adds to the probability of the answer.
    doubts : tuple of str
        Why the track is on the page: keys of ``DOUBTS``.
    copies : tuple of (str, str)
        Path and label of the other copies of the recording.
    span : (float, float) or None
        The seconds that the model heard, if they are known; otherwise the page's ``excerpt`` says.
    notes : tuple of str
        What was unusual about the track.
    """

    path: str
    label: str = ""
    probabilities: Mapping[str, float] = field(default_factory=dict)
    explanation: Mapping[str, float] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    span: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


def review_page(
    items: Sequence[ReviewItem],
    genres: Sequence[str],
    *,
    excerpt: Excerpt | None = None,
    table: str = "",
    notes: Sequence[str] = (),
) -> str:
    """Write a page to listen to tracks and to correct their labels.

    Parameters
    ----------
    items : sequence of ReviewItem
        In the order of the page.
    genres : sequence of str
        All genres that can be chosen, in the order of the list.
    excerpt : Excerpt, optional
        Which seconds of a track the features were computed from.
    table : str
        The table or manifest that the corrections are for, if there is one.
    notes : sequence of str
        Sentences above the list, such as how many tracks were left out.

    Returns
    -------
    str
        Without lone surrogates and control characters, whatever the items hold. The same items
        give the same page.
    """
    templates = environment()
    css = templates.get_template("review.css").render()
    script = templates.get_template("review.js").render()
    return templates.get_template("review.html").render(
        css=css,
        style_source=csp_hash(css),
        script=script,
        script_source=csp_hash(script),
        data=_as_json(_data(items, genres, excerpt, table)),
        n_tracks=len(items),
        doubts={key: names[0] for key, names in DOUBTS.items()},
        notes=notes,
        not_music=NOT_MUSIC,
    )


def _data(
    items: Sequence[ReviewItem], genres: Sequence[str], excerpt: Excerpt | None, table: str
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "genres": list(genres),
        "notMusic": NOT_MUSIC,
        "doubts": {key: words for key, (_, words) in DOUBTS.items()},
        "excerpt": _rule(excerpt),
        "table": table,
        "items": [_item(item, genres) for item in items],
    }
    # Choices are kept in the browser under this name, so that pages do not share them.
    content = json.dumps(data, sort_keys=True).encode()
    return data | {"id": hashlib.sha256(content).hexdigest()[:32]}


def _item(item: ReviewItem, genres: Sequence[str]) -> dict[str, Any]:
    answers = item.probabilities or dict.fromkeys(
        sorted(genres, key=lambda genre: genre not in _labels_of_copies(item))
    )
    return {
        "path": decoded(item.path),
        "uri": file_uri(item.path),
        "label": decoded(item.label),
        "answers": [[decoded(genre), p] for genre, p in islice(answers.items(), MOST_ANSWERS)],
        "isAnswered": bool(item.probabilities),
        "reasons": list(islice(item.explanation.items(), MOST_REASONS)),
        "doubts": list(item.doubts),
        "copies": [[decoded(path), decoded(label)] for path, label in item.copies],
        "span": item.span,
        "notes": list(item.notes),
    }


def _labels_of_copies(item: ReviewItem) -> set[str]:
    return {label for _, label in item.copies}


def _rule(excerpt: Excerpt | None) -> dict[str, Any] | None:
    """Return how the script finds the excerpts of a track when it knows its length.

    ``None`` if that takes more than the length.
    """
    if excerpt is None or excerpt.needs_scan:
        return None
    starts = {"start": 0.0, "window": excerpt.from_seconds}
    return {
        "seconds": LONGEST_SECONDS if excerpt.strategy == "full" else excerpt.seconds,
        "start": starts.get(excerpt.strategy),
        "excerpts": excerpt.excerpts if excerpt.strategy == "multi" else 1,
        "earlier": excerpt.earlier_seconds,
    }


def file_uri(path: str) -> str:
    """Return the address of a file, or the empty string for a name that no file can have."""
    try:
        return Path(on_disk(path)).absolute().as_uri()
    except ValueError:  # lone surrogates that stand for no byte
        return ""


def _as_json(data: object) -> str:
    """Return JSON in ASCII that can stand in a script element: no tag can begin or end in it."""
    text = json.dumps(data)
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text
