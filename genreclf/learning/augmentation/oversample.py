"""Random oversampling: copies of the samples that a genre has."""

import numpy as np
from sklearn.utils import check_random_state

from genreclf.learning.augmentation.sampler import Codes, Doubles, Sampler


class Oversampler(Sampler):
    """Copy samples at random, with replacement."""

    def _make(self, values: Doubles, codes: Codes, made: Codes) -> Doubles:
        random = check_random_state(self.random_state)
        rows = [random.choice(np.flatnonzero(codes == code)) for code in made]
        return values[rows]
