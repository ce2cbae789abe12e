"""Gradient boosting."""

from typing import Annotated, ClassVar

from msgspec import Meta

from genreclf.config.sections import NotNegative, Positive
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class GradientBoosting(Classifier, frozen=True, tag="gradient-boosting"):
    """Histogram-based gradient boosting."""

    learning_rate: Positive = 0.1
    max_iter: Annotated[int, Meta(ge=1, le=10_000)] = 100
    max_leaf_nodes: Annotated[int, Meta(ge=2, le=1_000_000)] = 15
    l2_regularization: NotNegative = 1.0
    cost: ClassVar[Cost] = Cost(42, 0.5, 0.1)  # a tree for each genre

    def pipeline(self, task: Task) -> Pipeline:
        """Classify the columns themselves: trees split single columns, and PCA would mix them."""
        from sklearn.ensemble import HistGradientBoostingClassifier

        from genreclf.learning.pipelines import standard_pipeline

        boosting = HistGradientBoostingClassifier(
            **self.hyperparameters, class_weight="balanced", random_state=task.config.seed
        )
        return standard_pipeline(boosting, task)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the learning rate and the size of trees."""
        return {"learning_rate": [0.03, 0.1], "max_leaf_nodes": [4, 8, 16]}
