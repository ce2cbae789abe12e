"""The confidence below which a model predicts ``unknown``."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Doubles = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A lowest confidence, and the precision and coverage that it gives.

    Attributes
    ----------
    target_precision : float or None
        The precision that was asked for, if any.
    confidence : float
        Predictions below it are withheld.
    precision : float
        Share of correct predictions among those given.
    coverage : float
        Share of tracks that get a prediction.
    """

    target_precision: float | None
    confidence: float
    precision: float
    coverage: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def threshold_for_precision(
    confidence: Doubles, correct: Booleans, target: float, n: NDArray[Any] | float = 1
) -> Threshold | None:
    """Find the lowest threshold that reaches a precision.

    The precision has to be one standard error above the target: among many thresholds some look
    good by luck, and a few correct predictions prove little.

    Parameters
    ----------
    confidence, correct : (n,) arrays
        Of tracks that the classifier was not trained on.
    target : float
        Precision to reach, between 0 and 1.
    n : (n,) array, optional
        Weight of each track: less than 1 for one of several copies of a recording.

    Returns
    -------
    Threshold or None
        Its confidence is 0 if all predictions together reach the target. None if no threshold
        reaches it.
    """
    cuts = _Cuts.of(confidence, correct, n)
    enough = np.flatnonzero(cuts.at_least >= target - 1e-12)
    return cuts.threshold(int(enough[-1]), target) if len(enough) else None


def nearest_to_precision(
    confidence: Doubles, correct: Booleans, target: float, n: NDArray[Any] | float = 1
) -> tuple[float, float]:
    """Find the most confident predictions that come nearest to a precision.

    Parameters
    ----------
    confidence, correct, target, n
        As for ``threshold_for_precision``.

    Returns
    -------
    n_accepted : float
        How many of the most confident predictions come nearest to the target.
    precision : float
        Their share of correct ones.
    """
    cuts = _Cuts.of(confidence, correct, n)
    best = int(np.nanargmax(cuts.at_least))
    return float(cuts.n_accepted[best]), float(cuts.n_right[best] / cuts.n_accepted[best])


def sensible_threshold(
    confidence: Doubles, correct: NDArray[Any], n: NDArray[Any] | float = 1
) -> Threshold | None:
    """Find the confidence below which predictions are more often wrong than correct.

    Chow's rule (1970, "On optimum recognition error and reject tradeoff"), with a rejection worth
    half of a correct one: the threshold with the largest number of correct predictions less wrong
    ones. A threshold counts only if the 95 % interval of the precision below it ends under a half.

    Parameters
    ----------
    confidence : (n,) array
        Of tracks that the classifier was not trained on, or lower edges of bins of such tracks.
    correct : (n,) array
        Whether the prediction is correct, or the share of correct ones in a bin.
    n : (n,) array, optional
        Weight of each track, or number of tracks in each bin.

    Returns
    -------
    Threshold or None
        Its confidence is 0 if too few predictions are wrong to find one. None if even the most
        confident predictions are more often wrong than correct.
    """
    cuts = _Cuts.of(confidence, correct, n)
    net = np.where(cuts.last, 2 * cuts.n_right - cuts.n_accepted, -np.inf)
    if net.max() <= 0:
        return None
    n_below, n_right_below = (c[-1] - c for c in (cuts.n_accepted, cuts.n_right))
    some = n_below > 1e-9
    _, at_most = wilson_bounds(n_right_below, np.where(some, n_below, 1), float(norm.ppf(0.975)))
    supported = np.where(some & (at_most < 0.5), net, -np.inf)
    if supported.max() <= 0:
        everything = float(cuts.n_right[-1] / cuts.n_accepted[-1])
        return Threshold(None, confidence=0.0, precision=everything, coverage=1.0)
    return cuts.threshold(int(supported.argmax()), None)


def threshold_of_evaluation(evaluation: dict[str, Any]) -> Threshold | None:
    """Return the threshold that the evaluation of a model names or suggests.

    An evaluation without one has bins of confidence, which give it to a tenth.

    Parameters
    ----------
    evaluation : dict
        As a model file holds it.

    Returns
    -------
    Threshold or None
        As ``sensible_threshold`` returns it.
    """
    if evaluation.get("accuracy") == 1 and "threshold" not in evaluation:
        return Threshold(None, confidence=0.0, precision=1.0, coverage=1.0)
    for key in ("threshold", "suggested_threshold"):
        if key in evaluation:
            names = ("confidence", "precision", "coverage")
            return Threshold(None, *(float(evaluation[key][name]) for name in names))
    bins = evaluation["reliability"]
    columns = (np.array([part[key] for part in bins], float) for key in ("low", "accuracy", "n"))
    return sensible_threshold(*columns)


def wilson_bounds(successes: NDArray[Any], n: NDArray[Any], z: float) -> tuple[Doubles, Doubles]:
    """Return Wilson's interval of proportions (1927), for z standard errors."""
    share = successes / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.maximum(0, centre - half), np.minimum(1, centre + half)


@dataclass(frozen=True, slots=True)
class _Cuts:
    """Predictions down to each confidence, the most confident first: how many, and how many right.

    Equal confidences are accepted all or none: ``last`` is True at the last of them.
    """

    confidence: Doubles
    n_accepted: Doubles
    n_right: Doubles
    last: Booleans

    @classmethod
    def of(cls, confidence: Doubles, correct: NDArray[Any], n: NDArray[Any] | float) -> "_Cuts":
        order = np.argsort(-confidence, kind="stable")
        sizes = np.broadcast_to(np.asarray(n, dtype=float), confidence.shape)[order]
        ordered = confidence[order]
        last = np.append(np.diff(ordered) != 0, True)
        return cls(ordered, np.cumsum(sizes), np.cumsum(sizes * correct[order]), last)

    @property
    def at_least(self) -> Doubles:
        """One standard error below the precision at each cut; NaN within equal confidences."""
        low, _ = wilson_bounds(self.n_right, self.n_accepted, z=1)
        return np.where(self.last, low, np.nan)

    def threshold(self, k: int, target: float | None) -> Threshold:
        """Return the threshold at the k-th confidence; 0 if that includes all of them."""
        everything = k == len(self.confidence) - 1
        return Threshold(
            target_precision=target,
            confidence=0.0 if everything else float(self.confidence[k]),
            precision=float(self.n_right[k] / self.n_accepted[k]),
            coverage=float(self.n_accepted[k] / self.n_accepted[-1]),
        )
