"""Support vector machine."""

from typing import Annotated, Any, ClassVar, Literal, Self

import msgspec
from msgspec import Meta

from genreclf.config.sections import Positive
from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task

# An exact machine takes half a minute for this many tracks, and time with the square of them.
EXACT_UP_TO = 20_000
N_COMPONENTS = 2000


class Svm(Classifier, frozen=True, tag="svm"):
    """Support vector machine with a radial basis function kernel."""

    C: Positive = 3.0
    gamma: Positive | Literal["scale", "auto"] = "scale"
    kernel_approximation: Annotated[int, Meta(ge=10, le=20_000)] | Literal["auto", "off"] = "auto"
    cost: ClassVar[Cost] = Cost(6.6, 1.8, 0.02)
    approximated_cost: ClassVar[Cost] = Cost(2.5, 1, 0.01)

    @property
    def description(self) -> str:
        """The name, and whether the kernel is approximated."""
        if isinstance(self.kernel_approximation, str):
            return self.name
        return f"{self.name}, its kernel approximated by {self.kernel_approximation:,} components"

    def resolved(self, n_tracks: int) -> Self:
        """Approximate the kernel of a large table."""
        if self.kernel_approximation != "auto" or n_tracks <= EXACT_UP_TO:
            return self
        return msgspec.structs.replace(self, kernel_approximation=N_COMPONENTS)

    def seconds(self, n_tracks: int, n_columns: int, n_genres: int) -> float:
        """Estimate the time of one fit, which an approximation shortens."""
        components = self.resolved(n_tracks).kernel_approximation
        if isinstance(components, str):
            return self.cost.estimate(n_tracks, n_columns, n_genres)
        # Most of the time is spent on the components, whose number does not depend on the columns.
        seconds = self.approximated_cost.estimate(n_tracks, 300, n_genres)
        return seconds * components / N_COMPONENTS

    def pipeline(self, task: Task) -> Pipeline:
        """Classify principal components."""
        from genreclf.learning.pipelines import standard_pipeline

        components = self.resolved(task.n_rows).kernel_approximation
        machine: Any
        if isinstance(components, str):
            from sklearn.svm import SVC

            machine = SVC(
                C=self.C, gamma=self.gamma, class_weight="balanced", decision_function_shape="ovo"
            )
        else:
            from genreclf.learning.nystroem import NystroemClassifier

            machine = NystroemClassifier(self.C, self.gamma, components, task.config.seed)
        return standard_pipeline(machine, task, pca=0.99)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the penalty and the width of the kernel."""
        # After standardising, 1 / n_columns is what "scale" means.
        gammas = [factor / n_columns for factor in (0.25, 0.5, 1, 2)]
        return {"C": [1.0, 3.0, 10.0, 30.0], "gamma": gammas}
