"""Logistic regression."""

from typing import ClassVar

from genreclf.config.sections import Positive
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class Logistic(Classifier, frozen=True, tag="logistic"):
    """Multinomial logistic regression."""

    C: Positive = 0.3
    cost: ClassVar[Cost] = Cost(0.6, 1, 0.013)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify standardised columns."""
        from sklearn.linear_model import LogisticRegression

        from genreclf.learning.pipelines import standard_pipeline

        regression = LogisticRegression(
            **self.hyperparameters, class_weight="balanced", max_iter=2000
        )
        return standard_pipeline(regression, task)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the penalty."""
        return {"C": [0.003, 0.01, 0.03, 0.1, 0.3, 1.0]}
