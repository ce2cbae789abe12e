"""From frames to one vector per track: statistics over time, and the names of the columns."""

from collections.abc import Callable, Collection, Mapping
from itertools import combinations_with_replacement, pairwise
from typing import NamedTuple

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import View
from genreclf.features.catalogue import feature_rows
from genreclf.features.spectra import Array, fft_frequencies, hann_window

Doubles = NDArray[np.float64]


def _moment(rows: Doubles, order: int, of_normal: float) -> Doubles:
    """Return a standardised moment less that of a normal distribution; 0 for a constant row."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.mean(centred**2, axis=1, keepdims=True))
    # A row that varies by less than the precision of float32 is constant.
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
        Of all views together.

    Returns
    -------
    (n_features,) float32
        In the order of ``feature_names``. Computed in double precision.
    """
    columns = [
        values
        for view in config.each_view
        for feature in view.feature_names
        for pooler in POOLERS
        if feature in pooler.features(view)
        for values in pooler.pool(frames[feature], feature, view)
    ]
    return np.concatenate(columns).astype(np.float32)


def feature_names(config: ExtractionConfig) -> list[str]:
    """Return the names of the columns of ``pool``, such as ``mix.mfcc.03.mean``.

    Examples
    --------
    >>> from genreclf import load_config
    >>> feature_names(load_config())[:2]
    ['harmonic.chroma.C.mean', 'harmonic.chroma.C#.mean']
    """
    return [
        ".".join(filter(None, (feature, *parts)))
        for view in config.each_view
        for feature, rows in feature_rows(view).items()
        for pooler in POOLERS
        if feature in pooler.features(view)
        for parts in pooler.names(rows, feature, view)
    ]


Columns = list[Array | Doubles]
Names = list[tuple[str, ...]]


class Pooler(NamedTuple):
    """A way to make columns of the rows of a feature.

    Attributes
    ----------
    features : callable
        Returns the names of the features that it applies to.
    pool : callable
        Returns arrays with a value for each column, of (d, t) rows.
    names : callable
        Returns the parts of each column's name after the feature's, of the names of the rows.
    """

    features: Callable[[View], Collection[str]]
    pool: Callable[[Array, str, View], Columns]
    names: Callable[[tuple[str, ...], str, View], Names]


def _values(rows: Array, feature: str, view: View) -> Columns:
    return [rows[:, 0]]


def _value_names(rows: tuple[str, ...], feature: str, view: View) -> Names:
    return [(row,) for row in rows]


def _statistics(rows: Array, feature: str, view: View) -> Columns:
    """Each statistic of each row, or of all rows together for ``pooling.joint``.

    The variance is that of the population; kurtosis is the excess over a normal distribution's.
    """
    doubles = rows.astype(np.float64)
    if feature in view.pooling.joint:
        doubles = doubles.reshape(1, -1)
    return [STATISTICS[statistic](doubles) for statistic in view.pooling.statistics]


def _statistic_names(rows: tuple[str, ...], feature: str, view: View) -> Names:
    stems = ("",) if feature in view.pooling.joint else rows
    return [(stem, statistic) for statistic in view.pooling.statistics for stem in stems]


def _texture(rows: Array, feature: str, view: View) -> Columns:
    """Statistics of statistics over texture windows (Tzanetakis & Cook 2002).

    Windows overlap by half. Less than half a window at the end is left out; rows shorter than a
    window are one window.
    """
    wanted = max(1, round(view.pooling.texture_seconds * view.rate_hz(feature)))
    length = min(wanted, rows.shape[1])
    windows = sliding_window_view(rows.astype(np.float64), length, axis=1)[:, :: -(-length // 2)]
    if feature in view.pooling.joint:
        windows = windows.transpose(1, 0, 2).reshape(1, windows.shape[1], -1)
    flat = windows.reshape(-1, windows.shape[2])
    textures = (STATISTICS[inner](flat) for inner in view.pooling.texture_statistics)
    return [
        STATISTICS[outer](texture.reshape(windows.shape[:2]))
        for texture in textures
        for outer in view.pooling.statistics
    ]


def _texture_names(rows: tuple[str, ...], feature: str, view: View) -> Names:
    return [
        (*parts[:-1], inner, parts[-1])
        for inner in view.pooling.texture_statistics
        for parts in _statistic_names(rows, feature, view)
    ]


def _covariance(rows: Array, feature: str, view: View) -> Columns:
    """Covariance of each two rows, with the variances (Mandel & Ellis 2005)."""
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    # Without BLAS, whose order of additions depends on the machine.
    covariance = np.einsum("it,jt->ij", centred, centred) / rows.shape[1]
    return [covariance[np.triu_indices(len(rows))]]


def _covariance_names(rows: tuple[str, ...], feature: str, view: View) -> Names:
    pairs = combinations_with_replacement(rows, 2)
    return [(f"{row}x{other}" if row else "", "cov") for row, other in pairs]


def _modulation(rows: Array, feature: str, view: View) -> Columns:
    """Variance of each row in each band of modulation frequencies.

    Sums of the periodogram (McKinney & Breebaart 2003), in bands of an octave by default (Lee et
    al. 2009). A Hann window keeps trends from leaking into all bands. A band that is narrower than
    the resolution of the excerpt may be 0.
    """
    n = rows.shape[1]
    window = hann_window(n) if n > 1 else np.ones(1)
    centred = rows - rows.mean(axis=1, keepdims=True, dtype=np.float64)
    power = np.abs(scipy.fft.rfft(centred * window, axis=1)) ** 2 / (n * np.sum(window**2))
    power[:, 1 : (n + 1) // 2] *= 2  # for the negative frequencies
    hz = fft_frequencies(1, n) * view.rate_hz(feature)
    edges = np.searchsorted(hz, view.pooling.modulation_edges_hz)
    return [power[:, start:stop].sum(axis=1) for start, stop in pairwise(edges)]


def _modulation_names(rows: tuple[str, ...], feature: str, view: View) -> Names:
    bands = pairwise(view.pooling.modulation_edges_hz)
    return [(row, f"modulation_{low:g}-{high:g}hz") for low, high in bands for row in rows]


def _track_features(view: View) -> Collection[str]:
    return [name for name in view.feature_names if not view.rate_hz(name)]


def _frame_features(view: View) -> Collection[str]:
    return [name for name in view.feature_names if view.rate_hz(name)]


def _features_of_all_frames(view: View) -> Collection[str]:
    return () if view.pooling.texture_seconds else _frame_features(view)


def _features_of_windows(view: View) -> Collection[str]:
    return _frame_features(view) if view.pooling.texture_seconds else ()


POOLERS = (
    Pooler(_track_features, _values, _value_names),
    Pooler(_features_of_all_frames, _statistics, _statistic_names),
    Pooler(_features_of_windows, _texture, _texture_names),
    Pooler(lambda view: view.pooling.covariance, _covariance, _covariance_names),
    Pooler(lambda view: view.pooling.modulation, _modulation, _modulation_names),
)
