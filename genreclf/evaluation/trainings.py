"""The trainings of an evaluation and a model: their estimated time, and their processes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from genreclf.config.load import override
from genreclf.config.schema import Config
from genreclf.evaluation.crossvalidation import count_folds, count_trainings, cross_validate
from genreclf.evaluation.importance import ImportanceMeter
from genreclf.evaluation.result import Evaluation
from genreclf.learning.duplicates import Copies, copies_in
from genreclf.learning.resolution import resolve
from genreclf.learning.training import training_seconds
from genreclf.tables.table import FeatureTable

if TYPE_CHECKING:
    from genreclf.parallel.workers import Workers

LINEAR = ("lda", "logistic")  # classifiers whose training time is proportional to the tracks
WORTH_WORKERS_SECONDS = 10  # each worker process takes some two seconds to start


@dataclass(frozen=True)
class Trainings:
    """The trainings of a cross-validation, and of a final model.

    Attributes
    ----------
    table : FeatureTable
    config : Config
    search : bool
        Whether each of them tunes hyperparameters.
    evaluated : bool
        Whether there is a cross-validation.
    final : bool
        Whether a model is then trained on all tracks.
    ungrouped : bool
        As for ``cross_validate``.
    """

    table: FeatureTable
    config: Config
    search: bool = False
    evaluated: bool = True
    final: bool = False
    ungrouped: bool = True

    @cached_property
    def copies(self) -> Copies:
        """Copies among the tracks, for the cross-validation and the final model."""
        return copies_in(self.table)

    @property
    def n_folds(self) -> int:
        """Trainings of the cross-validation."""
        count = count_trainings if self.ungrouped else count_folds
        return count(self.table, self.config) if self.evaluated else 0

    @property
    def number(self) -> int:
        """All trainings."""
        return self.n_folds + self.final

    def fold_seconds(self, config: Config | None = None) -> float:
        """Estimate how long the cross-validation takes on one core."""
        return self.n_folds * training_seconds(
            self.table, config or self.config, search=self.search, calibrated=False
        )

    def seconds(self, jobs: int, config: Config | None = None) -> float:
        """Estimate how long all trainings take, with that many folds at a time."""
        folds = self.fold_seconds(config) / max(1, min(jobs, self.n_folds))
        if not self.final:
            return folds
        config = config or self.config
        each = resolve(config, self.table).learn_from == "excerpts"
        calibrated = self.search or not self.evaluated or each  # else the folds' scores serve it
        return folds + training_seconds(
            self.table, config, search=self.search, calibrated=calibrated
        )

    def linear_seconds(self, jobs: int) -> float:
        """Estimate how long they would take with a classifier of ``LINEAR``."""
        others = (override(self.config, [f"classifier.name={name}"]) for name in LINEAR)
        return max(self.seconds(jobs, other) for other in others)

    def cross_validate(
        self,
        jobs: int = 1,
        on_fold: Callable[[], object] = lambda: None,
        on_model: ImportanceMeter | None = None,
    ) -> Evaluation:
        """Cross-validate, with that many folds at a time; see ``cross_validate``."""
        with fold_workers(jobs, self.fold_seconds()) as workers:
            return cross_validate(
                self.table, self.config, search=self.search, workers=workers, on_fold=on_fold,
                on_model=on_model, copies=self.copies, ungrouped=self.ungrouped,
            )  # fmt: skip


@contextmanager
def fold_workers(jobs: int, seconds: float) -> "Iterator[Workers | None]":
    """Start worker processes for a cross-validation, unless it ends before they would be ready.

    Parameters
    ----------
    jobs : int
    seconds : float
        Estimated time of the cross-validation on one core.
    """
    if jobs == 1 or seconds < WORTH_WORKERS_SECONDS:
        yield None
        return
    from genreclf.parallel.workers import Workers

    with Workers(jobs) as workers:
        yield workers
