"""Whether one classifier is better than another by more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from genreclf.evaluation.uncertainty import cluster_variance, effective_groups

Doubles = NDArray[np.float64]

# Of so many units all combinations of signs are tried (65,536), of more a random choice.
MOST_EXACT = 16
N_FLIPS = 10_000
BLOCK = 500  # flips at a time, so that memory stays small


@dataclass(frozen=True, slots=True)
class TTest:
    """A two-sided t-test of whether a mean difference is 0.

    Attributes
    ----------
    mean : float
    statistic : float
    degrees_of_freedom : float
    p_value : float
    interval : (float, float)
        95 % confidence interval of the mean difference.
    """

    mean: float
    statistic: float
    degrees_of_freedom: float
    p_value: float
    interval: tuple[float, float]


def corrected_t_test(differences: ArrayLike, n_test: ArrayLike, n_train: ArrayLike) -> TTest | None:
    """Test differences of accuracy over the folds of one or more cross-validations.

    Folds are trained on much the same tracks, so that their differences vary less than those of
    independent trials: a plain t-test finds something in nothing up to half of the time. The
    corrected resampled t-test (Nadeau & Bengio 2003; for repeated cross-validation Bouckaert &
    Frank 2004) divides the mean of J differences d by

        sqrt((1 / J + n_test / n_train) var(d)), with J - 1 degrees of freedom.

    Here folds of unequal size count by their test tracks, so that the mean is the difference of
    the accuracies over all tracks; then the sum of the squared weights stands for 1 / J.

    Parameters
    ----------
    differences : (J,) array
    n_test, n_train : (J,) arrays of int
        Tracks of each fold.

    Returns
    -------
    TTest or None
        None if all folds differ by the same amount, or there is one only: without spread, there
        is nothing to hold the mean against.
    """
    d, n_test, n_train = (np.asarray(a, dtype=float) for a in (differences, n_test, n_train))
    weights = n_test / n_test.sum()
    concentration = float((weights**2).sum())  # 1 / J for folds of one size
    mean = float(weights @ d)
    if len(d) < 2 or np.ptp(d) < 1e-12:
        return None
    variance = float(weights @ (d - mean) ** 2) / (1 - concentration)
    error = np.sqrt((concentration + n_test.sum() / n_train.sum()) * variance)
    return _t_test(mean, float(error), len(d) - 1)


def _t_test(mean: float, error: float, df: float) -> TTest:
    """Hold a mean against its standard error."""
    reach = float(student.ppf(0.975, df) * error)
    statistic = mean / error
    p_value = float(2 * student.sf(abs(statistic), df))
    return TTest(mean, statistic, df, p_value, (mean - reach, mean + reach))


def group_t_test(
    differences: ArrayLike, group: NDArray[np.intp], factor: float = 1.0
) -> TTest | None:
    """Test differences of single tracks that depend on each other within groups.

    The cluster-robust variance of their mean (CR3), and Student's t for the effective number of
    groups: with few artists, folds are many more than what there is to learn from, and a t-test
    over folds is too sure.

    Parameters
    ----------
    differences : (n_tracks,) array
        Right answers of one classifier less those of the other.
    group : (n_tracks,) array of int
        Number of each track's group, from 0.
    factor : float
        What the variance is multiplied by, for what the classifiers were learned from.

    Returns
    -------
    TTest or None
        None with fewer than two effective groups, or where all groups differ by the same amount.
    """
    d = np.asarray(differences, dtype=float)
    n_groups = effective_groups(group)
    if n_groups < 2 or (variance := factor * cluster_variance(d, group)) < 1e-24:
        return None
    return _t_test(float(d.mean()), float(np.sqrt(variance)), n_groups - 1)


@dataclass(frozen=True, slots=True)
class SignFlipTest:
    """A two-sided paired permutation test.

    Attributes
    ----------
    p_value : float
    n_units : int
        Tracks or groups that could have been exchanged.
    exact : bool
        Whether all combinations were tried, or a random choice of them.
    """

    p_value: float
    n_units: int
    exact: bool


def sign_flip_test(differences: ArrayLike, seed: int = 0) -> SignFlipTest:
    """Test differences by exchanging, unit by unit, which of two classifiers gave the answers.

    If both are equally good, each unit's difference might as well have the other sign (Fisher
    1935). The p-value is the share of sign patterns whose sum is as far from 0 as the observed
    one. For single tracks that are right or wrong, this is McNemar's exact test. A random choice
    of patterns counts the observed one too, so that it never gives 0 (Phipson & Smyth 2010).

    Parameters
    ----------
    differences : (n_units,) array
        Right answers of one classifier less those of the other: of a track, or of a group.
    seed : int
    """
    d = np.asarray(differences, dtype=float)
    moved = d[np.abs(d) > 1e-12]  # the sign of 0 is of no account
    # Sums of the same numbers in another order may differ in the last digit.
    observed = abs(moved.sum()) - 1e-9 * np.abs(moved).sum()
    if len(moved) <= MOST_EXACT:
        patterns = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        as_far = _n_as_far(patterns, moved, observed)
        return SignFlipTest(as_far / len(patterns), len(d), True)
    random = np.random.default_rng(seed)
    as_far = sum(
        _n_as_far(random.integers(2, size=(BLOCK, len(moved))), moved, observed)
        for _ in range(N_FLIPS // BLOCK)
    )
    return SignFlipTest((1 + as_far) / (1 + N_FLIPS), len(d), False)


def _n_as_far(patterns: NDArray[np.int64], values: Doubles, observed: float) -> int:
    """Count the patterns of 0 and 1 that, taken for signs, give so large a sum."""
    return int((np.abs((1 - 2 * patterns) @ values) >= observed).sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct for several tests at a time (Holm 1979).

    Of true null hypotheses, any is rejected with a probability of no more than the level at which
    the corrected p-values are read.
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return [float(value) for value in np.minimum(1, corrected)]
