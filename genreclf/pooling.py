"""From frames to one vector a track: statistics over time, each under a telling name."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from genreclf.config import ExtractionConfig, View
from genreclf.features import TRACK_LEVEL, feature_rows
from genreclf.spectra import Array

__all__ = ["STATISTICS", "feature_names", "pool"]

Doubles = NDArray[np.float64]


def _moment(rows: Doubles, order: int, of_normal: float) -> Doubles:
    """Standardised central moment less a normal distribution's; 0 for a row that never varies."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(centred**2, axis=1, keepdims=True))
    # Frames are float32: what varies less than they can tell does not vary.
    steady = spread <= 1e-7 * np.max(np.abs(rows), axis=1, keepdims=True)
    standardised = centred / np.where(steady, 1, spread)
    return np.where(steady[:, 0], 0, np.mean(standardised**order, axis=1) - of_normal)


STATISTICS: Mapping[str, Callable[[Doubles], Doubles]] = {
    "mean": lambda rows: rows.mean(axis=1),
    "var": lambda rows: rows.var(axis=1),
    "max": lambda rows: rows.max(axis=1),
    "min": lambda rows: rows.min(axis=1),
    "std": lambda rows: rows.std(axis=1),
    "median": lambda rows: np.median(rows, axis=1),
    "skewness": lambda rows: _moment(rows, 3, of_normal=0),
    "kurtosis": lambda rows: _moment(rows, 4, of_normal=3),
}


def pool(frames: Mapping[str, Array], config: ExtractionConfig) -> Array:
    """Summarise frames over time.

    Parameters
    ----------
    frames : mapping of str to (d, t) float32
        As ``compute_features`` gives them, those of all views together.

    Returns
    -------
    (n_features,) float32
        In the order of ``feature_names``: view after view, for each feature one statistic after
        the other, each over all rows, or one for all rows where they are joined
        (``pooling.joint``). Population variance; kurtosis is the excess over a normal
        distribution's. Computed in double precision.
    """
    columns: list[Array | Doubles] = []
    for view in config.each_view:
        for name in view.features.select:
            columns += _columns(frames[name], name, view)
    return np.concatenate(columns).astype(np.float32)


def _columns(rows: Array, name: str, view: View) -> list[Array | Doubles]:
    if name in TRACK_LEVEL:
        return [rows[:, 0]]
    doubles = rows.astype(np.float64)
    if name in view.pooling.joint:
        doubles = doubles.reshape(1, -1)
    return [STATISTICS[statistic](doubles) for statistic in view.pooling.statistics]


def feature_names(config: ExtractionConfig) -> list[str]:
    """Name the columns that ``pool`` gives, as in ``mix.mfcc.03.mean``.

    Examples
    --------
    >>> from genreclf import load_config
    >>> feature_names(load_config())[:2]
    ['harmonic.chroma.C.mean', 'harmonic.chroma.C#.mean']
    """
    names = []
    for view in config.each_view:
        for feature, rows in feature_rows(view).items():
            suffixes = ("",) if feature in TRACK_LEVEL else view.pooling.statistics
            stems = ("",) if feature in view.pooling.joint else rows
            for suffix in suffixes:
                names += [".".join(filter(None, (feature, stem, suffix))) for stem in stems]
    return names
