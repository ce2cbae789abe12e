"""Compare several tables or configurations on the same folds."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations
from typing import Any

import msgspec
import numpy as np

from genreclf.config.schema import Config
from genreclf.errors import GenreclfError
from genreclf.evaluation.crossvalidation import choose_splits
from genreclf.evaluation.folds import FoldOptions, predict_held_out
from genreclf.evaluation.intervals import chance_agreement, share_interval
from genreclf.evaluation.notes import (
    NO_GROUPS,
    approximation_notes,
    few_groups_notes,
    unknown_genre_notes,
    unscored_notes,
)
from genreclf.evaluation.result import HeldOut
from genreclf.evaluation.significance import holm
from genreclf.evaluation.variants import Design, Difference, Score, Variant, paired_difference
from genreclf.learning.duplicates import Copies, find_copies
from genreclf.learning.leaks import leak_notes
from genreclf.learning.resolution import resolve
from genreclf.learning.splits import SHUFFLES_TRIED, Splits
from genreclf.parallel.workers import Workers
from genreclf.tables.table import FeatureTable, Texts
from genreclf.versions import versions


@dataclass(frozen=True, eq=False)
class Comparison:
    """The scores of all variants, and their differences."""

    scores: list[Score]
    differences: list[Difference]
    reference: str | None  # the variant that all others are compared with; None for all pairs
    splits: dict[str, Any]  # kind, n_folds, n_repeats, seed; n_test and n_train of each fold
    n_groups: int | None  # None without groups
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; the keys are part of the command line's contract."""
        return {
            "n_tracks": len(self.scores[0].correct),
            "n_groups": self.n_groups,
            "splits": self.splits,
            "reference": self.reference,
            "variants": [score.to_dict() for score in self.scores],
            "comparisons": [difference.to_dict() for difference in self.differences],
            "versions": versions(),
            "notes": self.notes,
        }


def compare(
    variants: Sequence[Variant],
    *,
    repeats: int = 5,
    reference: int | None = 0,
    search: bool = False,
    workers: Workers | None = None,
    on_fold: Callable[[], object] = lambda: None,
) -> Comparison:
    """Train and test variants on the same folds, and test their differences for significance.

    A difference has to be significant by two tests: the t-test over groups (or tracks, without
    groups), and the corrected resampled t-test over folds if there are enough folds (at least five
    per round and ten in all). The larger p-value decides. For a published split, whose classifiers
    are given, and if groups are too few for a t-test, the permutation test over groups decides.

    Parameters
    ----------
    variants : sequence of Variant
        At least two, with tables as ``match_tracks`` returns them. The first one's configuration
        gives the number of folds and the seed. The order of the tracks does not matter.
    repeats : int
        Number of cross-validations, each with other folds and another seed. Published folds are
        run once.
    reference : int or None
        Number of the variant that the others are compared with; None compares all pairs.
    search : bool
        Tune hyperparameters within each training part.
    workers : Workers, optional
        Run several folds at a time; the result is the same.
    on_fold : callable
        Called after every fold of every variant.

    Raises
    ------
    TableError
        If there are too few tracks, groups or genres to hold any out.
    """
    variants = [_resolved(variant) for variant in _in_canonical_order(variants)]
    table, config = variants[0].table, variants[0].config
    copies = _copies([variant.table for variant in variants])
    groups = copies.joined(table.groups)
    if table.folds is not None or table.split is not None:
        repeats = 1
    rounds = [choose_splits(table, _reseeded(config, i), copies) for i in range(repeats)]
    options = FoldOptions(search, calibrated=False, workers=workers, on_fold=on_fold)
    held_out = [_predict(variant, groups, rounds, options) for variant in variants]
    rows = np.unique(np.concatenate([part.rows for part in held_out[0]]))
    design = Design(_facts(rounds, table, config), table.labels[rows], groups[rows])
    scores = [
        _score(variant, of_rounds, copies, design)
        for variant, of_rounds in zip(variants, held_out, strict=True)
    ]
    return Comparison(
        scores,
        _differences(scores, reference, design),
        None if reference is None else variants[reference].name,
        design.splits,
        design.n_units if table.has_groups else None,
        _notes(variants, rounds, held_out[0][0], design),
    )


def _in_canonical_order(variants: Sequence[Variant]) -> list[Variant]:
    """Sort the tracks of all tables; variants of one table share the sorted one."""
    order = variants[0].table.canonical_order()
    tables = {id(variant.table): variant.table for variant in variants}
    tables = {key: table.take(order) for key, table in tables.items()}
    return [replace(variant, table=tables[id(variant.table)]) for variant in variants]


def _resolved(variant: Variant) -> Variant:
    with _errors_named(variant):
        return replace(variant, config=resolve(variant.config, variant.table))


def _copies(tables: Sequence[FeatureTable]) -> Copies:
    """Find copies of one recording by the features of any table."""
    distinct = {id(table.values): table for table in tables}.values()
    found = [find_copies(table.values) for table in distinct]
    return reduce(Copies.merged, found).with_paths(tables[0].paths)


def _reseeded(config: Config, repeat: int) -> Config:
    """Return the configuration with the seed of a repeat; the first one keeps its own."""
    # Splits try several consecutive seeds, and no two repeats should use the same one.
    seed = (config.seed + repeat * SHUFFLES_TRIED) % 2**32
    return msgspec.structs.replace(config, seed=seed)


def _predict(
    variant: Variant, groups: Texts, rounds: Sequence[Splits], options: FoldOptions
) -> list[HeldOut]:
    table = replace(variant.table, groups=groups)
    with _errors_named(variant):
        return [
            predict_held_out(table, _reseeded(variant.config, i), splits, options)
            for i, splits in enumerate(rounds)
        ]


@contextmanager
def _errors_named(variant: Variant) -> Iterator[None]:
    """Name the variant that cannot be trained."""
    try:
        yield
    except GenreclfError as error:
        raise type(error)(f"{variant.name}: {error}") from None


def _facts(rounds: Sequence[Splits], table: FeatureTable, config: Config) -> dict[str, Any]:
    """Describe the splits, with the sizes of the folds that can be scored."""
    tested = [fold for splits in rounds for fold in splits.tested(table.labels)]
    return {
        "kind": rounds[0].kind,
        "n_folds": len(rounds[0].folds),
        "n_repeats": len(rounds),
        "seed": config.seed,
        "n_test": [len(test) for _, test in tested],
        "n_train": [len(train) for train, _ in tested],
    }


def _score(variant: Variant, rounds: Sequence[HeldOut], copies: Copies, design: Design) -> Score:
    rows = np.concatenate([held_out.rows for held_out in rounds])
    hits = np.concatenate([held_out.correct for held_out in rounds])
    scored, which = np.unique(rows, return_inverse=True)
    correct = np.bincount(which, weights=hits) / np.bincount(which)
    n_recordings = copies.weights(scored).sum()
    tied = variant.table.has_groups or n_recordings < len(scored)
    ends = np.cumsum(design.splits["n_test"])[:-1]
    predicted = np.concatenate([held_out.predicted for held_out in rounds])
    given = design.train_share is None
    chance = None if given else chance_agreement(variant.table.labels[rows], predicted)
    groups = design.groups if tied else None
    return Score(
        variant,
        correct,
        predicted,
        np.array([part.mean() for part in np.split(hits, ends)]),
        share_interval(correct, groups, n_recordings, design.factor, chance),
    )


def _differences(
    scores: Sequence[Score], reference: int | None, design: Design
) -> list[Difference]:
    numbers = range(len(scores))
    pairs = list(combinations(numbers, 2)) if reference is None else [
        (reference, i) for i in numbers if i != reference
    ]  # fmt: skip
    found = [paired_difference(scores[b], scores[a], design) for a, b in pairs]
    corrected = holm([difference.p_value for difference in found])
    return [replace(d, p_holm=p) for d, p in zip(found, corrected, strict=True)]


def _notes(
    variants: Sequence[Variant], rounds: Sequence[Splits], held_out: HeldOut, design: Design
) -> list[str]:
    table = variants[0].table
    distinct = {id(variant.table.values): variant.table for variant in variants}.values()
    notes = [note for each in variants for note in approximation_notes(each.config)]
    notes += [note for each in distinct for note in leak_notes(each)]
    notes += [note for splits in rounds for note in splits.notes]
    notes += unscored_notes(table, rounds[0], held_out)
    notes += unknown_genre_notes(held_out, "the training set")
    if table.has_groups:
        notes += few_groups_notes(design.labels, design.groups, design.train_share)
    elif rounds[0].kind == "stratified":
        notes.append(NO_GROUPS)
    return list(dict.fromkeys(notes))
