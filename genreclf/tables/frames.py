"""Frames of a table's tracks, which are read when they are asked for."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError
from genreclf.features.measured import Halves, frame_shapes

BATCH_TRACKS = 64  # whose frames are in memory at a time


class Frames(Mapping[str, Halves]):
    """The frames of n tracks: feature name to (n, d, t) float16.

    A feature is read when it is asked for, and only of the tracks that ``take`` chose.

    Parameters
    ----------
    arrays : mapping of str to (n, d, t) array
        Arrays, memory maps, or whatever else has a shape and is indexed by the numbers of tracks.
    rows : (n_chosen,) array of int, optional
        The tracks that are chosen; all without it.
    """

    def __init__(self, arrays: Mapping[str, Any], rows: NDArray[np.intp] | None = None) -> None:
        self._arrays, self._rows = arrays, rows

    @classmethod
    def of_tracks(
        cls, tracks: Sequence[Mapping[str, Halves]], config: ExtractionConfig
    ) -> "Frames | None":
        """Put the frames of tracks together; None where the configuration keeps none."""
        shapes = frame_shapes(config)
        arrays = {name: _Stack(tracks, name, shape) for name, shape in shapes.items()}
        return cls(arrays) if arrays else None

    @classmethod
    def joined(cls, parts: Sequence["Frames | None"]) -> "Frames | None":
        """Put the tracks of several tables one after the other, in memory; None without frames."""
        known = [part for part in parts if part is not None]
        if not known or len(known) < len(parts):
            return None
        return cls({name: np.concatenate([part[name] for part in known]) for name in known[0]})

    def __getitem__(self, name: str) -> Halves:
        array = self._arrays[name]
        if self._rows is None and isinstance(array, FramesFile):
            return array.mapped()
        if self._rows is None and isinstance(array, np.ndarray):
            return array
        return np.asarray(array[self._all_rows()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[Any, ...]:
        if all(isinstance(array, FramesFile) for array in self._arrays.values()):
            return Frames, (self._arrays, self._rows)  # another process reads the same files
        return Frames, ({name: np.asarray(rows) for name, rows in self.items()},)

    @property
    def n_tracks(self) -> int:
        """How many tracks are chosen."""
        return len(self._all_rows())

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The (d, t) of each feature, without reading it."""
        return {name: tuple(array.shape[1:]) for name, array in self._arrays.items()}

    def take(self, rows: Any) -> "Frames":
        """Choose tracks by an index or boolean array, or a slice; reads nothing."""
        return Frames(self._arrays, self._all_rows()[rows])

    def batches(self, name: str) -> Iterator[Halves]:
        """Yield the frames of a feature, those of some tracks at a time."""
        rows = self._all_rows()
        for start in range(0, len(rows), BATCH_TRACKS):
            yield np.asarray(self._arrays[name][rows[start : start + BATCH_TRACKS]])

    def _all_rows(self) -> NDArray[np.intp]:
        if self._rows is not None:
            return self._rows
        return np.arange(next(iter(self._arrays.values())).shape[0])


@dataclass(frozen=True, slots=True)
class FramesFile:
    """The frames of a feature in a file, indexed as one array.

    It is mapped anew for each reading: pages that have been read would else count as memory of this
    process for as long as the mapping exists.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    version: tuple[int, int]  # of the file, so that another in its place is not taken for it

    @classmethod
    def of(cls, path: Path, array: "np.memmap[Any, Any]") -> "FramesFile":
        """Describe a file that is mapped into memory."""
        return cls(path.resolve(), array.offset, array.shape, _version(path.stat()))

    def mapped(self) -> Halves:
        """Map the file into memory.

        Raises
        ------
        TableError
            If it has changed since the table was read.
        """
        try:
            with self.path.open("rb") as file:
                if _version(os.fstat(file.fileno())) == self.version:
                    return np.memmap(file, "<f2", "r", self.offset, self.shape)
        except OSError:
            pass
        raise TableError(f"{self.path}: was changed while it was in use; run the command again")

    def __getitem__(self, rows: NDArray[np.intp]) -> Halves:
        return np.asarray(self.mapped()[rows])


def _version(status: os.stat_result) -> tuple[int, int]:
    return status.st_ino, status.st_mtime_ns


class _Stack:
    """The frames of single tracks, indexed as one array, which is not made unless it is read."""

    def __init__(
        self, tracks: Sequence[Mapping[str, Halves]], name: str, shape: tuple[int, int]
    ) -> None:
        self._tracks, self._name = tracks, name
        self.shape = (len(tracks), *shape)

    def __getitem__(self, rows: NDArray[np.intp]) -> Halves:
        found = np.empty((len(rows), *self.shape[1:]), dtype=np.float16)
        for place, row in enumerate(rows):
            found[place] = self._tracks[row][self._name]
        return found
