"""Scaling of columns with different units."""

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

Doubles = NDArray[np.float64]

_LEAST = np.finfo(np.float64).tiny  # zero has no logarithm

# Names of columns with a variance or a standard deviation, or a mean of several.
_SPREAD = re.compile(
    r"[._](var|std)([._](mean|median|min|max))?$"
    r"|[._](\w+)x\4\.cov$"  # of a covariance matrix, the diagonal
    r"|\.modulation_[\d.]+-[\d.]+hz$",
    re.IGNORECASE,
)


def measures_spread(names: Iterable[str]) -> NDArray[np.bool_]:
    """Return which columns hold variances or standard deviations by their names, (n_columns,).

    Those are positive and skewed for all music, and differ by factors. Other columns may be
    positive in a training set by chance.

    Examples
    --------
    >>> measures_spread(["mix.mfcc.03.var", "mfcc4_std", "mix.mfcc.03.mean"])
    array([ True,  True, False])
    """
    return np.array([_SPREAD.search(name) is not None for name in names], dtype=bool)


class LogScaler(TransformerMixin, BaseEstimator):
    """Standardise columns, some of them after taking logarithms.

    Parameters
    ----------
    logarithmic : (n_features,) array of bool, optional
        Columns to take logarithms of; none by default. Zero and negative values are replaced by
        a thousandth of the smallest positive one.
    limit : float
        Scaled values are clipped to this many standard deviations, so that no single column
        decides.

    Attributes
    ----------
    floor_ : (n_features,) array
        Replacement of zero and negative values in columns of logarithms; NaN in others.
    mean_, spread_ : (n_features,) array
        Mean and standard deviation, after taking logarithms.
    """

    def __init__(self, logarithmic: ArrayLike | None = None, limit: float = np.inf) -> None:
        self.logarithmic = logarithmic
        self.limit = limit

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> "LogScaler":
        """Learn means and standard deviations."""
        values = validate_data(self, X, dtype=np.float64)
        chosen = np.zeros(values.shape[1], dtype=bool)
        if self.logarithmic is not None:
            chosen = np.asarray(self.logarithmic, dtype=bool)
        if chosen.shape != values.shape[1:]:
            raise ValueError(f"logarithmic is of {len(chosen)} columns, X of {values.shape[1]}")
        positive = np.where(values > 0, values, np.inf).min(axis=0)
        smallest = np.where(np.isfinite(positive), positive, 1)
        self.floor_ = np.where(chosen, np.maximum(smallest / 1000, _LEAST), np.nan)
        values = self._logarithms(values)
        self.mean_, spread = values.mean(axis=0), values.std(axis=0)
        self.spread_ = np.where(spread > 1e-9 * np.abs(self.mean_), spread, 1)
        return self

    def transform(self, X: ArrayLike) -> Doubles:
        """Return the scaled values, (n_samples, n_features)."""
        check_is_fitted(self)
        values = self._logarithms(validate_data(self, X, dtype=np.float64, reset=False))
        return np.clip((values - self.mean_) / self.spread_, -self.limit, self.limit)

    def inverse_transform(self, X: ArrayLike) -> Doubles:
        """Return the values before scaling, (n_samples, n_features)."""
        check_is_fitted(self)
        values = np.asarray(X, dtype=np.float64) * self.spread_ + self.mean_
        logarithmic = ~np.isnan(self.floor_)
        values[:, logarithmic] = np.exp(values[:, logarithmic])
        return values

    def _logarithms(self, values: Doubles) -> Doubles:
        logarithmic = ~np.isnan(self.floor_)
        floored = np.maximum(values[:, logarithmic], self.floor_[logarithmic])
        result = values.copy()
        result[:, logarithmic] = np.log(floored)
        return result
