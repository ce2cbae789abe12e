"""The map of tracks in the HTML report: the first two principal components of their features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genreclf.evaluation.result import Evaluation
from genreclf.learning.scaling import LogScaler
from genreclf.tables.table import FeatureTable

Doubles = NDArray[np.float64]

MOST_POINTS = 2000
N_COLOURS, N_SHAPES = 8, 7  # without a common factor: 56 different marks
LIMIT = 4.0  # standard deviations that a feature counts at most, so that no outlier dominates
WIDTH, HEIGHT, MARGIN = 640, 420, 14


@dataclass(frozen=True, slots=True)
class _Point:
    """A track on the map; ``mark`` is the position of its genre in the legend."""

    x: float
    y: float
    mark: int
    path: str
    label: str
    predicted: str | None


def track_map(evaluation: Evaluation, table: FeatureTable) -> dict[str, Any] | None:
    """Place tracks by their first two principal components; None if there are fewer.

    Returns
    -------
    dict or None
        Points, legend and sizes, as the template takes them.
    """
    rows = np.flatnonzero(table.labels != "")
    n_labelled = len(rows)
    labels, counts = np.unique(table.labels[rows], return_counts=True)
    if n_labelled > MOST_POINTS:
        random = np.random.default_rng(evaluation.config.seed)
        rows = random.choice(rows, MOST_POINTS, replace=False)
    scores, explained = _two_components(table.values[rows])
    if scores is None:
        return None
    predicted = dict(zip(evaluation.held_out.rows, evaluation.held_out.predicted, strict=True))
    most = sorted(np.argsort(-counts, kind="stable")[: N_COLOURS * N_SHAPES - 1])
    legend = [(str(labels[i]), int(counts[i])) for i in most]
    if rest := len(labels) - len(legend):
        legend.append((f"{rest} others", n_labelled - sum(n for _, n in legend)))
    mark = {genre: i for i, (genre, _) in enumerate(legend[: len(most)])}
    x, y = _scaled(scores[:, 0], WIDTH), _scaled(-scores[:, 1], HEIGHT)
    points = [
        _Point(x[i], y[i], mark.get(table.labels[row], len(most)), table.paths[row],
               table.labels[row], predicted.get(row))
        for i, row in enumerate(rows)
    ]  # fmt: skip
    return {
        "points": points, "legend": legend, "explained": explained, "n_labelled": n_labelled,
        "width": WIDTH, "height": HEIGHT, "n_colours": N_COLOURS, "n_shapes": N_SHAPES,
    }  # fmt: skip


def _two_components(values: NDArray[np.float32]) -> tuple[Doubles | None, list[float]]:
    """Return the first two principal components, (n, 2), and their shares of the variance."""
    known = values[:, ~np.isnan(values).all(axis=0)]
    if min(known.shape) < 2:
        return None, []
    filled = np.where(np.isnan(known), np.nanmedian(known, axis=0), known)
    scaled = LogScaler((filled > 0).all(axis=0), LIMIT).fit_transform(filled)
    left, spread, right = np.linalg.svd(scaled - scaled.mean(axis=0), full_matrices=False)
    if spread[0] <= 1e-9:
        return None, []
    # The sign of a component is arbitrary: this choice gives the same map every time.
    largest = np.abs(right[:2]).argmax(axis=1)
    signs = np.sign(right[[0, 1], largest])
    shares = spread**2 / (spread**2).sum()
    return left[:, :2] * spread[:2] * signs, [float(shares[0]), float(shares[1])]


def _scaled(coordinates: Doubles, size: float) -> list[float]:
    """Scale coordinates to a side of the map; outliers are placed at its edge."""
    low, high = np.quantile(coordinates, (0.002, 0.998))
    inside = (np.clip(coordinates, low, high) - low) / max(high - low, 1e-12)
    placed: list[float] = np.round(MARGIN + inside * (size - 2 * MARGIN), 1).tolist()
    return placed
