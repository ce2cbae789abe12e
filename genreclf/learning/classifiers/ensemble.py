"""Ensemble of three kinds of classifiers."""

from typing import Annotated, ClassVar

from msgspec import Meta

from genreclf.config.sections import Count
from genreclf.learning.classifiers.base import Cost, Pipeline, SearchSpace, Task
from genreclf.learning.classifiers.kernel import KernelClassifier


class Ensemble(KernelClassifier, frozen=True, tag="ensemble"):
    """Vote of a support vector machine, discriminant analysis and extremely randomised trees."""

    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_features: Annotated[float, Meta(gt=0, le=1)] = 0.2
    min_samples_leaf: Count = 1
    kernel_of: ClassVar[str] = "the kernel of its SVM"
    cost: ClassVar[Cost] = Cost(59, 1.05, 0.02)  # without the SVM
    resamplings: ClassVar[int] = 13  # two members that are calibrated in five folds, and the trees

    def seconds(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of one fit: that of the calibrated SVM, and of the others."""
        from genreclf.learning.calibration import count_calibration_folds
        from genreclf.learning.pipelines import INNER_FOLDS

        sizes = n_tracks, n_columns, n_genres
        fits = 1 + count_calibration_folds(n_tracks, INNER_FOLDS) * (1 - 1 / INNER_FOLDS)
        return self.cost.estimate(*sizes) + fits * self.machine_seconds(*sizes)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify standardised columns."""
        from genreclf.learning.augmentation.resampled import resampling
        from genreclf.learning.estimators import SoftVote
        from genreclf.learning.pipelines import standard_pipeline

        vote = SoftVote(
            **self.resolved(task.n_rows).hyperparameters,
            random_state=task.config.seed,
            n_together=task.rows_per_track,
            resampling=resampling(task.config),
        )
        return standard_pipeline(vote, task)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the trees."""
        return {"min_samples_leaf": [1, 2, 4], "max_features": [0.1, 0.2, 0.4]}
