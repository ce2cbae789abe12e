"""Support vector machine."""

from typing import Literal

from genreclf.config.sections import Positive
from genreclf.learning.classifiers.base import Pipeline, SearchSpace, Task
from genreclf.learning.classifiers.kernel import KernelClassifier


class Svm(KernelClassifier, frozen=True, tag="svm"):
    """Support vector machine with a radial basis function kernel."""

    gamma: Positive | Literal["scale", "auto"] = "scale"

    def seconds(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of one fit, in seconds on one core."""
        return self.machine_seconds(n_tracks, n_columns, n_genres)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify principal components."""
        from genreclf.learning.nystroem import kernel_machine
        from genreclf.learning.pipelines import standard_pipeline

        approximation = self.resolved(task.n_rows).kernel_approximation
        machine = kernel_machine(self.C, self.gamma, approximation, task.config.seed)
        return standard_pipeline(machine, task, pca=0.99)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the penalty and the width of the kernel."""
        # After standardising, 1 / n_columns is what "scale" means.
        gammas = [factor / n_columns for factor in (0.25, 0.5, 1, 2)]
        return {"C": [1.0, 3.0, 10.0, 30.0], "gamma": gammas}
