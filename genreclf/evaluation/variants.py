"""The variants of a comparison, their accuracies, and the significance of their differences."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config, ExtractionConfig
from genreclf.evaluation.intervals import group_numbers, learning_factor
from genreclf.evaluation.significance import (
    SignFlipTest,
    TTest,
    corrected_t_test,
    group_t_test,
    sign_flip_test,
)
from genreclf.tables.table import FeatureTable, Texts

Doubles = NDArray[np.float64]

LEVEL = 0.05
# With fewer folds the t-test cannot estimate their spread, or corrects for too much.
FEWEST_FOLDS, FEWEST_IN_ALL = 5, 10


@dataclass(frozen=True, eq=False)
class Variant:
    """What is compared: a name, a table of features, and the configuration to learn with."""

    name: str
    table: FeatureTable
    config: Config

    def settings(self) -> dict[str, Any]:
        """Return the configuration as plain values; for a foreign table only that of learning."""
        if self.table.config is not None:
            return self.config.with_extraction(self.table.config).to_dict()
        extraction = ExtractionConfig.__struct_fields__
        tree = self.config.to_dict()
        return {key: value for key, value in tree.items() if key not in extraction}


@dataclass(frozen=True, eq=False)
class Score:
    """The predictions of a variant, on the same tracks and folds as those of the others."""

    variant: Variant
    correct: Doubles  # (n_tracks,): share of correct predictions over the repeats
    predicted: Texts  # genres, fold by fold
    fold_accuracies: Doubles  # (n_folds,), of all repeats
    interval: tuple[float, float]  # 95 %, of the accuracy

    @property
    def accuracy(self) -> float:
        """Share of correct predictions."""
        return float(self.correct.mean())

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
    """The difference in accuracy between a variant and a reference, and its significance."""

    variant: str
    reference: str
    difference: float  # accuracy of the variant minus that of the reference
    interval: tuple[float, float]  # 95 %, from the test that decides
    same_predictions: bool  # the same genre for every track
    t_test: TTest | None  # over folds, if it is defined
    group_t_test: TTest | None  # over groups, or over tracks without groups
    permutation: SignFlipTest
    test: str  # the one that decides: "t", "group_t" or "permutation"
    p_holm: float = 1.0  # its p-value, corrected for the number of comparisons

    @property
    def p_value(self) -> float:
        """The p-value of the test that decides."""
        by_test = {"t": self.t_test, "group_t": self.group_t_test}
        return (by_test.get(self.test) or self.permutation).p_value

    @property
    def verdict(self) -> str:
        """One of ``better``, ``worse``, ``noise`` and ``same``."""
        if self.same_predictions:
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
            "t_test": self.t_test and self.t_test.to_dict(),
            "group_t_test": self.group_t_test and self.group_t_test.to_dict(),
            "permutation": asdict(self.permutation),
        }


@dataclass(frozen=True, eq=False)
class Design:
    """What the tests need to know of the folds and of the tested tracks."""

    splits: dict[str, Any]  # n_folds, seed; n_test and n_train of each fold of all repeats
    labels: Texts
    groups: Texts  # tracks of one group depend on each other

    @property
    def train_share(self) -> float | None:
        """Training tracks of a fold as a share of all; None with a single fold."""
        n_test, n_train = sum(self.splits["n_test"]), sum(self.splits["n_train"])
        return None if self.splits["n_folds"] < 2 else n_train / (n_train + n_test)

    @cached_property
    def factor(self) -> float:
        """Factor of variances, for the few groups that a classifier was learned from."""
        return learning_factor(self.labels, self.groups, self.train_share)

    @cached_property
    def units(self) -> NDArray[np.intp]:
        """Number of each track's group, from 0; a track without a group is one of its own."""
        return group_numbers(self.groups)

    @property
    def n_units(self) -> int:
        """Number of groups."""
        return int(self.units.max()) + 1


def paired_difference(score: Score, reference: Score, design: Design) -> Difference:
    """Test the difference between two variants; ``compare`` says by which test."""
    gained = score.correct - reference.correct
    by_fold = score.fold_accuracies - reference.fold_accuracies
    splits, share = design.splits, design.train_share or 1.0
    t_test = corrected_t_test(by_fold, splits["n_test"], splits["n_train"])
    # Two classifiers were learned, and other artists would have changed both.
    group_t = group_t_test(gained, design.units, design.factor * (2 - share))
    mean = float(gained.mean())
    enough = splits["n_folds"] >= FEWEST_FOLDS and len(by_fold) >= FEWEST_IN_ALL
    test, interval = "permutation", (mean, mean) if design.n_units > 1 else (-1.0, 1.0)
    if group_t is not None:
        test, interval = "group_t" if splits["n_folds"] > 1 else test, group_t.interval
        if enough and t_test is not None and t_test.p_value > group_t.p_value:
            test, interval = "t", t_test.interval
    return Difference(
        variant=score.variant.name,
        reference=reference.variant.name,
        difference=mean,
        interval=(max(-1.0, interval[0]), min(1.0, interval[1])),
        same_predictions=bool((score.predicted == reference.predicted).all()),
        t_test=t_test,
        group_t_test=group_t,
        permutation=sign_flip_test(np.bincount(design.units, weights=gained), splits["seed"]),
        test=test,
    )
