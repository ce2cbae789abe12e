"""Confidence intervals of accuracies, also of tracks that depend on each other within groups."""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, norm
from scipy.stats import t as student

from genreclf.learning.splits import own_groups
from genreclf.learning.thresholds import wilson_bounds
from genreclf.tables.table import Texts

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]
Interval = tuple[float, float]


# Variance of a cross-validated accuracy at chance, relative to that of independent predictions. If
# labels cannot be learned, two tracks help or harm each other's prediction to the same degree. The
# scores of a linear classifier then have a sum of twice the variance (a degenerate U-statistic,
# Hoeffding 1948), and the signs of the scores have 2 / pi of this excess (Sheppard 1899).
CHANCE_FACTOR = 1 + 2 / np.pi


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    z = float(norm.ppf(0.5 + confidence / 2))
    low, high = wilson_bounds(np.array([successes]), np.array([n]), z)
    return float(low[0]), float(high[0])


def group_numbers(groups: Texts) -> Indices:
    """Return each track's group number, from 0; the empty string is a group of its own."""
    numbers: Indices = np.unique(own_groups(groups), return_inverse=True)[1]
    return numbers


def effective_groups(group: Indices) -> float:
    """Return the number of groups of equal size that carry as much information (Kish 1965).

    Parameters
    ----------
    group : (n,) array of int
        Number of each track's group, from 0.
    """
    sizes = np.bincount(group)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def cluster_variance(values: NDArray[Any], group: Indices) -> float:
    """Return the variance of a mean of values that depend on each other within groups.

    The jackknife over groups: CR3 of Bell & McCaffrey (2002), which does not underestimate the
    variance if groups are few or of unequal size.

    Parameters
    ----------
    values : (n,) array
    group : (n,) array of int
        Number of each value's group, from 0; at least two groups.
    """
    sizes = np.bincount(group)
    sums = np.bincount(group, weights=values - values.mean())
    shifts = sums / (len(values) - sizes)  # change of the mean if the group is left out
    return float((len(sizes) - 1) / len(sizes) * (shifts**2).sum())


def cluster_interval(
    values: NDArray[Any], group: Indices, n: float, factor: float = 1.0
) -> Interval:
    """95 % interval of a share of correct predictions that depend on each other within groups.

    Wilson's interval with the effective number of predictions, and with Student's t for the
    effective number of groups (Korn & Graubard 1998; Dean & Pagliuca 2015). It stays within 0 and
    1. Neither end is closer to the share than in the interval of as many groups that are all
    correct, or all wrong.

    Parameters
    ----------
    values : (n_tracks,) array
        1 for a correct prediction, 0 for a wrong one, or the mean of several predictions.
    group : (n_tracks,) array of int
        Number of each track's group, from 0.
    n : float
        Number of distinct recordings.
    factor : float
        Factor of the variance; see ``learning_factor``.

    Returns
    -------
    low, high : float
        0 and 1 with fewer than two effective groups, which carry no information.
    """
    n_groups = effective_groups(group)
    if n_groups < 2:
        return 0.0, 1.0
    share = float(values.mean())
    spread = share * (1 - share)
    variance = max(cluster_variance(values, group), spread / n)
    n_effective = spread / variance if variance > 0 else n_groups
    z = float(student.ppf(0.975, n_groups - 1))
    shares = np.array([share, 0.0, 1.0])
    sizes = np.array([n_effective, n_groups, n_groups]) / factor
    low, high = wilson_bounds(shares * sizes, sizes, z)
    return float(min(low[0], low[2])), float(max(high[0], high[1]))


def learning_factor(genres: Texts, groups: Texts, train_share: float | None) -> float:
    """Return how much an accuracy varies because its classifiers were learned from few groups.

    A cross-validation estimates the accuracy of the classifier that is trained on all tracks. The
    variance between groups misses two sources of error. First, other artists would have given
    another classifier: the variance is multiplied by 1 + r, where r = n_test / (n_test + n_train)
    is the correlation between folds that Nadeau & Bengio (2003) assume. Second, each genre was
    itself learned from these groups, which uses up a degree of freedom: of G groups in k genres,
    G - k are left instead of G - 1, as in the correction of cluster-robust variances (Cameron,
    Gelbach & Miller 2008). For a genre of m groups, that is a factor of (m - 1 / k) / (m - 1).
    ``benchmarks/statistics.py`` measures the coverage of the resulting intervals.

    Parameters
    ----------
    genres, groups : (n_tracks,) array of str
        Of the test tracks. A track whose group is the empty string is a group of its own.
    train_share : float or None
        Training tracks of a fold as a share of all tracks. None for one given classifier, whose
        factor is 1.
    """
    if train_share is None:
        return 1.0
    n_tracks = Counter(genres)
    of_genre = groups_per_genre(genres, groups)
    m = np.maximum([of_genre[genre] for genre in n_tracks], 2)
    freedom = (m - 1 / len(m)) / (m - 1)
    return float(np.average(freedom, weights=list(n_tracks.values())) * (2 - train_share))


def groups_per_genre(genres: Texts, groups: Texts) -> Counter[str]:
    """Count the groups of each genre; a track without a group is one of its own."""
    return Counter(genre for genre, _ in set(zip(genres, own_groups(groups), strict=True)))


def chance_agreement(labels: Texts, predicted: Texts) -> float:
    """Return the expected share of correct predictions if they ignored the labels (Cohen 1960)."""
    n_predicted = Counter(predicted)
    return sum(n * n_predicted[label] for label, n in Counter(labels).items()) / len(labels) ** 2


def share_interval(
    correct: NDArray[Any],
    groups: Texts | None,
    n_recordings: float,
    factor: float = 1.0,
    chance: float | None = None,
) -> Interval:
    """95 % confidence interval of a share of correct predictions.

    Wilson's interval; with groups, ``cluster_interval``. At chance, a cross-validated accuracy
    varies more (Noirhomme et al. 2014): if the interval with ``CHANCE_FACTOR`` contains chance, it
    is that interval.

    Parameters
    ----------
    correct : (n_tracks,) array
        True or 1 for a correct prediction; between 0 and 1 for the mean of several.
    groups : (n_tracks,) array of str, or None
        Copies of one recording are in one group.
    n_recordings : float
        Number of distinct recordings.
    factor : float
        Factor of the variance; see ``learning_factor``.
    chance : float, optional
        For a cross-validation: the share if predictions and labels were unrelated.
    """
    if chance is not None:
        wide = share_interval(correct, groups, n_recordings, max(factor, CHANCE_FACTOR))
        if wide[0] <= chance <= wide[1]:
            return wide
    if groups is None:
        n = n_recordings / factor
        return wilson_interval(float(correct.mean()) * n, n)
    return cluster_interval(correct, group_numbers(groups), n_recordings, factor)


def bootstrap_interval(values: NDArray[Any], groups: Texts, n_samples: int, seed: int) -> Interval:
    """95 % percentile interval of a mean, by resampling whole groups of values (Efron 1979).

    Parameters
    ----------
    values : (n,) array
    groups : (n,) array of str
        A value with the empty string is a group of its own.
    n_samples, seed : int
    """
    group = group_numbers(groups)
    sums, sizes = np.bincount(group, weights=values), np.bincount(group)
    if len(sizes) < 2:
        return float(values.mean()), float(values.mean())
    low, high = bootstrap(
        (sums, sizes), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True, batch=100,
        n_resamples=n_samples, method="percentile", rng=seed,
    ).confidence_interval  # fmt: skip
    return float(low), float(high)
