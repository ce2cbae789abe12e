"""From frames to one vector a track: statistics over time, each under a telling name.

Frames that are kept for a codebook follow the statistics in the vector.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from genreclf.config import ExtractionConfig, View
from genreclf.features import TRACK_LEVEL, feature_rows
from genreclf.spectra import Array

__all__ = ["STATISTICS", "Layout", "feature_names", "keep", "kept_shapes", "pool"]

Doubles = NDArray[np.float64]

_LARGEST_HALF = float(np.finfo(np.float16).max)


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


def keep(frames: Mapping[str, Array], config: ExtractionConfig) -> Array:
    """Choose the frames that a codebook is learned from, evenly spaced over the excerpt.

    Parameters
    ----------
    frames : mapping of str to (d, t) float32
        As for ``pool``.

    Returns
    -------
    (n_kept,) float32
        For each feature of ``kept_shapes`` its (d, n) frames, row after row. An excerpt of fewer
        than n frames has each of them several times, which leaves their shares nearly as they are.
        Values are those of half precision, in which they are stored: three decimal digits, and
        65,504 at most (of what is in Hz, only frequencies that nobody hears are higher).
    """
    kept = [np.empty(0, dtype=np.float16)]
    for name, (_, n) in kept_shapes(config).items():
        rows = frames[name]
        chosen = (2 * np.arange(n) + 1) * rows.shape[1] // (2 * n)
        within = np.clip(rows[:, chosen], -_LARGEST_HALF, _LARGEST_HALF)
        kept.append(within.astype(np.float16).ravel())
    return np.concatenate(kept).astype(np.float32)


def kept_shapes(config: ExtractionConfig) -> dict[str, tuple[int, int]]:
    """Return how many rows and frames are kept of each feature of ``pooling.keep_frames``."""
    return {
        name: (len(feature_rows(view)[name]), view.pooling.frames_per_track)
        for view in config.each_view
        for name in view.pooling.keep_frames
    }


class Layout(NamedTuple):
    """What a track's vector is made of: statistics, then kept frames.

    In caches and journals statistics have single and frames half precision.
    """

    n_statistics: int
    n_kept: int

    @classmethod
    def of(cls, config: ExtractionConfig) -> "Layout":
        """Return the layout of the vectors that a configuration makes."""
        shapes = kept_shapes(config).values()
        return cls(len(feature_names(config)), sum(d * n for d, n in shapes))

    def pack(self, vector: Array) -> bytes:
        """Return the bytes of a vector."""
        statistics, kept = vector[: self.n_statistics], vector[self.n_statistics :]
        return statistics.astype("<f4").tobytes() + kept.astype("<f2").tobytes()

    def unpack(self, content: bytes) -> Array | None:
        """Return the vector that ``pack`` was given, the same bits; None for other bytes."""
        split = 4 * self.n_statistics
        if len(content) != split + 2 * self.n_kept:
            return None
        statistics = np.frombuffer(content[:split], dtype="<f4")
        return np.concatenate((statistics, np.frombuffer(content[split:], dtype="<f2"))).astype(
            np.float32
        )
