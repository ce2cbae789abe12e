"""Random forest."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from genreclf.config.sections import Count
from genreclf.learning.classifiers.base import Classifier, Cost

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from genreclf.learning.pipelines import Task


class RandomForest(Classifier, frozen=True, tag="random-forest"):
    """Random forest."""

    n_estimators: Annotated[int, Meta(ge=1, le=10_000)] = 300
    max_depth: Count | None = None
    min_samples_leaf: Count = 1
    cost: ClassVar[Cost] = Cost(52, 1.1, 0.03)

    def pipeline(self, task: "Task") -> "Pipeline":
        """Classify columns; a tree splits one at a time, and rotated ones say less."""
        from sklearn.ensemble import RandomForestClassifier

        from genreclf.learning.pipelines import standard_pipeline

        forest = RandomForestClassifier(
            n_estimators=self.n_estimators,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            class_weight="balanced",
            random_state=task.config.seed,
        )
        return standard_pipeline(forest, task)

    def search_space(self, n_tracks: int, n_columns: int) -> Mapping[str, list[Any]]:
        """Vary the size of leaves."""
        return {"min_samples_leaf": [1, 2, 4, 8]}
