"""What all samplers share: how many samples each genre gets, and in which order."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_X_y

Doubles = NDArray[np.float64]
Codes = NDArray[np.intp]


def missing_samples(labels: Iterable[Any]) -> dict[Any, int]:
    """Return how many samples each scarce class lacks to be as frequent as the median class.

    Half a sample is left out. Classes that lack none are not in the result.
    """
    counts = Counter(labels)
    median = int(np.median(list(counts.values())))
    return {label: median - n for label, n in sorted(counts.items()) if n < median}


class Sampler(BaseEstimator):
    """Base of the samplers: a subclass generates samples of one class after the other.

    Parameters
    ----------
    random_state : int
        The same seed gives the same samples.
    """

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit_resample(self, X: ArrayLike, y: ArrayLike) -> tuple[Doubles, NDArray[Any]]:
        """Return the samples and their labels, followed by synthetic ones.

        Parameters
        ----------
        X : (n, n_columns) array
        y : (n,) array
            Classes below the median number of samples get synthetic ones up to it.

        Returns
        -------
        X : (n + n_made, n_columns) array
        y : (n + n_made,) array
        """
        values, labels = check_X_y(X, y, dtype=np.float64)
        classes, codes = np.unique(labels, return_inverse=True)
        missing = missing_samples(labels)
        wanted = np.array([missing.get(label, 0) for label in classes.tolist()], dtype=np.intp)
        if not wanted.any():
            return values, labels
        made = np.repeat(np.arange(len(classes)), wanted)
        samples = np.concatenate((values, self._make(values, codes, made)))
        return samples, np.concatenate((labels, classes[made]))

    def _make(self, values: Doubles, codes: Codes, made: Codes) -> Doubles:
        """Generate a sample of each class in ``made``, which is sorted.

        Parameters
        ----------
        values : (n, n_columns) array
        codes : (n,) array of int
            The class of each sample, from 0.
        made : (n_made,) array of int

        Returns
        -------
        (n_made, n_columns) array
        """
        raise NotImplementedError
