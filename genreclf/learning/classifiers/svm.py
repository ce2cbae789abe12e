"""Support vector machine."""

from typing import ClassVar, Literal

from genreclf.config.sections import Positive
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class Svm(Classifier, frozen=True, tag="svm"):
    """Support vector machine with a radial basis function kernel."""

    C: Positive = 3.0
    gamma: Positive | Literal["scale", "auto"] = "scale"
    cost: ClassVar[Cost] = Cost(6.6, 1.8, 0.02)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify principal components."""
        from sklearn.svm import SVC

        from genreclf.learning.pipelines import standard_pipeline

        machine = SVC(
            **self.hyperparameters, class_weight="balanced", decision_function_shape="ovo"
        )
        return standard_pipeline(machine, task, pca=0.99)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the penalty and the width of the kernel."""
        # After standardising, 1 / n_columns is what "scale" means.
        gammas = [factor / n_columns for factor in (0.25, 0.5, 1, 2)]
        return {"C": [1.0, 3.0, 10.0, 30.0], "gamma": gammas}
