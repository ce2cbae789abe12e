"""Calibration of probabilities by one temperature; a saved model needs it to predict."""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.errors import TableError
from genreclf.learning.augmentation.resampled import Resampled
from genreclf.learning.margins import weakest_margins

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
Texts = NDArray[np.object_]

# Added to probabilities, because a class without votes from neighbours or trees is not impossible.
SMOOTHING = 0.02

# This many out-of-fold scores give the temperature to about five per cent, which changes a
# confidence by at most one point. On a large table, few folds give enough scores, which saves time:
# each fold takes nearly as long as the training itself.
ENOUGH_SCORES = 2000


class TemperatureScaled(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classifier with probabilities that are calibrated by one temperature.

    Guo et al. 2017: probabilities are softmax(scores / T), with the T that makes out-of-fold
    scores most likely. One parameter can be learned from few tracks, and division by it never
    changes the most probable class, so accuracy stays the same.

    If all n out-of-fold predictions are correct, the most likely T is 0, with a probability of 1
    for each. So the classes are smoothed as in Platt 1999: one more prediction, of n + 2, counts as
    wrong. The mean confidence of n correct predictions is then at most (n + 1) / (n + 2). With
    groups, n is their number.

    ``CalibratedClassifierCV(method="temperature", ensemble=False)`` gives the same log loss on
    large tables, but it does not smooth, and it refuses folds that lack a class.

    Parameters
    ----------
    estimator : classifier
        Scores are its decision function or the logarithm of its probabilities.
    n_folds : int
        Folds of the cross-validation; only as many are run as score ``ENOUGH_SCORES`` samples. 0
        learns no temperature.
    random_state : int
        Shuffles the folds.
    n_together : int
        So many samples, one after the other, belong together, such as the excerpts of a track. They
        are of one class, stay in one fold, and count as one sample with their mean scores.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to all samples.
    classes_ : (n_classes,) array
    temperature_ : float
        1 if there are too few samples to learn it.
    mean_temperature_ : float
        That of the mean scores of samples that belong together.
    """

    def __init__(
        self,
        estimator: Any = None,
        n_folds: int = 5,
        random_state: int = 0,
        n_together: int = 1,
    ) -> None:
        self.estimator = estimator
        self.n_folds = n_folds
        self.random_state = random_state
        self.n_together = n_together

    def fit(self, X: ArrayLike, y: ArrayLike, groups: Texts | None = None) -> "TemperatureScaled":
        """Fit the estimator, and the temperature by cross-validation.

        Parameters
        ----------
        X : (n_samples, n_features) array
        y : (n_samples,) array
        groups : (n_samples / n_together,) array of str, optional
            Samples of one group stay in one fold.
        """
        values, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        base = self.estimator if self.estimator is not None else GaussianNB()
        self.estimator_ = clone(base).fit(values, labels)
        self.temperature_ = self.mean_temperature_ = 1.0
        if not self.n_folds:
            return self
        from genreclf.learning.splits import own_groups  # only fitting needs it

        together = values.reshape(-1, self.n_together, values.shape[1]), codes[:: self.n_together]
        scores, chosen = self._out_of_fold(base, *together, groups)
        if not len(chosen) and groups is not None:  # every class has one group only
            groups = None
            scores, chosen = self._out_of_fold(base, *together, None)
        n_units = len(chosen) if groups is None else len(set(own_groups(groups)[chosen]))
        if len(chosen):
            classes = together[1][chosen]
            self.mean_temperature_ = best_temperature(scores.mean(axis=1), classes, n_units)
            single, classes = np.concatenate(scores), np.repeat(classes, self.n_together)
            self.temperature_ = best_temperature(single, classes, n_units)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each sample."""
        most_probable = self.predict_proba(X).argmax(axis=1)
        return cast(NDArray[Any], self.classes_[most_probable])

    def predict_proba(self, X: ArrayLike) -> Doubles:
        """Return calibrated probabilities, (n_samples, n_classes)."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike) -> Doubles:
        """Return the logarithms of the probabilities, (n_samples, n_classes).

        They do not underflow, so they are scores for another temperature too: division by T and
        normalisation multiply the temperature by T.
        """
        check_is_fitted(self)
        values = validate_data(self, X, reset=False)
        return log_softmax(class_scores(self.estimator_, values) / self.temperature_, axis=1)

    def _out_of_fold(
        self, base: Any, values: Doubles, codes: Indices, groups: Texts | None
    ) -> tuple[Doubles, Indices]:
        """Return scores of held-out samples whose class was trained on, and their numbers.

        The score of a class that was not trained on is minus infinity: its probability is zero.

        Parameters
        ----------
        values : (n, n_together, n_features) array
        codes : (n,) array
        groups : (n,) array, optional

        Returns
        -------
        scores : (n_held_out, n_together, n_classes) array
        chosen : (n_held_out,) array
        """
        from genreclf.learning.splits import cross_validation, known_genres_only

        shape = values.shape[1], len(self.classes_)
        scores, chosen = [np.empty((0, *shape))], [np.empty(0, dtype=np.intp)]
        try:
            folds = cross_validation(codes, groups, self.n_folds, self.random_state).folds
        except TableError:  # one class, or as many classes as samples
            folds = []
        for train, test in known_genres_only(folds, codes):
            part = np.full((len(test), *shape), -np.inf)
            try:
                fitted = clone(base).fit(
                    np.concatenate(values[train]), np.repeat(codes[train], self.n_together)
                )
                held_out = class_scores(fitted, np.concatenate(values[test]))
            except ValueError:  # too few for this estimator
                continue
            part[:, :, fitted.classes_] = held_out.reshape(len(test), self.n_together, -1)
            scores.append(part)
            chosen.append(test)
            if sum(map(len, chosen)) >= ENOUGH_SCORES:
                break
        return np.concatenate(scores), np.concatenate(chosen)


def class_scores(estimator: Any, values: Doubles) -> Doubles:
    """Return a score for each class; their softmax is a first estimate of the probabilities."""
    if isinstance(estimator, Resampled):
        return class_scores(estimator.estimator_, values)
    if getattr(estimator, "decision_function_shape", None) == "ovo":
        return weakest_margins(estimator, values)
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(values), dtype=np.float64)
        return scores if scores.ndim == 2 else np.column_stack((-scores / 2, scores / 2))
    return np.log(np.asarray(estimator.predict_proba(values), dtype=np.float64) + SMOOTHING)


def count_calibration_folds(n_samples: int, n_folds: int) -> int:
    """Return the number of folds that ``TemperatureScaled`` runs."""
    return min(n_folds, math.ceil(n_folds * ENOUGH_SCORES / max(1, n_samples)))


def best_temperature(scores: Doubles, codes: Indices, n_units: int) -> float:
    """Return the temperature that makes the classes most likely, smoothed by one wrong prediction.

    Parameters
    ----------
    scores : (n, n_classes) array
        Minus infinity for a class that was not trained on.
    codes : (n,) array of int
        The columns of the true classes.
    n_units : int
        How many of the n predictions are independent.
    """
    # Score of the true class less that of each class, infinite for one that was not trained on.
    behind = scores[np.arange(len(codes)), codes][:, None] - scores
    rival = np.isfinite(behind)
    rival[np.arange(len(codes)), codes] = False
    gaps = np.where(rival, behind, 0.0)
    # Every rival has the same share of the probability that a smoothed label is wrong.
    lost = gaps.sum(axis=1) / np.maximum(rival.sum(axis=1), 1) / (n_units + 2)

    # A softmax that is written out takes a quarter of scipy's time, which many small folds notice.
    most = -behind.min(axis=1)
    below = -behind - most[:, None]

    def log_loss(log_temperature: float) -> float:
        sharpness = np.exp(-log_temperature)
        rest = np.log(np.exp(below * sharpness).sum(axis=1))
        return float(np.mean(rest + (most + lost) * sharpness))

    widest = 10 * float(np.abs(gaps).max(initial=0.0))
    bounds = (np.log(0.01), np.log(max(100.0, widest)))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
