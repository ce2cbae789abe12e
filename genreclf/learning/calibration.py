"""Probabilities that can be believed: calibration by one temperature.

Apart from the classifiers, because a saved model needs no more than this to predict.
"""

import math
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import gen_batches
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.errors import TableError

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
Texts = NDArray[np.object_]

# Neighbours and trees that never voted for a class do not make it impossible.
SMOOTHING = 0.02

# One number is learned from the out-of-fold scores. So many tell it to some five per cent, which
# moves a confidence by a point at most, and spare a large table most of the folds, each of which
# takes nearly as long as the training itself.
ENOUGH_SCORES = 2000

# One-against-one margins in memory at a time, 8 bytes each: 500 classes have 124,750 a sample.
MOST_MARGINS = 4_000_000


class TemperatureScaled(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classifier whose probabilities are calibrated by one temperature.

    Guo et al. 2017: probabilities are softmax(scores / T), with the T that makes out-of-fold
    scores most likely. One parameter, so that it works with few tracks; and dividing by it never
    changes which class comes first, so that calibration costs no accuracy.

    Where all n out-of-fold answers are right, the most likely T is 0 and every answer certain. So
    the classes are smoothed as in Platt 1999: one answer more, of n + 2, counts as wrong, and the
    mean confidence of n right answers is at most (n + 1) / (n + 2), Laplace's rule of succession.
    Of samples in groups, n is the number of groups.

    Parameters
    ----------
    estimator : classifier
        Scores are its decision function or the logarithm of its probabilities.
    n_folds : int
        Of the cross-validation that the temperature is learned from; of these, as many as it
        takes to score ``ENOUGH_SCORES`` samples. 0 learns none: the temperature is 1.
    random_state : int
        Shuffles the folds.

    Attributes
    ----------
    estimator_ : classifier
        Fitted to everything.
    classes_ : (n_classes,) array
    temperature_ : float
        1 where there are too few samples to learn it.
    """

    def __init__(self, estimator: Any = None, n_folds: int = 5, random_state: int = 0) -> None:
        self.estimator = estimator
        self.n_folds = n_folds
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike, groups: Texts | None = None) -> "TemperatureScaled":
        """Fit the estimator, and the temperature by cross-validation.

        Parameters
        ----------
        X : (n_samples, n_features) array
        y : (n_samples,) array
        groups : (n_samples,) array of str, optional
            Samples of one group stay in one fold.
        """
        values, labels = validate_data(self, X, y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        base = self.estimator if self.estimator is not None else GaussianNB()
        self.estimator_ = clone(base).fit(values, labels)
        self.temperature_ = 1.0
        if not self.n_folds:
            return self
        scores, rows = self._out_of_fold(base, values, codes, groups)
        if not len(rows) and groups is not None:  # every class lives in one group
            groups = None
            scores, rows = self._out_of_fold(base, values, codes, None)
        n_units = len(rows) if groups is None else len(set(_own_groups(groups)[rows]))
        if len(rows):
            self.temperature_ = best_temperature(scores, codes[rows], n_units)
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

        They are the scores of another temperature too, as none underflows: dividing them by T
        and normalising again multiplies the temperature by T.
        """
        check_is_fitted(self)
        values = validate_data(self, X, reset=False)
        return log_softmax(_scores(self.estimator_, values) / self.temperature_, axis=1)

    def _out_of_fold(
        self, base: Any, values: Doubles, codes: Indices, groups: Texts | None
    ) -> tuple[Doubles, Indices]:
        """Score held-out samples of classes that were trained on, and tell which these are.

        A class that was not trained on scores minus infinity: its probability is zero.
        """
        from genreclf.learning.splits import (  # only fitting needs it
            cross_validation,
            known_genres_only,
        )

        scores, rows = [np.empty((0, len(self.classes_)))], [np.empty(0, dtype=np.intp)]
        try:
            folds = cross_validation(codes, groups, self.n_folds, self.random_state).folds
        except TableError:  # one class, or as many classes as samples
            folds = []
        for train, test in known_genres_only(folds, codes):
            part = np.full((len(test), len(self.classes_)), -np.inf)
            try:
                fitted = clone(base).fit(values[train], codes[train])
                part[:, fitted.classes_] = _scores(fitted, values[test])
            except ValueError:  # too few for this estimator
                continue
            scores.append(part)
            rows.append(test)
            if sum(map(len, rows)) >= ENOUGH_SCORES:
                break
        return np.concatenate(scores), np.concatenate(rows)


def _own_groups(groups: Texts) -> Texts:
    from genreclf.learning.splits import own_groups  # only fitting needs it

    return own_groups(groups)


def _scores(estimator: Any, values: Doubles) -> Doubles:
    """Return one score a class, whose softmax is a first guess at the probabilities."""
    if getattr(estimator, "decision_function_shape", None) == "ovo":
        return _weakest_margins(estimator, values)
    if hasattr(estimator, "decision_function"):
        scores = np.asarray(estimator.decision_function(values), dtype=np.float64)
        return scores if scores.ndim == 2 else np.column_stack((-scores / 2, scores / 2))
    return np.log(np.asarray(estimator.predict_proba(values), dtype=np.float64) + SMOOTHING)


def _weakest_margins(machine: Any, values: Doubles) -> Doubles:
    """Score each class by its margin against its strongest rival, (n, n_classes).

    The class that wins all its pairs, which is the one that the votes of one-against-one
    machines elect, has the only positive score. Votes alone say next to nothing about
    confidence, and sums of margins elect another class often enough to cost accuracy.

    Parameters
    ----------
    machine : SVC
        Its decision function gives the margin of each pair of classes, positive for the first of
        the two; for two classes positive for the second.
    values : (n, n_features) array
    """
    n_classes = len(machine.classes_)
    if n_classes == 2:
        margins = machine.decision_function(values)
        return np.column_stack((-margins, margins))
    n_pairs = n_classes * (n_classes - 1) // 2
    weakest = np.full((len(values), n_classes), np.inf)
    for rows in gen_batches(len(values), max(1, MOST_MARGINS // n_pairs)):
        margins, part, start = machine.decision_function(values[rows]), weakest[rows], 0
        for first in range(n_classes - 1):  # its pairs with all later classes stand side by side
            own = margins[:, start : (start := start + n_classes - 1 - first)]
            np.minimum(part[:, first], own.min(axis=1), out=part[:, first])
            np.minimum(part[:, first + 1 :], -own, out=part[:, first + 1 :])
    return weakest


def count_calibration_folds(n_samples: int, n_folds: int) -> int:
    """Return how many of the folds ``TemperatureScaled`` runs."""
    return min(n_folds, math.ceil(n_folds * ENOUGH_SCORES / max(1, n_samples)))


def best_temperature(scores: Doubles, codes: Indices, n_units: int) -> float:
    """Return the temperature that makes the classes most likely, smoothed by one wrong answer.

    Parameters
    ----------
    scores : (n, n_classes) array
        Minus infinity for a class that was not trained on.
    codes : (n,) array of int
        The columns of the true classes.
    n_units : int
        How many of the n answers are independent.
    """
    # How far each class is behind the true one; of a class that was not trained on, infinitely.
    behind = scores[np.arange(len(codes)), codes][:, None] - scores
    rival = np.isfinite(behind)
    rival[np.arange(len(codes)), codes] = False
    gaps = np.where(rival, behind, 0.0)
    # The smoothed class of a sample is wrong with this probability, whichever of its rivals it is.
    lost = gaps.sum(axis=1) / np.maximum(rival.sum(axis=1), 1) / (n_units + 2)

    def surprise(log_temperature: float) -> float:
        sharpness = np.exp(-log_temperature)
        return float(np.mean(logsumexp(-behind * sharpness, axis=1) + lost * sharpness))

    widest = 10 * float(np.abs(gaps).max(initial=0.0))
    bounds = (np.log(0.01), np.log(max(100.0, widest)))
    found = minimize_scalar(surprise, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
