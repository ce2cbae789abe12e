"""The frames that a track keeps for a codebook, behind its statistics in one vector."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from genreclf.config.schema import ExtractionConfig
from genreclf.features.catalogue import feature_rows
from genreclf.features.pooling import feature_names
from genreclf.features.spectra import Array

_LARGEST_HALF = float(np.finfo(np.float16).max)


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


class Measured(NamedTuple):
    """What was computed of a track.

    Attributes
    ----------
    values : (n_features,) or (n_excerpts, n_features) float32
        Statistics, then the frames that are kept.
    notes : tuple of str
        What the user should know of how the track was heard, without its name.
    """

    values: Array
    notes: tuple[str, ...] = ()


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

    def pack(self, vectors: Array) -> bytes:
        """Return the bytes of a vector, or of several, one behind the other."""
        return b"".join(
            vector[: self.n_statistics].astype("<f4").tobytes()
            + vector[self.n_statistics :].astype("<f2").tobytes()
            for vector in np.atleast_2d(vectors)
        )

    def unpack(self, content: bytes) -> Array | None:
        """Return the vector that ``pack`` was given, the same bits; None for other bytes."""
        split = 4 * self.n_statistics
        if len(content) != split + 2 * self.n_kept:
            return None
        statistics = np.frombuffer(content[:split], dtype="<f4")
        return np.concatenate((statistics, np.frombuffer(content[split:], dtype="<f2"))).astype(
            np.float32
        )

    def unpack_each(self, content: bytes) -> Array | None:
        """Return the vectors that ``pack`` was given, (n, n_features); None for other bytes."""
        size = 4 * self.n_statistics + 2 * self.n_kept
        if not content or len(content) % size:
            return None
        parts = (content[start : start + size] for start in range(0, len(content), size))
        return np.array([self.unpack(part) for part in parts], dtype=np.float32)
