"""Splits of tracks into training and test parts that do not leak."""

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from genreclf.errors import TableError, shortened
from genreclf.tables.table import Texts

Indices = NDArray[np.intp]
Fold = tuple[Indices, Indices]

# Grouped folds cannot always be balanced. This many shuffles are tried, and the one with the fewest
# test tracks whose genre has no training tracks is used.
SHUFFLES_TRIED = 10

_TOO_FEW = "too few tracks or groups to hold any out"

# Other names of the parts of published splits.
_PARTS = {"training": "train", "testing": "test"} | dict.fromkeys(
    ("validation", "val", "dev"), "valid"
)


@dataclass(frozen=True, slots=True)
class Splits:
    """Folds, each a pair of row indices (training, test), and their origin.

    Attributes
    ----------
    kind : str
        ``grouped``, ``stratified``, ``folds`` or ``split``.
    folds : list of Fold
    names : list of str
        Published folds have their own names; ours are numbered from 1.
    notes : list of str
    """

    kind: str
    folds: list[Fold]
    names: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def published(self) -> bool:
        """Whether others chose the test tracks, so that all of them count."""
        return self.kind in ("folds", "split")

    def train_share(self, labels: NDArray[Any]) -> float | None:
        """Return the share of the tracks that a fold is trained on; None for a single fold."""
        folds = self.tested(labels)
        if len(self.folds) < 2 or not folds:
            return None
        n_train, n_test = (sum(map(len, parts)) for parts in zip(*folds, strict=True))
        return n_train / (n_train + n_test)

    def tested(self, labels: NDArray[Any]) -> list[Fold]:
        """Return the folds that are run.

        Published folds are run as they are, and a test track whose genre is not trained on counts
        as wrong. Folds of our own leave such a track out (``known_genres_only``), because a
        classifier that is trained on the whole table knows its genre.

        Raises
        ------
        TableError
            If the training part of a published fold has one genre only.
        """
        if not self.published:
            return known_genres_only(self.folds, labels)
        for name, (train, _) in zip(self.names, self.folds, strict=True):
            if len(genres := set(labels[train])) < 2:
                which = "the split" if self.kind == "split" else f"fold {name}"
                raise TableError(
                    f"the training part of {which} has one genre only, {min(genres)}; training "
                    "needs at least two"
                )
        return self.folds


def cross_validation(
    labels: NDArray[Any],
    groups: Texts | None,
    n_folds: int,
    seed: int,
    copies: Texts | None = None,
) -> Splits:
    """Shuffle tracks into folds with similar proportions of genres, and never split a group.

    Parameters
    ----------
    labels : (n,) array of str or int
    groups : (n,) array of str, or None
        A track without a group has the empty string.
    n_folds : int
        At most; fewer if there are too few tracks or groups, with a note. There are no more folds
        than groups in a typical genre, so that each fold has its share of every genre. Otherwise a
        genre would have less training data than the others whenever it is tested, and even random
        labels would get less than chance.
    seed : int
    copies : (n,) array of str, optional
        Groups to keep together instead if tracks are copies of one another. Without ``groups``,
        the folds are stratified and not called grouped.

    Raises
    ------
    TableError
        If there is one genre only, or too few tracks for two folds.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        raise TableError(f"all tracks are {next(iter(counts))!r}; at least two genres are needed")
    together = groups if copies is None else copies
    together = None if together is None else own_groups(together)
    n_possible, why = _possible_folds(labels, counts, together, groups is not None, n_folds)
    notes = [f"{n_possible} folds instead of {n_folds}: {why}"] if n_possible < n_folds else []
    folds = _best_shuffle(labels, together, n_possible, seed)
    kind = "stratified" if groups is None else "grouped"
    return Splits(kind, folds, [str(i + 1) for i in range(n_possible)], notes)


def _possible_folds(
    labels: NDArray[Any],
    counts: Counter[Any],
    together: Texts | None,
    grouped: bool,
    n_folds: int,
) -> tuple[int, str]:
    """Return how many folds there can be, up to ``n_folds``, and what limits their number."""
    largest = max(counts.values())
    if largest < 2:
        raise TableError(f"{_TOO_FEW}: every genre has one track only")
    n_groups = len(labels) if together is None else len(set(together))
    if grouped and together is not None:
        typical = _groups_of_a_genre(labels, together)
        possible = min(n_folds, n_groups, largest, typical)
        decisive = possible == typical < n_groups
        why = f"half of the genres have {typical} groups or fewer" if decisive else ""
    else:
        # A genre of one track cannot be tested, but does not limit the folds of the others.
        fewest = min((n, genre) for genre, n in counts.items() if n > 1)
        possible = min(n_folds, n_groups, fewest[0])
        why = f"{fewest[1]} has {fewest[0]} tracks" if possible < n_groups else ""
    if possible < 2:
        of = "tracks are in one group" if grouped else "tracks are copies of one recording"
        raise TableError(f"{_TOO_FEW}: all {of}")
    units = "groups" if grouped else "recordings"
    return possible, why or f"there are {n_groups} {units} and at most {largest} tracks a genre"


def _groups_of_a_genre(labels: NDArray[Any], groups: Texts) -> int:
    """Return the median number of groups, at least 2, of the genres that can be tested."""
    pairs = set(zip(labels, groups, strict=True))
    several = [n for n in Counter(label for label, _ in pairs).values() if n > 1]
    return int(np.median(several)) if several else len(pairs)


def known_genres_only(folds: Iterable[Fold], labels: NDArray[Any]) -> list[Fold]:
    """Leave out test tracks whose genre is not trained on, and folds without test tracks."""
    codes = np.unique(labels, return_inverse=True)[1]  # faster to compare than texts
    known = [(train, test[np.isin(codes[test], codes[train])]) for train, test in folds]
    return [
        (train, test) for train, test in known if len(test) and len(np.unique(codes[train])) > 1
    ]


def own_groups(groups: Texts) -> Texts:
    """Give every track without a group its own group."""
    alone = np.array([f"\0{row}" for row in range(len(groups))], dtype=object)
    return np.where(groups == "", alone, groups)


def _best_shuffle(
    labels: NDArray[Any], groups: Texts | None, n_folds: int, seed: int
) -> list[Fold]:
    best: list[Fold] = []
    fewest = len(labels) + 1
    for shuffle in range(SHUFFLES_TRIED):
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
        folds = splitter(n_folds, shuffle=True, random_state=(seed + shuffle) % 2**32)
        with warnings.catch_warnings():
            # A genre with fewer tracks than folds shows in the number of tracks lost.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            made = list(folds.split(np.zeros(len(labels)), labels, groups))
        lost = sum((~np.isin(labels[test], labels[train])).sum() for train, test in made)
        if lost < fewest:
            best, fewest = made, lost
        if lost == 0:
            break
    return best


def published_folds(column: Texts) -> Splits:
    """Use each value of a column as a fold, and leave out rows in which it is empty.

    Raises
    ------
    TableError
        If there are fewer than two folds.
    """
    used = column != ""
    names = sorted(set(column[used]))
    if len(names) < 2:
        raise TableError(f"the folds column needs two different values; it has {_values(column)}")
    folds = [
        (np.flatnonzero(used & (column != name)), np.flatnonzero(column == name)) for name in names
    ]
    return Splits("folds", folds, names, _left_out(used))


def published_split(column: Texts) -> Splits:
    """Train on the rows named ``train``, and test on those named ``test``.

    Rows named ``valid`` are not used, not even for tuning. Case does not count, and ``training``,
    ``testing``, ``validation``, ``val`` and ``dev`` mean the same.

    Raises
    ------
    TableError
        If no row is named ``train``, or none ``test``.
    """
    names = np.array([str(name).strip().lower() for name in column], dtype=object)
    names = np.array([_PARTS.get(name, name) for name in names], dtype=object)
    train, test = np.flatnonzero(names == "train"), np.flatnonzero(names == "test")
    if not len(train) or not len(test):
        raise TableError(
            "the split column needs rows named 'train' and rows named 'test'; it has "
            + _values(column)
        )
    known = np.isin(names, ("train", "test", "valid"))
    n_valid = int(known.sum()) - len(train) - len(test)
    notes = [f"{n_valid} tracks for validation are not used"] if n_valid else []
    return Splits("split", [(train, test)], ["test"], [*notes, *_left_out(known)])


def _values(column: Texts) -> str:
    """Return the most frequent values of a column, for a message."""
    counts = Counter(str(value) or "empty cells" for value in column)
    return shortened(", ".join(f"{value} ({n})" for value, n in counts.most_common(5)), 200)


def _left_out(used: NDArray[np.bool_]) -> list[str]:
    left = int((~used).sum())
    return [f"{left} of {len(used)} tracks are in no part of the published split"] if left else []
