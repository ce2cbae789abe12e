"""How far a figure can be believed: intervals, chance, and confidence against truth."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from genreclf.splits import own_groups
from genreclf.table import Texts

__all__ = [
    "ConfidenceBin",
    "Threshold",
    "bootstrap_interval",
    "expected_calibration_error",
    "group_bootstrap",
    "permutation_p_value",
    "reliability",
    "sensible_threshold",
    "threshold_for_precision",
    "wilson_interval",
]

Doubles = NDArray[np.float64]
Booleans = NDArray[np.bool_]


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    low, high = _wilson(np.array([successes]), np.array([n]), float(norm.ppf(0.5 + confidence / 2)))
    return float(low[0]), float(high[0])


def _wilson(successes: NDArray[Any], n: NDArray[Any], z: float) -> tuple[Doubles, Doubles]:
    """Return the interval for z standard errors."""
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.maximum(0, centre - half), np.minimum(1, centre + half)


def group_bootstrap(
    values: NDArray[Any], groups: Texts, n_samples: int, seed: int
) -> tuple[float, float]:
    """As ``bootstrap_interval``; a track whose group is the empty string is drawn on its own."""
    _, group = np.unique(own_groups(groups), return_inverse=True)
    return bootstrap_interval(values, group, n_samples, seed)


def bootstrap_interval(
    values: NDArray[Any], group: NDArray[np.intp], n_samples: int, seed: int
) -> tuple[float, float]:
    """95 % percentile interval of a mean, by drawing groups of values anew (Efron 1979).

    Parameters
    ----------
    values : (n,) array
    group : (n,) array of int
        Number of the group that each value belongs to, from 0.
    n_samples : int
    seed : int
    """
    sums = np.bincount(group, weights=values)
    sizes = np.bincount(group)
    random = np.random.default_rng(seed)
    means = []
    for _ in range(n_samples):
        drawn = random.integers(len(sizes), size=len(sizes))
        means.append(sums[drawn].sum() / sizes[drawn].sum())
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Predictions of like confidence: how sure they are, and how often right."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def reliability(confidence: Doubles, correct: Booleans, n_bins: int = 10) -> list[ConfidenceBin]:
    """Compare confidence with the share of right predictions, in bins of equal width.

    Bins without predictions are left out.
    """
    edges = np.linspace(0, 1, n_bins + 1)
    where = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    return [
        ConfidenceBin(
            float(edges[i]),
            float(edges[i + 1]),
            int((where == i).sum()),
            float(confidence[where == i].mean()),
            float(correct[where == i].mean()),
        )
        for i in np.unique(where)
    ]


def expected_calibration_error(bins: list[ConfidenceBin]) -> float:
    """Mean distance of confidence from accuracy (Naeini, Cooper & Hauskrecht 2015)."""
    gaps = sum(part.n * abs(part.confidence - part.accuracy) for part in bins)
    return gaps / sum(part.n for part in bins)


def permutation_p_value(
    labels: Texts, predicted: Texts, groups: Texts, n_permutations: int, seed: int
) -> float:
    """Chance of an accuracy as high as this one if predictions had nothing to do with labels.

    Labels are dealt out anew in whole runs of one group's tracks after the other, since tracks
    of one artist share their genre; predictions stay. Never 0 (Phipson & Smyth 2010).

    Parameters
    ----------
    labels, predicted, groups : (n,) array of str
        A track whose group is the empty string is on its own.
    n_permutations : int
    seed : int
    """
    _, group = np.unique(own_groups(groups), return_inverse=True)
    order = np.argsort(group, kind="stable")
    runs = np.split(labels[order], np.flatnonzero(np.diff(group[order])) + 1)
    answers = predicted[order]
    observed = np.mean(labels[order] == answers)
    random = np.random.default_rng(seed)
    as_good = sum(
        np.mean(np.concatenate([runs[i] for i in random.permutation(len(runs))]) == answers)
        >= observed
        for _ in range(n_permutations)
    )
    return float((1 + as_good) / (1 + n_permutations))


@dataclass(frozen=True, slots=True)
class Threshold:
    """The confidence from which on answers are given, and what comes of it.

    Attributes
    ----------
    target_precision : float or None
        What was asked for, if anything.
    confidence : float
        Answers of less are withheld.
    precision : float
        Share of right answers among those given.
    coverage : float
        Share of tracks that are answered.
    """

    target_precision: float | None
    confidence: float
    precision: float
    coverage: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def threshold_for_precision(
    confidence: Doubles, correct: Booleans, target: float
) -> Threshold | None:
    """Find the lowest confidence from which on enough of the answers are right.

    Their share has to be one standard error above the target: of many thresholds some look good
    by luck, and a few right answers promise nothing.

    Parameters
    ----------
    confidence, correct : (n,) arrays
        Of tracks that were predicted by a classifier that had not seen them.
    target : float
        Share of answers that have to be right, between 0 and 1.

    Returns
    -------
    Threshold or None
        None if no threshold is high enough.
    """
    order = np.argsort(-confidence, kind="stable")
    n_answered = np.arange(1, len(order) + 1)
    n_right = np.cumsum(correct[order])
    at_least, _ = _wilson(n_right, n_answered, z=1)
    # Equal confidences are answered all or none.
    last = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero(last & (at_least >= target - 1e-12))
    if not len(enough):
        return None
    k = int(enough[-1])
    return Threshold(
        target_precision=target,
        confidence=float(confidence[order[k]]),
        precision=float(n_right[k] / n_answered[k]),
        coverage=float(n_answered[k] / len(order)),
    )


def sensible_threshold(
    confidence: Doubles, correct: NDArray[Any], n: NDArray[Any] | int = 1
) -> Threshold | None:
    """Find the confidence below which answers are more often wrong than right.

    Chow's rule (1970, "On optimum recognition error and reject tradeoff") on what was held out,
    where no answer is worth half as much as a right one: of all thresholds, the one that has the
    most right answers more than wrong ones.

    Parameters
    ----------
    confidence : (n,) array
        Of tracks that were predicted by a classifier that had not seen them, or lower edges of
        bins of such tracks.
    correct : (n,) array
        Whether the prediction is right, or which share of a bin is.
    n : (n,) array of int, optional
        Tracks in each bin.

    Returns
    -------
    Threshold or None
        None if not even the surest answers are more often right than wrong.
    """
    order = np.argsort(-confidence, kind="stable")
    sizes = np.broadcast_to(n, confidence.shape)[order]
    n_answered, n_right = np.cumsum(sizes), np.cumsum(sizes * correct[order])
    last = np.append(np.diff(confidence[order]) != 0, True)
    net = np.where(last, 2 * n_right - n_answered, -np.inf)
    k = int(net.argmax())
    if net[k] <= 0:
        return None
    return Threshold(
        target_precision=None,
        confidence=float(confidence[order[k]]),
        precision=float(n_right[k] / n_answered[k]),
        coverage=float(n_answered[k] / n_answered[-1]),
    )
