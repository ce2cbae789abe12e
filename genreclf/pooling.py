"""From frames to one vector a track: statistics over time, each under a telling name."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from genreclf.config import ExtractionConfig
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
        As ``compute_features`` gives them.

    Returns
    -------
    (n_features,) float32
        In the order of ``feature_names``: for each feature, one statistic after the other,
        each over all rows. Population variance; kurtosis is the excess over a normal
        distribution's. Computed in double precision.
    """
    columns: list[Array | Doubles] = []
    for name, rows in frames.items():
        if name in TRACK_LEVEL:
            columns.append(rows[:, 0])
        else:
            doubles = rows.astype(np.float64)
            columns += [STATISTICS[statistic](doubles) for statistic in config.pooling.statistics]
    return np.concatenate(columns).astype(np.float32)


def feature_names(config: ExtractionConfig) -> list[str]:
    """Name the columns that ``pool`` gives, as in ``mix.mfcc.03.mean``.

    Examples
    --------
    >>> from genreclf import load_config
    >>> feature_names(load_config())[:2]
    ['harmonic.chroma.C.mean', 'harmonic.chroma.C#.mean']
    """
    names = []
    for feature, rows in feature_rows(config).items():
        suffixes = [""] if feature in TRACK_LEVEL else config.pooling.statistics
        for suffix in suffixes:
            names += [".".join(filter(None, (feature, row, suffix))) for row in rows]
    return names
