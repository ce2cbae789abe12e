"""How far a figure can be believed: intervals, chance, and confidence against truth."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from scipy.stats import t as student

from genreclf.learning.splits import own_groups
from genreclf.learning.thresholds import wilson_bounds
from genreclf.tables.table import Texts

Doubles = NDArray[np.float64]
Booleans = NDArray[np.bool_]

N_BINS = 10  # of confidence
MOST_DRAWN = 20_000_000  # answers that are drawn, so that it takes well below a second


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson 1927)."""
    low, high = wilson_bounds(
        np.array([successes]), np.array([n]), float(norm.ppf(0.5 + confidence / 2))
    )
    return float(low[0]), float(high[0])


def effective_groups(group: NDArray[np.intp]) -> float:
    """Return how many groups of equal size tell as much as these (Kish 1965).

    Parameters
    ----------
    group : (n,) array of int
        Number of the group that each track belongs to, from 0.
    """
    sizes = np.bincount(group)
    return float(sizes.sum() ** 2 / (sizes**2).sum())


def cluster_variance(values: NDArray[Any], group: NDArray[np.intp]) -> float:
    """Return the variance of a mean of values that depend on each other within groups.

    The jackknife over groups: CR3 of Bell & McCaffrey (2002), which does not underrate the
    variance where groups are few or of unequal size.

    Parameters
    ----------
    values : (n,) array
    group : (n,) array of int
        Number of each value's group, from 0; two groups or more.
    """
    sizes = np.bincount(group)
    sums = np.bincount(group, weights=values - values.mean())
    moves = sums / (len(values) - sizes)  # of the mean when the group is left out
    return float((len(sizes) - 1) / len(sizes) * (moves**2).sum())


def cluster_interval(
    values: NDArray[Any], group: NDArray[np.intp], n: float, factor: float = 1.0
) -> tuple[float, float]:
    """95 % interval of a share of right answers that depend on each other within groups.

    Wilson's interval with the effective number of answers, and with Student's t for the effective
    number of groups (Korn & Graubard 1998; Dean & Pagliuca 2015). It stays within 0 and 1. It is
    no narrower at either end than that of as many groups that are all right, or all wrong.

    Parameters
    ----------
    values : (n_tracks,) array
        1 where the answer is right, 0 where it is wrong, or a mean of several answers.
    group : (n_tracks,) array of int
        Number of each track's group, from 0.
    n : float
        Answers that are independent at best: copies of a recording count once.
    factor : float
        What the variance is multiplied by; see ``learning_factor``.

    Returns
    -------
    low, high : float
        0 and 1 if there are fewer than two effective groups, which tell nothing.
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


def learning_factor(genres: Texts, groups: Texts, train_share: float) -> float:
    """Tell how much more an accuracy varies because its classifiers were learned from few groups.

    A cross-validation is to tell the accuracy of the classifier that is trained on all tracks. The
    variance between groups lacks two things. First, other artists would have given another
    classifier: the variance is multiplied by 1 + r, where r = n_test / (n_test + n_train) is what
    Nadeau & Bengio (2003) take for the correlation between folds. Second, each genre was itself
    learned from these groups, which takes a degree of freedom from it: of G groups in k genres
    G - k are left instead of G - 1, as in the correction of cluster-robust variances (Cameron,
    Gelbach & Miller 2008). For a genre of m groups, that is a factor of (m - 1 / k) / (m - 1), and
    (G - 1) / (G - k) if all have as many. ``benchmarks/statistics.py`` measures what comes of it.

    Parameters
    ----------
    genres, groups : (n_tracks,) array of str
        Of the tracks that were tested. A track whose group is the empty string is on its own.
    train_share : float
        Tracks that a fold is trained on, as a share of all.
    """
    n_tracks = Counter(genres)
    of_genre = groups_of_genres(genres, groups)
    m = np.maximum([of_genre[genre] for genre in n_tracks], 2)
    freedom = (m - 1 / len(m)) / (m - 1)
    return float(np.average(freedom, weights=list(n_tracks.values())) * (2 - train_share))


def groups_of_genres(genres: Texts, groups: Texts) -> Counter[str]:
    """Count the groups of each genre; a track without a group is one of its own."""
    return Counter(genre for genre, _ in set(zip(genres, own_groups(groups), strict=True)))


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


def _bin(confidence: Doubles, n_bins: int) -> NDArray[np.intp]:
    """Return which of the bins of equal width each confidence is in."""
    return np.clip(np.ceil(confidence * n_bins).astype(np.intp) - 1, 0, n_bins - 1)


def reliability(
    confidence: Doubles, correct: Booleans, n_bins: int = N_BINS
) -> list[ConfidenceBin]:
    """Compare confidence with the share of right predictions, in bins of equal width.

    Bins without predictions are left out.
    """
    edges = np.linspace(0, 1, n_bins + 1)
    where = _bin(confidence, n_bins)
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


def calibration_error_by_chance(
    confidence: Doubles, n: float | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """Simulate the calibration error of a classifier that is right as often as it says.

    Few tracks make confidence and accuracy differ by chance. So the right answers are drawn anew,
    each with the probability that its confidence says.

    Parameters
    ----------
    confidence : (n_tracks,) array
    n : float, optional
        How many of the tracks are no copies of another; by default all.
    seed : int

    Returns
    -------
    mean, low, high : float
        The mean, and the interval in which the error lies 95 times of 100.
    """
    random = np.random.default_rng(seed)
    n_tracks = len(confidence)
    bins = _bin(confidence, N_BINS)
    errors = []
    for _ in range(int(np.clip(MOST_DRAWN // n_tracks, 100, 2000))):
        gaps = np.bincount(bins, weights=(random.random(n_tracks) < confidence) - confidence)
        errors.append(np.abs(gaps).sum() / n_tracks)
    # Errors by chance shrink with the square root of the number of answers.
    scale = np.sqrt(n_tracks / (n or n_tracks))
    mean, (low, high) = np.mean(errors), np.percentile(errors, (2.5, 97.5))
    mean, low, high = np.minimum(1, scale * np.array([mean, low, high]))
    return float(mean), float(low), float(high)


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
