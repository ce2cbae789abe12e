"""How many tracks and groups each genre has, and spellings that are probably one genre."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from genreclf.library.labelmap import spelled_differently


@dataclass(frozen=True, slots=True)
class GenreCount:
    """A genre, and how many tracks and groups it has; a track without a group counts in none."""

    genre: str
    n_tracks: int
    n_groups: int


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The labels of a table or manifest.

    Attributes
    ----------
    n_tracks : int
    n_unlabelled : int
        Tracks without a label.
    genres : list of GenreCount
        Sorted by name.
    spellings : list of list of str
        Genres that differ in upper case, spaces, punctuation or accents only; those with the most
        tracks first.
    """

    n_tracks: int
    n_unlabelled: int
    genres: list[GenreCount]
    spellings: list[list[str]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the keys are part of the command line's contract."""
        return asdict(self)


def count_labels(labels: Sequence[str], groups: Sequence[str]) -> LabelCounts:
    """Count the labels of tracks, given the label and the group of each."""
    counts = Counter(label for label in labels if label)
    pairs = {pair for pair in zip(labels, groups, strict=True) if all(pair)}
    n_groups = Counter(label for label, _ in pairs)
    return LabelCounts(
        n_tracks=len(labels),
        n_unlabelled=len(labels) - counts.total(),
        genres=[GenreCount(label, counts[label], n_groups[label]) for label in sorted(counts)],
        spellings=spelled_differently(sorted(counts, key=lambda label: (-counts[label], label))),
    )
