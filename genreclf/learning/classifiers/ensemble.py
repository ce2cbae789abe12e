"""Ensemble of three kinds of classifiers."""

from typing import Annotated, ClassVar

from msgspec import Meta

from genreclf.config.sections import Count, Positive
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class Ensemble(Classifier, frozen=True, tag="ensemble"):
    """Vote of a support vector machine, discriminant analysis and extremely randomised trees."""

    C: Positive = 3.0
    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_features: Annotated[float, Meta(gt=0, le=1)] = 0.2
    min_samples_leaf: Count = 1
    cost: ClassVar[Cost] = Cost(72, 1.1, 0.02)
    resamplings: ClassVar[int] = 13  # two members that are calibrated in five folds, and the trees

    def pipeline(self, task: Task) -> Pipeline:
        """Classify standardised columns."""
        from genreclf.learning.augmentation.resampled import resampling
        from genreclf.learning.estimators import SoftVote
        from genreclf.learning.pipelines import standard_pipeline

        vote = SoftVote(
            **self.hyperparameters,
            random_state=task.config.seed,
            n_together=task.rows_per_track,
            resampling=resampling(task.config),
        )
        return standard_pipeline(vote, task)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the trees."""
        return {"min_samples_leaf": [1, 2, 4], "max_features": [0.1, 0.2, 0.4]}
