"""Frames of a table's tracks, in a folder beside it with one memory-mapped ``.npy`` file a feature.

The folder holds a digest of the table's configuration and paths, so that frames are never taken
for those of other tracks.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError, shortened
from genreclf.features.measured import Halves, frame_shapes
from genreclf.files import beside, folder_written_whole

BATCH_TRACKS = 64  # whose frames are in memory at a time
_OWNER = "frames.json"


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
        if self._rows is None and isinstance(array, _File):
            return array.mapped()
        if self._rows is None and isinstance(array, np.ndarray):
            return array
        return np.asarray(array[self._all_rows()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __reduce__(self) -> tuple[Any, ...]:
        if all(isinstance(array, _File) for array in self._arrays.values()):
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
class _File:
    """The frames of a feature in a file, indexed as one array.

    It is mapped anew for each reading: pages that have been read would else count as memory of this
    process for as long as the mapping exists.
    """

    path: Path
    offset: int
    shape: tuple[int, ...]
    version: tuple[int, int]  # of the file, so that another in its place is not taken for it

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


def frames_path(table: Path) -> Path:
    """Return the folder that holds the frames of a table."""
    return beside(table, ".frames")


def write_frames(
    table: Path, frames: Frames, config: ExtractionConfig, paths: NDArray[np.object_]
) -> None:
    """Write the frames of a table, whole or not at all, some tracks at a time.

    Raises
    ------
    TableError
        If there is something in that place that genreclf did not write.
    """
    with _own_folder(table) as aside:
        for name, shape in frames.shapes.items():
            file = open_memmap(aside / f"{name}.npy", "w+", "<f2", (len(paths), *shape))
            start = 0
            for batch in frames.batches(name):
                file[start : (start := start + len(batch))] = batch
            file.flush()
        owner = json.dumps({"tracks": _digest(config, paths)})
        (aside / _OWNER).write_text(owner, encoding="utf-8")


def copy_frames(table: Path, other: Path) -> None:
    """Copy the frames of a table, if it has any, for another table of the same tracks.

    Raises
    ------
    TableError
        As ``write_frames`` does.
    """
    folder = frames_path(table)
    if not folder.is_dir() or folder.resolve() == frames_path(other).resolve():
        return
    with _own_folder(other) as aside:
        for file in folder.iterdir():
            if file.is_file():
                shutil.copyfile(file, aside / file.name)


@contextmanager
def _own_folder(table: Path) -> Iterator[Path]:
    """Yield a folder that becomes the one with the frames of a table."""
    folder = frames_path(table)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _OWNER).exists():
        raise TableError(f"{folder}: a folder that genreclf did not write; move it away")
    with folder_written_whole(folder) as aside:
        yield aside


def read_frames(table: Path, config: ExtractionConfig, paths: NDArray[np.object_]) -> Frames | None:
    """Map the frames of a table into memory; None where its configuration keeps none.

    Raises
    ------
    TableError
        If they are missing or damaged, or are not those of these tracks in this order.
    """
    shapes = frame_shapes(config)
    if not shapes:
        return None
    folder = frames_path(table)
    if folder.is_file():
        raise TableError(
            f"{folder}: holds frames in the format of an older genreclf; extract {table.name} again"
        )
    if not folder.is_dir():
        raise TableError(
            f"{table}: was extracted with frames, but {folder.name} is not beside it; bring it "
            "there, or extract again"
        )
    if _owner(folder, table) != _digest(config, paths):
        raise TableError(
            f"{folder}: holds the frames of other tracks, or in another order, than {table.name}; "
            "extract again"
        )
    return Frames(
        {
            name: _mapped(folder / f"{name}.npy", (len(paths), *shape), table)
            for name, shape in shapes.items()
        }
    )


def _owner(folder: Path, table: Path) -> object:
    file = folder / _OWNER
    try:
        if not file.is_file():  # a named pipe would be waited for
            raise FileNotFoundError
        return json.loads(file.read_text(encoding="utf-8"))["tracks"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise TableError(f"{file}: is missing or damaged; extract {table.name} again") from None


def _mapped(file: Path, shape: tuple[int, ...], table: Path) -> _File:
    if not file.is_file():
        raise TableError(f"{file}: is missing; extract {table.name} again")
    try:
        array = cast(np.memmap[Any, Any], open_memmap(file, "r"))
    except Exception as error:  # of any type, depending on the damage
        raise _damaged(file, table, shortened(str(error) or type(error).__name__, 200)) from None
    if array.shape != shape or array.dtype != np.float16:
        found = f"{array.shape} {array.dtype}, not {shape} float16"
        raise _damaged(file, table, found)
    status = file.stat()
    if array.offset + array.nbytes != status.st_size:
        raise _damaged(file, table, "longer than its header says")
    return _File(file.resolve(), array.offset, array.shape, _version(status))


def _damaged(file: Path, table: Path, reason: str) -> TableError:
    return TableError(f"{file}: is damaged ({reason}); extract {table.name} again")


def _digest(config: ExtractionConfig, paths: NDArray[np.object_]) -> str:
    names = b"\0".join(os.fsencode(path) for path in paths)
    return hashlib.sha256(config.fingerprint.encode() + b"\0" + names).hexdigest()
