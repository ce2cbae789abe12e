"""Whether a classifier's confidence agrees with its accuracy."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

N_BINS = 10
MOST_DRAWN = 20_000_000  # simulated predictions, so that it takes well below a second


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """Predictions with a confidence between ``low`` and ``high``: their number and means."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def reliability(confidence: Doubles, correct: NDArray[np.bool_]) -> list[ConfidenceBin]:
    """Compare confidence with accuracy in ten bins of equal width, without the empty ones.

    As ``sklearn.calibration.calibration_curve``, which does not return the number of predictions.
    """
    edges = np.linspace(0, 1, N_BINS + 1)
    where = _bins(confidence)
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


def _bins(confidence: Doubles) -> NDArray[np.intp]:
    return np.clip(np.ceil(confidence * N_BINS).astype(np.intp) - 1, 0, N_BINS - 1)


def expected_calibration_error(bins: list[ConfidenceBin]) -> float:
    """Mean distance of confidence from accuracy (Naeini, Cooper & Hauskrecht 2015)."""
    gaps = sum(part.n * abs(part.confidence - part.accuracy) for part in bins)
    return gaps / sum(part.n for part in bins)


def calibration_error_by_chance(
    confidence: Doubles, n: float | None = None, seed: int = 0
) -> tuple[float, float, float]:
    """Simulate the calibration error of a perfectly calibrated classifier.

    With few tracks, confidence and accuracy differ by chance. Each simulation draws which
    predictions are correct, each with the probability that its confidence states.

    Parameters
    ----------
    confidence : (n_tracks,) array
    n : float, optional
        Number of distinct recordings; by default all tracks.
    seed : int

    Returns
    -------
    mean, low, high : float
        The mean, and the interval that holds 95 % of the simulated errors.
    """
    random = np.random.default_rng(seed)
    n_tracks = len(confidence)
    bins = _bins(confidence)
    errors = []
    for _ in range(int(np.clip(MOST_DRAWN // n_tracks, 100, 2000))):
        gaps = np.bincount(bins, weights=(random.random(n_tracks) < confidence) - confidence)
        errors.append(np.abs(gaps).sum() / n_tracks)
    # Errors by chance shrink with the square root of the number of predictions.
    scale = np.sqrt(n_tracks / (n or n_tracks))
    mean, (low, high) = np.mean(errors), np.percentile(errors, (2.5, 97.5))
    mean, low, high = np.minimum(1, scale * np.array([mean, low, high]))
    return float(mean), float(low), float(high)
