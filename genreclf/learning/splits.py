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

# Grouped folds cannot always be balanced: of this many shuffles the one that leaves the fewest
# tracks without a genre to be compared with is taken.
SHUFFLES_TRIED = 10

# What else the parts of published splits are called.
_PARTS = {"training": "train", "testing": "test"} | dict.fromkeys(
    ("validation", "val", "dev"), "valid"
)


@dataclass(frozen=True, slots=True)
class Splits:
    """Folds, each a pair of row indices (training, test), and where they come from.

    Attributes
    ----------
    kind : str
        ``grouped``, ``stratified``, ``folds`` or ``split``.
    folds : list of Fold
    names : list of str
        The folds' names: published ones have their own, ours are numbered from 1.
    notes : list of str
    """

    kind: str
    folds: list[Fold]
    names: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def published(self) -> bool:
        """Whether others chose what is tested, so that all of it counts."""
        return self.kind in ("folds", "split")

    def train_share(self, labels: NDArray[Any]) -> float | None:
        """Return which share of the tracks a fold is trained on; None where one fold is all."""
        folds = self.tested(labels)
        if len(self.folds) < 2 or not folds:
            return None
        n_train, n_test = (sum(map(len, parts)) for parts in zip(*folds, strict=True))
        return n_train / (n_train + n_test)

    def tested(self, labels: NDArray[Any]) -> list[Fold]:
        """Return the folds that are run.

        Published folds are run as they are: a test track whose genre is not trained on is answered
        wrongly. Folds of our own leave such a track out, since a classifier that is trained on the
        whole table does know its genre: see ``known_genres_only``.

        Raises
        ------
        TableError
            If the training part of a published fold holds one genre only.
        """
        if not self.published:
            return known_genres_only(self.folds, labels)
        for name, (train, _) in zip(self.names, self.folds, strict=True):
            if len(genres := set(labels[train])) < 2:
                which = "the split" if self.kind == "split" else f"fold {name}"
                raise TableError(
                    f"the training part of {which} holds one genre only, {min(genres)}; two are "
                    "needed to learn from"
                )
        return self.folds


def cross_validation(
    labels: NDArray[Any],
    groups: Texts | None,
    n_folds: int,
    seed: int,
    copies: Texts | None = None,
) -> Splits:
    """Shuffle tracks into folds of like proportions of genres, and never split a group.

    Parameters
    ----------
    labels : (n,) array of str or int
    groups : (n,) array of str, or None
        A track whose group is the empty string is on its own.
    n_folds : int
        At most; fewer when there are not enough tracks or groups, with a note. With groups, there
        are no more folds than groups in a typical genre: then each fold takes its share of every
        genre. With more folds a genre would be trained on less than the others whenever it is
        tested, and even random labels would get less than chance.
    seed : int
    copies : (n,) array of str, optional
        Groups to be held together instead where tracks are copies of one another. Without
        ``groups``, they do not make the folds grouped ones.

    Raises
    ------
    TableError
        If there is one genre only, or too few tracks for two folds.
    """
    counts = Counter(labels)
    if len(counts) < 2:
        raise TableError(f"all tracks are {next(iter(counts))!r}; at least two genres are needed")
    kind = "stratified" if groups is None else "grouped"
    together = groups if copies is None else copies
    n_groups = typical = len(labels)
    if together is not None:
        together = own_groups(together)
        n_groups = len(set(together))
        typical = _groups_of_a_genre(labels, together)
    if groups is None:
        # A genre of one track cannot be tested, and need not cost the others their folds.
        possible = min([n_folds, n_groups, *(count for count in counts.values() if count > 1)])
    else:
        possible = min(n_folds, n_groups, max(counts.values()), typical)
    if possible < 2 or max(counts.values()) < 2:
        why = "every genre has one track only" if max(counts.values()) < 2 else (
            "all tracks are copies of one recording" if groups is None else
            "all tracks are in one group"
        )  # fmt: skip
        raise TableError(f"too few tracks or groups to hold any out: {why}")
    notes = []
    if possible < n_folds:
        several = [genre for genre in counts if counts[genre] > 1]
        fewest = min(several, key=lambda genre: (counts[genre], genre))
        genre_decides = groups is None and possible < n_groups
        together_as = "recordings" if groups is None else "groups"
        why = f"{fewest} has {counts[fewest]} tracks" if genre_decides else (
            f"there are {n_groups} {together_as} and at most {max(counts.values())} tracks a genre"
        )  # fmt: skip
        if groups is not None and possible == typical < n_groups:
            why = f"half of the genres have {typical} groups or fewer"
        notes.append(f"{possible} folds instead of {n_folds}: {why}")
    folds = _best_shuffle(labels, together, possible, seed)
    return Splits(kind, folds, [str(i + 1) for i in range(possible)], notes)


def _groups_of_a_genre(labels: NDArray[Any], groups: Texts) -> int:
    """Return the median number of groups, at least 2, of the genres that can be tested."""
    pairs = set(zip(labels, groups, strict=True))
    several = [n for n in Counter(label for label, _ in pairs).values() if n > 1]
    return int(np.median(several)) if several else len(pairs)


def known_genres_only(folds: Iterable[Fold], labels: NDArray[Any]) -> list[Fold]:
    """Drop test tracks whose genre is not trained on, and folds that are left without use."""
    codes = np.unique(labels, return_inverse=True)[1]  # compared more quickly than texts
    known = [(train, test[np.isin(codes[test], codes[train])]) for train, test in folds]
    return [
        (train, test) for train, test in known if len(test) and len(np.unique(codes[train])) > 1
    ]


def own_groups(groups: Texts) -> Texts:
    """Give every track without a group one of its own."""
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
            # A genre with fewer tracks than folds is dealt with by counting what is lost.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            made = list(folds.split(np.zeros(len(labels)), labels, groups))
        lost = sum((~np.isin(labels[test], labels[train])).sum() for train, test in made)
        if lost < fewest:
            best, fewest = made, lost
        if lost == 0:
            break
    return best


def published_folds(column: Texts) -> Splits:
    """Use each value of a column as a fold; rows where it is empty are left out.

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
    """Train on the rows called ``train`` and test on those called ``test``.

    Rows called ``valid`` take no part: nothing is tuned on them. Case does not count, and
    ``training``, ``testing``, ``validation``, ``val`` and ``dev`` mean the same.

    Raises
    ------
    TableError
        If there are no rows of either kind.
    """
    names = np.array([str(name).strip().lower() for name in column], dtype=object)
    names = np.array([_PARTS.get(name, name) for name in names], dtype=object)
    train, test = np.flatnonzero(names == "train"), np.flatnonzero(names == "test")
    if not len(train) or not len(test):
        raise TableError(
            "the split column needs rows called 'train' and rows called 'test'; it has "
            + _values(column)
        )
    known = np.isin(names, ("train", "test", "valid"))
    n_valid = int(known.sum()) - len(train) - len(test)
    notes = [f"{n_valid} tracks for validation are not used"] if n_valid else []
    return Splits("split", [(train, test)], ["test"], [*notes, *_left_out(known)])


def _values(column: Texts) -> str:
    """List the values of a column, for a message."""
    counts = Counter(str(value) or "empty cells" for value in column)
    return shortened(", ".join(f"{value} ({n})" for value, n in counts.most_common(5)), 200)


def _left_out(used: NDArray[np.bool_]) -> list[str]:
    left = int((~used).sum())
    return [f"{left} of {len(used)} tracks are in no part of the published split"] if left else []
