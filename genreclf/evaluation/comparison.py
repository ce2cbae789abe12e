"""Several tables or ways of learning held against each other on the same folds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, reduce
from itertools import combinations
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config, ExtractionConfig
from genreclf.errors import GenreclfError, TableError, shortened
from genreclf.evaluation.crossvalidation import (
    NO_GROUPS,
    HeldOut,
    Interval,
    Work,
    choose_splits,
    few_groups_notes,
    predict_held_out,
    share_interval,
    unknown_genre_notes,
    unscored_notes,
)
from genreclf.evaluation.significance import (
    SignFlipTest,
    TTest,
    corrected_t_test,
    group_t_test,
    holm,
    sign_flip_test,
)
from genreclf.evaluation.uncertainty import learning_factor
from genreclf.learning.codebook import settle
from genreclf.learning.duplicates import Copies, find_copies
from genreclf.learning.leaks import leak_notes
from genreclf.learning.splits import SHUFFLES_TRIED, Splits, own_groups
from genreclf.parallel.workers import Workers
from genreclf.tables.table import FeatureTable, Texts
from genreclf.versions import versions

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

LEVEL = 0.05
# Of fewer folds the t-test knows too little of their spread, or has too much to correct for.
FEWEST_FOLDS, FEWEST_IN_ALL = 5, 10


@dataclass(frozen=True, eq=False)
class Variant:
    """What is compared: a name for a person, features, and how to learn from them."""

    name: str
    table: FeatureTable
    config: Config

    def settings(self) -> dict[str, Any]:
        """Return the configuration as plain values; of a table from elsewhere only the learning."""
        if self.table.config is not None:
            return self.config.with_extraction(self.table.config).to_dict()
        extraction = ExtractionConfig.__struct_fields__
        tree = self.config.to_dict()
        return {key: value for key, value in tree.items() if key not in extraction}


@dataclass(frozen=True, eq=False)
class Measured:
    """What a variant got right, on the same tracks and folds as the others.

    Attributes
    ----------
    variant : Variant
    right : (n_tracks,) array
        Share of right answers for each track, over the repeats.
    answers : array of str
        What was predicted, fold by fold.
    fold_accuracies : (n_folds,) array
        Of all repeats.
    interval : (float, float)
        95 % confidence interval of the accuracy.
    """

    variant: Variant
    right: Doubles
    answers: Texts
    fold_accuracies: Doubles
    interval: Interval

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.right.mean())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.variant.name,
            "n_columns": len(self.variant.table.names),
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.interval),
            "fold_accuracies": self.fold_accuracies.tolist(),
            "config": self.variant.settings(),
        }


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more a variant gets right than another, and whether that is more than noise.

    Attributes
    ----------
    variant, reference : str
    difference : float
        Accuracy of the variant less that of the reference.
    interval : (float, float)
        95 % confidence interval, by the test that decides.
    same_answers : bool
        Whether both predicted the same for every track.
    t_test : TTest or None
        Over folds; None where it says nothing.
    group_t_test : TTest or None
        Over groups, or over tracks where there are none.
    permutation : SignFlipTest
    test : str
        Which test decides: ``t``, ``group_t`` or ``permutation``.
    p_holm : float
        Its p-value, corrected for the number of comparisons.
    """

    variant: str
    reference: str
    difference: float
    interval: Interval
    same_answers: bool
    t_test: TTest | None
    group_t_test: TTest | None
    permutation: SignFlipTest
    test: str
    p_holm: float = 1.0

    @property
    def p_value(self) -> float:
        """That of the test that decides."""
        by_test = {"t": self.t_test, "group_t": self.group_t_test}
        return (by_test.get(self.test) or self.permutation).p_value

    @property
    def verdict(self) -> str:
        """One of ``better``, ``worse``, ``noise`` and ``same``."""
        if self.same_answers:
            return "same"
        if self.p_holm > LEVEL or not self.difference:
            return "noise"
        return "better" if self.difference > 0 else "worse"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "variant": self.variant,
            "reference": self.reference,
            "difference": self.difference,
            "difference_ci95": list(self.interval),
            "p_value": self.p_value,
            "p_holm": self.p_holm,
            "test": self.test,
            "more_than_noise": self.verdict in ("better", "worse"),
            "verdict": self.verdict,
            "t_test": _plain(self.t_test),
            "group_t_test": _plain(self.group_t_test),
            "permutation": asdict(self.permutation),
        }


def _plain(test: TTest | None) -> dict[str, Any] | None:
    if test is None:
        return None
    plain = asdict(test)
    plain["ci95"] = list(plain.pop("interval"))
    return plain


@dataclass(frozen=True, eq=False)
class Comparison:
    """Variants measured on the same folds, and their differences.

    Attributes
    ----------
    measured : list of Measured
    differences : list of Difference
    reference : str or None
        What all others are held against; None where each is held against each.
    splits : dict
        ``kind``, ``n_folds``, ``n_repeats``, ``seed``, and each fold's ``n_test`` and ``n_train``.
    n_groups : int or None
        None if the tracks have no groups.
    notes : list of str
    """

    measured: list[Measured]
    differences: list[Difference]
    reference: str | None
    splits: dict[str, Any]
    n_groups: int | None
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values; the keys are part of the command line's contract."""
        return {
            "n_tracks": len(self.measured[0].right),
            "n_groups": self.n_groups,
            "splits": self.splits,
            "reference": self.reference,
            "variants": [measured.to_dict() for measured in self.measured],
            "comparisons": [difference.to_dict() for difference in self.differences],
            "versions": versions(),
            "notes": self.notes,
        }


def match_tracks(tables: Mapping[str, FeatureTable]) -> tuple[list[FeatureTable], list[str]]:
    """Bring tables to the tracks that all of them hold, with a label, in the first one's order.

    Parameters
    ----------
    tables : mapping of str to FeatureTable
        By the name that a person knows them under.

    Returns
    -------
    tables : list of FeatureTable
        Of the same paths, labels, groups and published folds; what one table does not say is
        taken from the others.
    notes : list of str

    Raises
    ------
    TableError
        If a track is twice in a table or not named, if no track is in all tables, or if two
        tables contradict each other.
    """
    notes = [f"{name}: {note}" for name, table in tables.items() for note in table.notes]
    matched = [replace(table, notes=[]) for table in tables.values()]
    if len(matched) > 1:
        rows, lost = _common_rows(tables)
        matched = [table.take(rows_of) for table, rows_of in zip(matched, rows, strict=True)]
        notes += lost
    own: dict[str, Any] = {}
    for name in ("labels", "groups", "folds", "split"):
        own[name] = _agreed(name, dict(zip(tables, matched, strict=True)))
    labelled = replace(matched[0], **own).labelled()
    known = own["labels"] != ""
    return [replace(table, **own).take(known) for table in matched], [*notes, *labelled.notes]


def _common_rows(tables: Mapping[str, FeatureTable]) -> tuple[list[Indices], list[str]]:
    """Return each table's rows of the tracks that all hold, and what that leaves out."""
    where: dict[str, dict[str, int]] = {}
    for name, table in tables.items():
        where[name] = {path: row for row, path in enumerate(table.paths)}
        if "" in where[name] or len(where[name]) < len(table):
            raise TableError(
                f"{name}: to be compared with others, a table needs a column path in which no "
                "track is twice (genreclf audit names them)"
            )
    first, *others = where.values()
    common = [path for path in first if all(path in other for other in others)]
    if not common:
        raise TableError(
            "no track is in every table: "
            + ", ".join(f"{name} has {next(iter(rows))!r}" for name, rows in where.items())
            + "; tracks are matched by path, so the paths have to be the same"
        )
    rows = [np.array([of[path] for path in common], dtype=np.intp) for of in where.values()]
    notes = [
        f"{len(table) - len(common)} of {len(table)} tracks of {name} are not in all tables and "
        "are left out"
        for name, table in tables.items()
        if len(table) > len(common)
    ]
    return rows, notes


def _agreed(name: str, tables: Mapping[str, FeatureTable]) -> Texts | None:
    """Return what the tables say of their common tracks; where one says nothing, another's word."""
    agreed: Texts | None = None
    said_by = ""
    for table_name, table in tables.items():
        values: Texts | None = getattr(table, name)
        if agreed is None or values is None:
            agreed, said_by = (values, table_name) if agreed is None else (agreed, said_by)
            continue
        differing = np.flatnonzero((values != agreed) & (values != "") & (agreed != ""))
        if len(differing):
            row = differing[0]
            raise TableError(
                f"{table_name}: {name} of {len(differing)} tracks differ from those in {said_by}: "
                f"{table.paths[row]} is {shortened(values[row])!r} here and "
                f"{shortened(agreed[row])!r} there"
            )
        agreed = np.where(agreed == "", values, agreed)
    return agreed


def count_folds(table: FeatureTable, config: Config, repeats: int) -> int:
    """Return how many times ``compare`` trains a variant, unless tracks or groups are too few."""
    if table.split is not None:
        return 1
    if table.folds is not None:
        return len(set(table.folds) - {""})
    return config.evaluation.folds * repeats


def compare(
    variants: Sequence[Variant],
    *,
    repeats: int = 5,
    reference: int | None = 0,
    search: bool = False,
    workers: Workers | None = None,
    on_fold: Callable[[], object] = lambda: None,
) -> Comparison:
    """Measure variants on the same folds, and test their differences.

    Two tests have to find a difference: the t-test over groups (or tracks, where there are none),
    and the corrected resampled t-test over folds where there are folds enough for it (five in a
    round, ten in all). The one that is less sure decides. Of a published split, whose classifiers
    are given, and where groups are too few for a t-test, the permutation test over groups decides.

    Parameters
    ----------
    variants : sequence of Variant
        Two or more, of tables as ``match_tracks`` returns them. Folds, and the seed for them, are
        the first one's. The order of tracks does not matter.
    repeats : int
        How often cross-validation is done, each time with other folds and another seed.
        Published folds are run once.
    reference : int or None
        Number of the variant that the others are held against; None holds each against each.
    search : bool
        Tune hyperparameters, anew within each training part.
    workers : Workers, optional
        Run so many folds at a time; the result is the same.
    on_fold : callable
        Called after every fold of every variant.

    Raises
    ------
    TableError
        If there are too few tracks, groups or genres to hold any out.
    """
    variants = _in_canonical_order(variants)
    table, config = variants[0].table, variants[0].config
    copies = _copies([variant.table for variant in variants])
    groups = copies.joined(table.groups)
    if table.folds is not None or table.split is not None:
        repeats = 1
    rounds = [choose_splits(table, _reseeded(config, i), copies) for i in range(repeats)]
    work = Work(search, calibrated=False, workers=workers, on_fold=on_fold)
    held_out = [_predict(variant, groups, rounds, work) for variant in variants]
    splits = _facts(rounds, table.labels, config)
    rows = np.unique(np.concatenate([part.rows for part in held_out[0]]))
    design = Design.of(splits, table.labels[rows], groups[rows], config.seed)
    measured = [
        _measure(variant, copies, of_rounds, design)
        for variant, of_rounds in zip(variants, held_out, strict=True)
    ]
    pairs = list(combinations(range(len(variants)), 2)) if reference is None else [
        (reference, i) for i in range(len(variants)) if i != reference
    ]  # fmt: skip
    differences = [paired_difference(measured[b], measured[a], design) for a, b in pairs]
    corrected = holm([difference.p_value for difference in differences])
    differences = [replace(d, p_holm=p) for d, p in zip(differences, corrected, strict=True)]
    distinct = {id(variant.table.values): variant.table for variant in variants}.values()
    notes = [note for each in distinct for note in leak_notes(each)]
    notes += [note for splits_ in rounds for note in splits_.notes]
    notes += unscored_notes(table, rounds[0], held_out[0][0])
    notes += unknown_genre_notes(held_out[0][0], "the training part")
    if table.has_groups:
        notes += few_groups_notes(table.labels[rows], groups[rows], design.train_share)
    elif rounds[0].kind == "stratified":
        notes.append(NO_GROUPS)
    return Comparison(
        measured,
        differences,
        None if reference is None else variants[reference].name,
        splits,
        design.n_units if table.has_groups else None,
        list(dict.fromkeys(notes)),
    )


def _in_canonical_order(variants: Sequence[Variant]) -> list[Variant]:
    """Sort the tracks of all tables; variants of one table share the sorted one."""
    order = variants[0].table.canonical_order()
    tables = {id(variant.table): variant.table for variant in variants}
    tables = {key: table.take(order) for key, table in tables.items()}
    return [replace(variant, table=tables[id(variant.table)]) for variant in variants]


def _copies(tables: Sequence[FeatureTable]) -> Copies:
    """Return what are copies of one recording by the features of any table."""
    distinct = {id(table.values): table for table in tables}.values()
    found = [find_copies(table.values) for table in distinct]
    return reduce(Copies.merged, found).with_paths(tables[0].paths)


def _reseeded(config: Config, repeat: int) -> Config:
    """Return the configuration with the seed of a repeat; that of the first is its own."""
    # Splits try so many seeds in a row, and no two repeats should come upon the same one.
    seed = (config.seed + repeat * SHUFFLES_TRIED) % 2**32
    return msgspec.structs.replace(config, seed=seed)


def _predict(
    variant: Variant, groups: Texts, rounds: Sequence[Splits], work: Work
) -> list[HeldOut]:
    table = replace(variant.table, groups=groups)
    with _named(variant):
        config = settle(variant.config, table)
        return [
            predict_held_out(table, _reseeded(config, i), splits, work)
            for i, splits in enumerate(rounds)
        ]


@contextmanager
def _named(variant: Variant) -> Iterator[None]:
    """Say which variant it is that cannot be trained."""
    try:
        yield
    except GenreclfError as error:
        raise type(error)(f"{variant.name}: {error}") from None


def _facts(rounds: Sequence[Splits], labels: Texts, config: Config) -> dict[str, Any]:
    """Say how the tracks are split, with the sizes of the folds that can be scored."""
    known = [fold for splits in rounds for fold in splits.tested(labels)]
    return {
        "kind": rounds[0].kind,
        "n_folds": len(rounds[0].folds),
        "n_repeats": len(rounds),
        "seed": config.seed,
        "n_test": [len(test) for _, test in known],
        "n_train": [len(train) for train, _ in known],
    }


def _measure(
    variant: Variant, copies: Copies, rounds: Sequence[HeldOut], design: "Design"
) -> Measured:
    rows = np.concatenate([held_out.rows for held_out in rounds])
    correct = np.concatenate([held_out.correct for held_out in rounds])
    scored, which = np.unique(rows, return_inverse=True)
    right = np.bincount(which, weights=correct) / np.bincount(which)
    ends = np.cumsum(design.splits["n_test"])[:-1]
    n_recordings = copies.weights(scored).sum()
    tied = variant.table.has_groups or n_recordings < len(scored)
    return Measured(
        variant,
        right,
        np.concatenate([held_out.predicted for held_out in rounds]),
        np.array([part.mean() for part in np.split(correct, ends)]),
        share_interval(right, design.groups if tied else None, n_recordings, design.factor),
    )


@dataclass(frozen=True, eq=False)
class Design:
    """What the differences between variants are judged by.

    Attributes
    ----------
    splits : dict
        ``n_folds``, and of each fold of all repeats ``n_test`` and ``n_train``.
    groups : (n_tracks,) array of str
        Of the tracks that are tested; tracks of one group stand or fall together.
    factor : float
        What variances are multiplied by for what one classifier was learned from.
    seed : int
    """

    splits: Mapping[str, Any]
    groups: Texts
    factor: float
    seed: int

    @classmethod
    def of(cls, splits: Mapping[str, Any], labels: Texts, groups: Texts, seed: int) -> "Design":
        """Take the tracks that are tested, (n_tracks,), with their genres and groups."""
        share = _train_share(splits)
        factor = 1.0 if share is None else learning_factor(labels, groups, share)
        return cls(splits, groups, factor, seed)

    @property
    def train_share(self) -> float | None:
        """Tracks that a fold is trained on, as a share of all; None where one fold is all."""
        return _train_share(self.splits)

    @cached_property
    def units(self) -> Indices:
        """Number of each track's group, from 0; a track without a group is one of its own."""
        return np.unique(own_groups(self.groups), return_inverse=True)[1]

    @property
    def n_units(self) -> int:
        """How many groups there are."""
        return int(self.units.max()) + 1


def _train_share(splits: Mapping[str, Any]) -> float | None:
    n_test, n_train = sum(splits["n_test"]), sum(splits["n_train"])
    return None if splits["n_folds"] < 2 else n_train / (n_train + n_test)


def paired_difference(measured: Measured, reference: Measured, design: Design) -> Difference:
    """Test how much more a variant gets right than another; ``compare`` says by which test."""
    gained = measured.right - reference.right
    by_fold = measured.fold_accuracies - reference.fold_accuracies
    splits, share = design.splits, design.train_share or 1.0
    t_test = corrected_t_test(by_fold, splits["n_test"], splits["n_train"])
    # Two classifiers were learned, each of which another choice of artists would have changed.
    group_t = group_t_test(gained, design.units, design.factor * (2 - share))
    mean = float(gained.mean())
    enough = splits["n_folds"] >= FEWEST_FOLDS and len(by_fold) >= FEWEST_IN_ALL
    test, interval = "permutation", (mean, mean) if design.n_units > 1 else (-1.0, 1.0)
    if group_t is not None:
        test, interval = "group_t" if splits["n_folds"] > 1 else test, group_t.interval
        if enough and t_test is not None and t_test.p_value > group_t.p_value:
            test, interval = "t", t_test.interval
    return Difference(
        variant=measured.variant.name,
        reference=reference.variant.name,
        difference=mean,
        interval=(max(-1.0, interval[0]), min(1.0, interval[1])),
        same_answers=bool((measured.answers == reference.answers).all()),
        t_test=t_test,
        group_t_test=group_t,
        permutation=sign_flip_test(np.bincount(design.units, weights=gained), design.seed),
        test=test,
    )
