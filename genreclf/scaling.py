"""Columns brought to one scale, whatever their unit."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["LogScaler"]

Doubles = NDArray[np.float64]


class LogScaler(TransformerMixin, BaseEstimator):
    """Standardise columns, after the logarithm where all of a column's values are positive.

    Variances, levels and frequencies are skewed and differ by factors; means of cepstral
    coefficients, which have both signs, do not. On the published GTZAN tables this is as good as
    the power transform of Yeo & Johnson (2000), and costs nothing.

    Parameters
    ----------
    limit : float
        Values beyond this many standard deviations are brought to it.

    Attributes
    ----------
    floor_ : (n_features,) array
        What stands for zero and below in a column of logarithms; NaN in the other columns.
    mean_, spread_ : (n_features,) array
        Mean and standard deviation, of the logarithms where they are taken.
    """

    def __init__(self, limit: float = np.inf) -> None:
        self.limit = limit

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> "LogScaler":
        """Learn which columns are positive, their means and standard deviations."""
        values = validate_data(self, X, dtype=np.float64)
        smallest = values.min(axis=0)
        # A thousandth of the smallest value known stands for zero and below; never zero itself.
        floor = np.maximum(smallest / 1000, np.finfo(np.float64).tiny)
        self.floor_ = np.where(smallest > 0, floor, np.nan)
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
        """Return the values whose scaled ones these are, (n_samples, n_features)."""
        check_is_fitted(self)
        values = np.asarray(X, dtype=np.float64) * self.spread_ + self.mean_
        positive = ~np.isnan(self.floor_)
        values[:, positive] = np.exp(values[:, positive])
        return values

    def _logarithms(self, values: Doubles) -> Doubles:
        positive = ~np.isnan(self.floor_)
        result = values.copy()
        result[:, positive] = np.log(np.maximum(values[:, positive], self.floor_[positive]))
        return result
