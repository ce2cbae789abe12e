"""Random forest."""

from typing import Annotated, ClassVar

from msgspec import Meta

from genreclf.config.sections import Count
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class RandomForest(Classifier, frozen=True, tag="random-forest"):
    """Random forest."""

    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_depth: Count | None = None
    min_samples_leaf: Count = 1
    cost: ClassVar[Cost] = Cost(52, 1.1, 0.03)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify the columns themselves: trees split single columns, and PCA would mix them."""
        from sklearn.ensemble import RandomForestClassifier

        from genreclf.learning.pipelines import standard_pipeline

        forest = RandomForestClassifier(
            **self.hyperparameters, class_weight="balanced", random_state=task.config.seed
        )
        return standard_pipeline(forest, task)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the size of leaves."""
        return {"min_samples_leaf": [1, 2, 4, 8]}
