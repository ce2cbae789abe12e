"""Whether a classifier is better than chance, or than another one."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

from genreclf.evaluation.intervals import cluster_variance, effective_groups, group_numbers
from genreclf.tables.table import Texts

Doubles = NDArray[np.float64]

# Up to this many units, all combinations of signs are tried (65,536); with more, a random sample.
MOST_EXACT = 16
N_FLIPS = 10_000
BLOCK = 500  # flips per block, to limit memory


def permutation_p_value(
    labels: Texts, predicted: Texts, groups: Texts, n_permutations: int, seed: int
) -> float:
    """Return the probability of this accuracy or more if predictions and labels were unrelated.

    Labels are permuted in whole runs of one group's tracks, since tracks of one artist share their
    genre; predictions stay. Never 0 (Phipson & Smyth 2010).

    Parameters
    ----------
    labels, predicted, groups : (n,) array of str
        A track whose group is the empty string is a group of its own.
    n_permutations, seed : int
    """
    group = group_numbers(groups)
    order = np.argsort(group, kind="stable")
    runs = np.split(labels[order], np.flatnonzero(np.diff(group[order])) + 1)
    predicted = predicted[order]
    observed = np.mean(labels[order] == predicted)
    random = np.random.default_rng(seed)
    as_high = sum(
        np.mean(np.concatenate([runs[i] for i in random.permutation(len(runs))]) == predicted)
        >= observed
        for _ in range(n_permutations)
    )
    return float((1 + as_high) / (1 + n_permutations))


@dataclass(frozen=True, slots=True)
class TTest:
    """A two-sided t-test of whether a mean difference is 0; the interval has 95 %."""

    mean: float
    statistic: float
    degrees_of_freedom: float
    p_value: float
    interval: tuple[float, float]

    @classmethod
    def of(cls, mean: float, error: float, df: float) -> "TTest":
        """Compare a mean with its standard error."""
        reach = float(student.ppf(0.975, df) * error)
        statistic = mean / error
        p_value = float(2 * student.sf(abs(statistic), df))
        return cls(mean, statistic, df, p_value, (mean - reach, mean + reach))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        plain = asdict(self)
        plain["ci95"] = list(plain.pop("interval"))
        return plain


def corrected_t_test(differences: ArrayLike, n_test: ArrayLike, n_train: ArrayLike) -> TTest | None:
    """Test differences of accuracy over the folds of one or more cross-validations.

    Folds are trained on much the same tracks, so their differences vary less than those of
    independent trials, and a plain t-test is significant by chance up to half of the time. The
    corrected resampled t-test (Nadeau & Bengio 2003; for repeated cross-validation Bouckaert &
    Frank 2004) divides the mean of J differences d by

        sqrt((1 / J + n_test / n_train) var(d)), with J - 1 degrees of freedom.

    Here folds of unequal size are weighted by their test tracks, so that the mean is the difference
    of the accuracies over all tracks, and the sum of the squared weights replaces 1 / J.

    Parameters
    ----------
    differences : (J,) array
    n_test, n_train : (J,) arrays of int
        Tracks of each fold.

    Returns
    -------
    TTest or None
        None with a single fold, or if all folds differ by the same amount, which has no spread.
    """
    d, n_test, n_train = (np.asarray(a, dtype=float) for a in (differences, n_test, n_train))
    weights = n_test / n_test.sum()
    concentration = float((weights**2).sum())  # 1 / J for folds of one size
    mean = float(weights @ d)
    if len(d) < 2 or np.ptp(d) < 1e-12:
        return None
    variance = float(weights @ (d - mean) ** 2) / (1 - concentration)
    error = np.sqrt((concentration + n_test.sum() / n_train.sum()) * variance)
    return TTest.of(mean, float(error), len(d) - 1)


def group_t_test(
    differences: ArrayLike, group: NDArray[np.intp], factor: float = 1.0
) -> TTest | None:
    """Test differences of single tracks that depend on each other within groups.

    The cluster-robust variance of their mean (CR3), and Student's t for the effective number of
    groups. With few artists there are many more folds than independent observations, so a t-test
    over folds alone is overconfident.

    Parameters
    ----------
    differences : (n_tracks,) array
        Correct predictions of one classifier minus those of the other.
    group : (n_tracks,) array of int
        Number of each track's group, from 0.
    factor : float
        Factor of the variance; see ``learning_factor``.

    Returns
    -------
    TTest or None
        None with fewer than two effective groups, or if all groups differ by the same amount.
    """
    d = np.asarray(differences, dtype=float)
    n_groups = effective_groups(group)
    if n_groups < 2 or (variance := factor * cluster_variance(d, group)) < 1e-24:
        return None
    return TTest.of(float(d.mean()), float(np.sqrt(variance)), n_groups - 1)


@dataclass(frozen=True, slots=True)
class SignFlipTest:
    """A two-sided paired permutation test."""

    p_value: float
    n_units: int  # tracks or groups whose predictions can be exchanged
    exact: bool  # all combinations were tried, not a random choice of them


def sign_flip_test(differences: ArrayLike, seed: int = 0) -> SignFlipTest:
    """Test differences by exchanging the predictions of two classifiers, unit by unit.

    If both are equally good, each unit's difference could as well have the other sign (Fisher
    1935). The p-value is the share of sign patterns whose sum is as far from 0 as the observed
    one. For single tracks that are correct or wrong, this is McNemar's exact test. A random choice
    of patterns includes the observed one, so it never gives 0 (Phipson & Smyth 2010).
    ``scipy.stats.permutation_test`` does the same, ten times slower.

    Parameters
    ----------
    differences : (n_units,) array
        Correct predictions of one classifier minus those of the other: of a track, or of a group.
    seed : int
    """
    d = np.asarray(differences, dtype=float)
    moved = d[np.abs(d) > 1e-12]  # the sign of 0 does not matter
    # Sums of the same numbers in another order may differ in the last digit.
    observed = abs(moved.sum()) - 1e-9 * np.abs(moved).sum()
    if len(moved) <= MOST_EXACT:
        patterns = np.arange(2 ** len(moved))[:, None] >> np.arange(len(moved)) & 1
        as_far = _count_as_extreme(patterns, moved, observed)
        return SignFlipTest(as_far / len(patterns), len(d), True)
    random = np.random.default_rng(seed)
    as_far = sum(
        _count_as_extreme(random.integers(2, size=(BLOCK, len(moved))), moved, observed)
        for _ in range(N_FLIPS // BLOCK)
    )
    return SignFlipTest((1 + as_far) / (1 + N_FLIPS), len(d), False)


def _count_as_extreme(patterns: NDArray[np.int64], values: Doubles, observed: float) -> int:
    """Count the patterns of 0 and 1 that, as signs, give a sum of this size or more."""
    return int((np.abs((1 - 2 * patterns) @ values) >= observed).sum())


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for several tests at a time (Holm 1979)."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return [float(value) for value in np.minimum(1, corrected)]
