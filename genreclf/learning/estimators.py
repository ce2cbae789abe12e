"""Estimators that scikit-learn does not have."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.learning.augmentation.resampled import Resampled, resampled
from genreclf.learning.calibration import TemperatureScaled


class BalancedLda(LinearDiscriminantAnalysis):
    """Linear discriminant analysis with the same prior for all classes.

    scikit-learn's takes a list of priors, which does not fit a fold that lacks a class.
    """

    def fit(self, X: ArrayLike, y: ArrayLike) -> "BalancedLda":
        """Fit, then take the logarithms of the priors out of the intercepts."""
        with warnings.catch_warnings():
            # A class of one sample has no covariance of its own.
            warnings.filterwarnings("ignore", "Only one sample available", UserWarning)
            super().fit(X, y)
        log_priors = np.log(self.priors_)
        self.intercept_ -= log_priors if len(log_priors) > 2 else np.diff(log_priors)
        return self


class SoftVote(ClassifierMixin, BaseEstimator):
    """Mean probabilities of three different classifiers, for standardised columns.

    A support vector machine, discriminant analysis and, with double weight, extremely randomised
    trees (Geurts, Ernst & Wehenkel 2006). The first two are calibrated, so that an overconfident
    one does not outvote the others.

    Parameters
    ----------
    C : float
        Penalty of the support vector machine, whose gamma is half of scikit-learn's "scale".
    kernel_approximation : int or str
        Number of landmarks that approximate its kernel; a word for an exact machine.
    n_estimators, max_features, min_samples_leaf
        Of the trees.
    random_state : int
    n_together : int
        As for ``TemperatureScaled``, by which the first two are calibrated.
    resampling : Resampled, optional
        Makes vectors for each of the three.

    Attributes
    ----------
    classes_ : (n_classes,) array
    vote_ : VotingClassifier
    """

    def __init__(
        self,
        C: float = 3.0,
        kernel_approximation: int | str = "off",
        n_estimators: int = 300,
        max_features: float = 0.2,
        min_samples_leaf: int = 1,
        random_state: int = 0,
        n_together: int = 1,
        resampling: Resampled | None = None,
    ) -> None:
        self.C = C
        self.kernel_approximation = kernel_approximation
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state
        self.n_together = n_together
        self.resampling = resampling

    def fit(self, X: ArrayLike, y: ArrayLike) -> "SoftVote":
        """Fit all three."""
        from sklearn.ensemble import VotingClassifier

        values, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        self.vote_ = VotingClassifier(
            self._members(values.shape[1]), voting="soft", weights=[1, 1, 2]
        )
        self.vote_.fit(values, labels)
        self.classes_ = self.vote_.classes_
        return self

    def _members(self, n_columns: int) -> list[tuple[str, Any]]:
        from sklearn.ensemble import ExtraTreesClassifier

        from genreclf.learning.nystroem import kernel_machine

        machine = kernel_machine(
            self.C, 0.5 / n_columns, self.kernel_approximation, self.random_state
        )
        lda = BalancedLda(solver="lsqr", shrinkage="auto")
        trees = ExtraTreesClassifier(
            self.n_estimators,
            max_features=self.max_features,
            min_samples_leaf=self.min_samples_leaf,
            class_weight="balanced",
            random_state=self.random_state,
        )
        machine, lda, trees = (
            resampled(member, self.resampling) for member in (machine, lda, trees)
        )
        return [
            ("svm", self._calibrated(machine)),
            ("lda", self._calibrated(lda)),
            ("trees", trees),
        ]

    def _calibrated(self, member: Any) -> TemperatureScaled:
        return TemperatureScaled(member, random_state=self.random_state, n_together=self.n_together)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each sample."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return self.classes_[most_probable]

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the weighted mean of the probabilities, (n_samples, n_classes)."""
        check_is_fitted(self)
        return self.vote_.predict_proba(validate_data(self, X, reset=False))
