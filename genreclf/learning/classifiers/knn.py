"""K nearest neighbours."""

from typing import ClassVar, Literal

from genreclf.config.sections import Count
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class Knn(Classifier, frozen=True, tag="knn"):
    """K nearest neighbours."""

    n_neighbors: Count = 9
    weights: Literal["uniform", "distance"] = "distance"
    cost: ClassVar[Cost] = Cost(0.6, 1.5, 0)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify principal components."""
        from sklearn.neighbors import KNeighborsClassifier

        from genreclf.learning.pipelines import standard_pipeline

        # Every fold trains on half of the tracks or more.
        n_neighbors = min(self.n_neighbors, max(1, task.n_tracks // 2))
        nearest = KNeighborsClassifier(n_neighbors, weights=self.weights, algorithm="brute")
        return standard_pipeline(nearest, task, pca=0.99)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the number of neighbours."""
        return {"n_neighbors": [k for k in (1, 3, 5, 9, 15, 25) if k <= n_tracks]}
