"""Synthetic samples from a normal distribution around the mean of each genre."""

import numpy as np
from sklearn.covariance import ledoit_wolf
from sklearn.utils import check_random_state

from genreclf.learning.augmentation.sampler import Codes, Doubles, Sampler


class GaussianSampler(Sampler):
    """Draw from a normal distribution with the mean of a class and the covariance of all classes.

    Few samples give a mean, but no covariance. So the covariance is that within all classes
    together, shrunk after Ledoit & Wolf 2004: what linear discriminant analysis assumes.
    """

    def _make(self, values: Doubles, codes: Codes, made: Codes) -> Doubles:
        counts = np.bincount(codes)
        means = np.zeros((len(counts), values.shape[1]))
        np.add.at(means, codes, values)
        means /= counts[:, None]
        covariance, _ = ledoit_wolf(values - means[codes], assume_centered=True)
        variances, axes = np.linalg.eigh(covariance)
        spreads = axes * np.sqrt(np.maximum(variances, 0))
        noise = check_random_state(self.random_state).standard_normal((len(made), len(spreads)))
        return means[made] + noise @ spreads.T
