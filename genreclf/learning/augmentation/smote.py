"""SMOTE: synthetic samples between neighbours of the same genre (Chawla et al. 2002)."""

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils import check_random_state

from genreclf.learning.augmentation.sampler import Codes, Doubles, Sampler


class Smote(Sampler):
    """Put samples at random on the lines from a sample to its nearest neighbours of its class.

    Chawla, Bowyer, Hall & Kegelmeyer 2002, "SMOTE: Synthetic Minority Over-sampling Technique". A
    class with fewer samples has fewer neighbours, and those of a class with one sample are copies
    of it; imbalanced-learn's ``SMOTE`` refuses both.

    Parameters
    ----------
    random_state : int
    n_neighbors : int
    """

    def __init__(self, random_state: int = 0, n_neighbors: int = 5) -> None:
        super().__init__(random_state)
        self.n_neighbors = n_neighbors

    def _make(self, values: Doubles, codes: Codes, made: Codes) -> Doubles:
        samples = [
            self._between(values[codes == code], int(np.count_nonzero(made == code)))
            for code in np.unique(made)
        ]
        return np.concatenate(samples)

    def _between(self, values: Doubles, n_made: int) -> Doubles:
        """Generate samples from those of one class, with imbalanced-learn's order of draws."""
        random = check_random_state(self.random_state)
        n_neighbors = min(self.n_neighbors, len(values) - 1)
        if not n_neighbors:
            return np.repeat(values, n_made, axis=0)
        nearest = NearestNeighbors(n_neighbors=n_neighbors + 1).fit(values)
        neighbors = nearest.kneighbors(values, return_distance=False)[:, 1:]
        rows, which = np.divmod(random.randint(neighbors.size, size=n_made), n_neighbors)
        steps = random.uniform(size=(n_made, 1))
        return values[rows] + steps * (values[neighbors[rows, which]] - values[rows])
