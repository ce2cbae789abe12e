"""Measured: the result of extraction for a track, and its compact form in journals and caches."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.config.views import View
from genreclf.features.pooling import feature_names
from genreclf.features.spectra import Array

Halves = NDArray[np.float16]

_LARGEST_HALF = float(np.finfo(np.float16).max)
_LENGTH_BYTES = 4  # length of the notes, which come first

# Start and stop in seconds.
Spans: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class Measured:
    """The result of extraction for a track: statistics and stored frames.

    Attributes
    ----------
    statistics : (n_features,) float32
        Named by ``feature_names``.
    frames : mapping of str to (d, t) float16
        The frames that are kept, by feature; see ``keep_frames``.
    notes : tuple of str
        What the user should know of how the track was decoded, without its name.
    excerpts : (n_excerpts, n_features) float32, or None
        The statistics of each excerpt alone, where the configuration takes several.
    spans : tuple of (float, float)
        The seconds of the track that each excerpt of the first view covers; empty if not known.
    """

    statistics: Array
    frames: Mapping[str, Halves] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    excerpts: Array | None = None
    spans: Spans = ()

    def not_finite(self, config: ExtractionConfig) -> str | None:
        """Return the name of the first column or feature that is not finite, if there is one."""
        rows = self.statistics[None]
        if self.excerpts is not None:
            rows = np.concatenate((rows, self.excerpts))
        if not (finite := np.isfinite(rows).all(axis=0)).all():
            return feature_names(config)[int(finite.argmin())]
        return next(
            (name for name, rows in self.frames.items() if not np.isfinite(rows).all()), None
        )


def keep_frames(frames: Mapping[str, Array], config: ExtractionConfig) -> dict[str, Halves]:
    """Choose the frames that are kept of a track.

    Parameters
    ----------
    frames : mapping of str to (d, t) float32
        As for ``pool``.

    Returns
    -------
    dict of str to (d, t) float16
        Of the shapes that ``frame_shapes`` gives. A number of frames are evenly spaced over the
        excerpt; a shorter excerpt has each of them several times. Of all frames, a shorter excerpt
        begins again where it ends. Either way a histogram over frames stays nearly the same. Half
        precision has three decimal digits and ends at 65,504, to which larger values are clipped.
    """
    return {
        name: np.clip(
            frames[name][:, _chosen(frames[name].shape[1], n, _keeps_all(config, name))],
            -_LARGEST_HALF,
            _LARGEST_HALF,
        ).astype(np.float16)
        for name, (_, n) in frame_shapes(config).items()
    }


def _chosen(n_frames: int, n_wanted: int, every: bool) -> NDArray[np.intp]:
    if every:
        return np.arange(n_wanted) % n_frames
    return (2 * np.arange(n_wanted) + 1) * n_frames // (2 * n_wanted)


def _keeps_all(config: ExtractionConfig, name: str) -> bool:
    return any(
        view.pooling.frames_per_track == "all"
        for view in config.each_view
        if name in view.pooling.keep_frames
    )


def frame_shapes(config: ExtractionConfig) -> dict[str, tuple[int, int]]:
    """Return (d, t) of each feature of ``pooling.keep_frames``, the same for every track."""
    return {
        name: (len(view.rows(name)), _n_frames(view, name))
        for view in config.each_view
        for name in view.pooling.keep_frames
    }


def _n_frames(view: View, name: str) -> int:
    wanted = view.pooling.frames_per_track
    return view.n_values(name) if wanted == "all" else wanted


@lru_cache
def _record(config: ExtractionConfig) -> np.dtype[Any]:
    """Describe a track's numbers in bytes: statistics in single, frames in half precision."""
    shapes = frame_shapes(config).items()
    n_excerpts, n_features = config.n_excerpts, len(feature_names(config))
    return np.dtype(
        [
            ("statistics", "<f4", (n_features,)),
            *((name, "<f2", shape) for name, shape in shapes),
            *([("excerpts", "<f4", (n_excerpts, n_features))] if n_excerpts > 1 else []),
        ]
    )


def pack(measured: Measured, config: ExtractionConfig) -> bytes:
    """Return the bytes of a track: of its notes and spans, then of its numbers."""
    texts = json.dumps({"notes": measured.notes, "spans": measured.spans}).encode()
    record = np.empty(1, dtype=_record(config))
    record["statistics"] = measured.statistics
    for name, rows in measured.frames.items():
        record[name] = rows
    if measured.excerpts is not None:
        record["excerpts"] = measured.excerpts
    return len(texts).to_bytes(_LENGTH_BYTES) + texts + record.tobytes()


def unpack(content: bytes, config: ExtractionConfig) -> Measured | None:
    """Return what ``pack`` was given, the same bits; None for other bytes."""
    stop = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES])
    try:
        notes, spans = _texts(content[_LENGTH_BYTES:stop])
        [record] = np.frombuffer(content[stop:], dtype=_record(config))
    except (ValueError, TypeError, KeyError):
        return None
    frames = {name: record[name] for name in frame_shapes(config)}
    excerpts = record["excerpts"] if config.n_excerpts > 1 else None
    return Measured(record["statistics"], frames, notes, excerpts, spans)


def _texts(content: bytes) -> tuple[tuple[str, ...], Spans]:
    known = json.loads(content)
    if isinstance(known, list):  # of older caches and journals, which had no spans
        known = {"notes": known, "spans": []}
    spans = tuple((float(start), float(stop)) for start, stop in known["spans"])
    return tuple(map(str, known["notes"])), spans
