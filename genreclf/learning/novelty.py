"""Detection of tracks that are unlike all training tracks."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.utils import resample
from sklearn.utils.validation import check_is_fitted, validate_data

from genreclf.learning.scaling import LogScaler
from genreclf.learning.splits import own_groups
from genreclf.tables.table import Texts

Doubles = NDArray[np.float64]

# Training samples are clipped to this many standard deviations in each column: otherwise an odd
# column of one of them would make everything else seem near. Samples to compare are not, since the
# classifier clips its columns too, and does not see how far off they are.
CLIPPED_AT = 4.0
LARGEST = 1e6  # squares of larger numbers overflow single precision

# The largest of a few distances does not bound the next one, so the limit is a little larger: 8 %
# larger with 50 samples, almost the same with 1,000.
SLACK = 4.0

FENCE = 1.5  # interquartile ranges (Tukey 1977)


class NoveltyDetector(BaseEstimator):
    """Detector of samples that are far from all training samples.

    Distances to neighbours find what densities and class probabilities miss (Sun et al. 2022,
    "Out-of-distribution detection with deep nearest neighbors").

    Parameters
    ----------
    logarithmic : (n_features,) array of bool, optional
        Columns to compare by their logarithms, such as variances: those of noise and tones are
        smaller than those of music by orders of magnitude, which a linear scale does not show.
    n_neighbors : int
    quantile : float
        Share of held-out training samples that are familiar.
    n_folds : int
        Of the cross-validation that measures how far apart training samples are.
    max_samples : int
        If there are more samples, this many are drawn at random.
    random_state : int

    Attributes
    ----------
    farthest_ : float
        Samples at a larger mean distance are novel.
    """

    def __init__(
        self,
        logarithmic: ArrayLike | None = None,
        n_neighbors: int = 5,
        quantile: float = 0.99,
        n_folds: int = 10,
        max_samples: int = 5000,
        random_state: int = 0,
    ) -> None:
        self.logarithmic = logarithmic
        self.n_neighbors = n_neighbors
        self.quantile = quantile
        self.n_folds = n_folds
        self.max_samples = max_samples
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, groups: Texts | None = None
    ) -> "NoveltyDetector":
        """Store the samples, and learn how far apart they are.

        Parameters
        ----------
        X : (n_samples, n_features) array
            NaN for a missing value.
        y : ignored
        groups : (n_samples,) array of str, optional
            Distances within a group do not count.
        """
        values = validate_data(self, X, ensure_all_finite="allow-nan", ensure_min_samples=2)
        groups = np.full(len(values), "", dtype=object) if groups is None else groups
        if len(values) > self.max_samples:
            values, groups = resample(
                values, groups, replace=False, n_samples=self.max_samples,
                random_state=self.random_state,
            )  # fmt: skip
        distances = self._held_out_distances(values, own_groups(groups))
        self.farthest_ = np.inf  # with one group only
        if len(distances):
            slack = 1 + SLACK / len(distances)
            self.farthest_ = slack * float(np.quantile(distances, self.quantile))
        self._store(values)
        return self

    def distances(self, X: ArrayLike) -> Doubles:
        """Return the mean distance to the nearest training samples, (n_samples,)."""
        check_is_fitted(self)
        values = validate_data(self, X, reset=False, ensure_all_finite="allow-nan")
        return self._mean_distances(values, LARGEST)

    def is_novel(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Return which samples are unlike the training samples, (n_samples,)."""
        return self.distances(X) > self.farthest_

    def _store(self, values: Doubles) -> None:
        impute = SimpleImputer(strategy="median", keep_empty_features=True)
        self.scale_ = make_pipeline(impute, LogScaler(self.logarithmic)).fit(values)
        clipped = self._scaled(values, CLIPPED_AT)
        self.pca_ = PCA(0.99, svd_solver="full").fit(clipped)
        # Neighbour trees do not help with this many dimensions.
        nearest = NearestNeighbors(
            n_neighbors=min(self.n_neighbors, len(values)), algorithm="brute"
        )
        # In single precision, which makes model files smaller.
        self.neighbours_ = nearest.fit(self.pca_.transform(clipped).astype(np.float32))

    def _scaled(self, values: Doubles, limit: float) -> Doubles:
        return np.clip(self.scale_.transform(values), -limit, limit)

    def _held_out_distances(self, values: Doubles, groups: Texts) -> Doubles:
        n_folds = min(self.n_folds, len(np.unique(groups)))
        if n_folds < 2:
            return np.empty(0)
        folds = GroupKFold(n_folds, shuffle=True, random_state=self.random_state)
        made = list(folds.split(values, groups=groups))
        if min(len(train) for train, _ in made) < 2:  # one sample has no components
            return np.empty(0)
        distances = np.empty(len(values))
        for train, test in made:
            self._store(values[train])
            distances[test] = self._mean_distances(values[test], CLIPPED_AT)
        return distances

    def _mean_distances(self, values: Doubles, limit: float) -> Doubles:
        components = self.pca_.transform(self._scaled(values, limit))
        distances, _ = self.neighbours_.kneighbors(components.astype(np.float32))
        return distances.mean(axis=1, dtype=np.float64)

    def __sklearn_tags__(self) -> object:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def unlike_the_others(
    values: NDArray[np.float32], groups: Texts, logarithmic: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.intp]:
    """Find the samples of a table that are far from all samples of other groups.

    Far is beyond Tukey's fence: the upper quartile of the distances and 1.5 interquartile ranges,
    on a logarithmic scale. Unlike a high quantile, it stays where it is if many samples are far. In
    the GTZAN tables, 1 % of the tracks are.

    Parameters
    ----------
    values : (n_samples, n_features) array
        NaN for a missing value.
    groups : (n_samples,) array of str
        The empty string for a sample without a group.
    logarithmic, seed
        As for ``NoveltyDetector``.

    Returns
    -------
    array of int
        Their numbers, the farthest first.
    """
    detector = NoveltyDetector(logarithmic, random_state=seed)
    with np.errstate(invalid="ignore"):  # the principal components of columns that do not vary
        distances = detector._held_out_distances(values.astype(np.float64), own_groups(groups))
    if not len(distances):
        return np.empty(0, dtype=np.intp)
    logarithms = np.log(np.maximum(distances, np.finfo(np.float64).tiny))
    low, high = np.quantile(logarithms, [0.25, 0.75])
    order = np.argsort(-logarithms, kind="stable")
    return order[logarithms[order] > high + FENCE * (high - low)]
