"""The inputs of a pipeline: statistics, and frames if it has a codebook or a network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import Config
from genreclf.errors import TableError
from genreclf.features.measured import Measured
from genreclf.tables.frames import Frames
from genreclf.tables.table import FeatureTable

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class FrameInputs:
    """Statistics and frames of the same tracks, which scikit-learn can count and index.

    Attributes
    ----------
    values : (n_tracks, n_features) float32
    frames : Frames
    """

    values: Floats
    frames: Frames

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``values``, by which scikit-learn knows what has rows."""
        return self.values.shape

    def __getitem__(self, rows: Any) -> "FrameInputs":
        rows = rows[0] if isinstance(rows, tuple) else rows  # scikit-learn's (rows, ...)
        return FrameInputs(self.values[rows], self.frames.take(rows))


Inputs: TypeAlias = Floats | FrameInputs


def inputs(table: FeatureTable, config: Config) -> Inputs:
    """Return what a pipeline takes of a table.

    Parameters
    ----------
    table : FeatureTable
        With the columns that the pipeline takes.
    config : Config
        As ``resolution.resolve`` returns it.

    Returns
    -------
    (n_tracks, n_features) float32, (n_tracks, n_excerpts, n_features) float32, or FrameInputs
        The statistics, those of each excerpt where the classifier learns from excerpts, or those of
        tracks and frames where there is a codebook or a network.

    Raises
    ------
    TableError
        If the table lacks excerpts or frames that are needed, or they are not finite.
    """
    if config.learn_from == "excerpts":
        return _excerpts(table)
    if not config.takes_frames:
        return table.values
    if table.frames is None:
        part = "codebook" if config.codebook.n_words else "network"
        raise TableError(f"the table has no frames, which the model's {part} needs")
    for name in table.frames:
        if not all(np.isfinite(batch).all() for batch in table.frames.batches(name)):
            raise TableError(
                f"the table's frames of {name} are not finite: they are damaged; extract it again"
            )
    return FrameInputs(table.values, table.frames)


def _excerpts(table: FeatureTable) -> Floats:
    if table.excerpts is None:
        raise TableError(
            "the table holds no statistics of single excerpts, which the model learned from; "
            "extract it again with -o, and without --rows-per-file"
        )
    if not np.isfinite(table.excerpts).all():
        raise TableError(
            "the table's statistics of single excerpts are not finite: they are damaged; extract "
            "it again"
        )
    return table.excerpts


def inputs_of(measured: Sequence[Measured], columns: Sequence[int], config: Config) -> Inputs:
    """Return what a pipeline takes of measured tracks, of whose statistics it takes ``columns``.

    Windows, which have no excerpts, are taken as single ones.
    """
    if config.learn_from == "excerpts" and measured[0].excerpts is not None:
        return np.array([part.excerpts for part in measured], dtype=np.float32)[:, :, columns]
    values = np.array([part.statistics for part in measured], dtype=np.float32)[:, columns]
    if not config.takes_frames:
        return values
    frames = Frames.of_tracks([part.frames for part in measured], config)
    return values if frames is None else FrameInputs(values, frames)


def statistics_of(given: Inputs) -> Floats:
    """Return the statistics alone, (n_tracks, n_features) or (n_tracks, n_excerpts, n_features)."""
    return given.values if isinstance(given, FrameInputs) else given


def exchanged(given: Inputs, partners: NDArray[np.intp], columns: NDArray[np.intp]) -> Inputs:
    """Give every track the statistics in ``columns`` of its partner, excerpt by excerpt."""
    values = statistics_of(given).copy()
    values[..., columns] = values[partners][..., columns]
    return replace(given, values=values) if isinstance(given, FrameInputs) else values


def with_frames_exchanged(given: Inputs, partners: NDArray[np.intp]) -> Inputs:
    """Give every track the frames of its partner."""
    if not isinstance(given, FrameInputs):
        return given
    return replace(given, frames=given.frames.take(partners))
