"""The review page: tracks to listen to, and a choice of the genre for each.

One HTML file with one script. Its content security policy names script and style sheet by their
hashes, lets audio come from files, and allows no network. The script takes the tracks from a block
of JSON and puts all their text into the page as text, never as markup.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from shlex import join
from typing import TYPE_CHECKING, Any

from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import LONGEST_SECONDS, Excerpt
from genreclf.errors import TableError, decoded
from genreclf.files import on_disk
from genreclf.library.corrections import NOT_MUSIC

if TYPE_CHECKING:
    from genreclf.tables.table import FeatureTable

# Why a track is on the page: the name of its filter, and the words beside the track.
DOUBTS = {
    "label": ("Doubtful labels", "doubtful label"),
    "copy": ("Copies with two labels", "copy, two labels"),
    "novel": ("Novel", "novel"),
    "uncertain": ("Uncertain", "uncertain"),
    "suggested": ("Suggested", "suggested"),
}

# A calibrated prediction with a lower probability is more often wrong than right.
UNCERTAIN_BELOW = 0.5

# Without a table, corrections are a manifest.
EXTRACT_COMMAND = "genreclf extract MUSIC --labels corrections.csv -o features.csv"

# Buttons; all other genres are suggested in the text field.
MOST_GENRES = 12
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
        The most probable genre first: the model's prediction. Empty if there is none.
    explanation : mapping of str to float
        What each group of features adds to the probability of the predicted genre.
    doubts : tuple of str
        Why the track is on the page: keys of ``DOUBTS``.
    copies : tuple of (str, str)
        Path and label of the other copies of the recording.
    spans : tuple of (float, float)
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
    spans: tuple[tuple[float, float], ...] = ()
    notes: tuple[str, ...] = ()


def review_page(
    items: Sequence[ReviewItem],
    genres: Sequence[str],
    *,
    excerpt: Excerpt | None = None,
    command: str = EXTRACT_COMMAND,
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
    command : str
        What to run with the corrections.
    notes : sequence of str
        Sentences above the list, such as how many tracks were left out.

    Returns
    -------
    str
        Without lone surrogates and control characters, whatever the items hold. The same items
        give the same page.
    """
    from genreclf.reports.pages import csp_hash, environment  # slow, and rarely needed

    templates = environment()
    css = templates.get_template("review.css").render()
    script = templates.get_template("review.js").render()
    return templates.get_template("review.html").render(
        css=css,
        style_source=csp_hash(css),
        script=script,
        script_source=csp_hash(script),
        data=_as_json(_data(items, genres, excerpt)),
        n_tracks=len(items),
        doubts={key: names[0] for key, names in DOUBTS.items()},
        notes=notes,
        command=command,
        not_music=NOT_MUSIC,
    )


def labels_command(table: Path, label_column: str = "label") -> str:
    """Return the command that applies the corrections to a table."""
    corrected = table.with_name(f"{table.stem}-corrected{table.suffix}")
    column = [] if label_column == "label" else ["--label-column", label_column]
    words = ["labels", "apply", "corrections.csv", str(table), "-o", str(corrected), *column]
    return f"genreclf {join(words)}"


def require_paths(file: Path, table: "FeatureTable") -> None:
    """Refuse a table whose tracks cannot be listened to.

    Raises
    ------
    TableError
        If it names no files.
    """
    if not (table.paths != "").any():
        raise TableError(
            f"{file}: names no files to listen to; a review page needs the column path"
        )


def page_of_tracks(
    items: Sequence[ReviewItem],
    genres: Sequence[str],
    config: ExtractionConfig | None,
    *,
    command: str = EXTRACT_COMMAND,
    notes: Sequence[str] = (),
) -> str:
    """Write a page that plays the seconds that the features of its tracks were computed from.

    Parameters
    ----------
    items : sequence of ReviewItem
        With or without their ``spans``.
    config : ExtractionConfig or None
        Of the features, whose first view is played; None for a table that genreclf did not make.
    genres, command, notes
        As for ``review_page``.
    """
    if config is None:
        return review_page(items, genres, command=command, notes=notes)
    from genreclf.extraction.heard import heard_spans  # slow to import

    found = heard_spans([item.path for item in items if not item.spans], config)
    known = [replace(item, spans=found.get(item.path, item.spans)) for item in items]
    excerpt = config.each_view[0].excerpt
    return review_page(known, genres, excerpt=excerpt, command=command, notes=notes)


def _data(
    items: Sequence[ReviewItem], genres: Sequence[str], excerpt: Excerpt | None
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "genres": list(genres),
        "notMusic": NOT_MUSIC,
        "doubts": {key: words for key, (_, words) in DOUBTS.items()},
        "excerpt": _rule(excerpt),
        "items": [_item(item, genres) for item in items],
    }
    # Choices are kept in the browser under this name, so that pages do not share them.
    content = json.dumps(data, sort_keys=True).encode()
    return data | {"id": hashlib.sha256(content).hexdigest()[:32]}


def _item(item: ReviewItem, genres: Sequence[str]) -> dict[str, Any]:
    shares: Mapping[str, float | None] = item.probabilities or _without_prediction(item, genres)
    others = ([genre, share] for genre, share in shares.items() if genre != item.label)
    return {
        "path": decoded(item.path),
        "uri": file_uri(item.path),
        "label": item.label,
        "share": shares.get(item.label),
        "prediction": next(iter(item.probabilities.items()), None),
        "genres": list(islice(others, MOST_GENRES)),
        "reasons": list(islice(item.explanation.items(), MOST_REASONS)),
        "doubts": list(item.doubts),
        "copies": [[decoded(path), label] for path, label in item.copies],
        "spans": [[round(second, 3) for second in span] for span in item.spans],
        "notes": list(item.notes),
    }


def _without_prediction(item: ReviewItem, genres: Sequence[str]) -> dict[str, None]:
    """Return the genres, those of the track's copies first."""
    of_copies = {label for _, label in item.copies}
    return dict.fromkeys(sorted(genres, key=lambda genre: genre not in of_copies))


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
