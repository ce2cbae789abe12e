"""Multi-layer perceptron."""

from typing import Annotated, ClassVar

from msgspec import Meta

from genreclf.config.sections import Count, NotNegative
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class Mlp(Classifier, frozen=True, tag="mlp"):
    """Multi-layer perceptron with one or more hidden layers."""

    hidden_layer_sizes: Annotated[tuple[Count, ...], Meta(max_length=16)] = (128,)
    alpha: NotNegative = 1.0
    max_iter: Count = 500
    cost: ClassVar[Cost] = Cost(5, 0.6, 0.02)  # the more tracks, the fewer passes over them

    def pipeline(self, task: Task) -> Pipeline:
        """Classify principal components."""
        from sklearn.neural_network import MLPClassifier

        from genreclf.learning.pipelines import standard_pipeline

        perceptron = MLPClassifier(**self.hyperparameters, random_state=task.config.seed)
        return standard_pipeline(perceptron, task, pca=0.99)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the penalty."""
        return {"alpha": [0.01, 0.1, 1.0, 10.0]}
