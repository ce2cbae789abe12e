"""Linear discriminant analysis."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from genreclf.learning.classifiers.base import Classifier, Cost, Pipeline, SearchSpace, Task


class Lda(Classifier, frozen=True, tag="lda"):
    """Linear discriminant analysis with Ledoit–Wolf shrinkage."""

    shrinkage: Annotated[float, Meta(ge=0, le=1)] | Literal["auto"] = "auto"
    cost: ClassVar[Cost] = Cost(0.6, 1, 0.02)

    def pipeline(self, task: Task) -> Pipeline:
        """Classify standardised columns.

        With PCA, the accuracy is two to eight points lower (benchmarks/accuracy.md).
        """
        from genreclf.learning.estimators import BalancedLda
        from genreclf.learning.pipelines import standard_pipeline

        return standard_pipeline(BalancedLda(**self.hyperparameters, solver="lsqr"), task)

    def search_space(self, n_tracks: int, n_columns: int) -> SearchSpace:
        """Vary the shrinkage."""
        return {"shrinkage": ["auto", 0.03, 0.1, 0.3, 0.6]}
