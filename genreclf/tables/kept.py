"""What is kept of tracks beside a table: a folder with memory-mapped ``.npy`` files.

There is one file for the frames of each feature, and one for the statistics of single excerpts. The
folder holds a digest of the table's configuration and paths, so that they are never taken for those
of other tracks.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.format import open_memmap, write_array_header_1_0
from numpy.typing import NDArray

from genreclf.config.schema import ExtractionConfig
from genreclf.errors import TableError, shortened
from genreclf.features.measured import frame_shapes
from genreclf.features.pooling import feature_names
from genreclf.files import beside, folder_written_whole
from genreclf.tables.frames import Frames, FramesFile
from genreclf.tables.table import FeatureTable, Texts

_OWNER = "frames.json"
_EXCERPTS = "excerpts.npy"

NO_EXCERPTS = (
    "the table holds no statistics of single excerpts, so the excerpts of a track count as one; "
    "extract it again with -o, and without --rows-per-file, to train on each excerpt"
)

Floats = NDArray[np.float32]


def frames_path(table: Path) -> Path:
    """Return the folder that holds the frames of a table."""
    return beside(table, ".frames")


def write_kept(table: FeatureTable, path: Path) -> None:
    """Write what is kept beside a table, whole or not at all; frames of some tracks at a time.

    Raises
    ------
    TableError
        If there is something in that place that genreclf did not write.
    """
    if table.config is None or (table.frames is None and table.excerpts is None):
        return
    with _own_folder(path) as aside:
        if table.frames is not None:
            _write_frames(table.frames, aside)
        if table.excerpts is not None:
            _write_excerpts(table.excerpts, table.names, table.config, aside)
        owner = json.dumps({"tracks": _digest(table.config, table.paths)})
        (aside / _OWNER).write_text(owner, encoding="utf-8")


def copy_kept(table: Path, other: Path) -> None:
    """Copy what is kept beside a table, if anything is, for another table of the same tracks.

    Raises
    ------
    TableError
        As ``write_kept`` does.
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
    """Yield a folder that becomes the one beside a table."""
    folder = frames_path(table)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _OWNER).exists():
        raise TableError(f"{folder}: a folder that genreclf did not write; move it away")
    with folder_written_whole(folder) as aside:
        yield aside


def _write_frames(frames: Frames, folder: Path) -> None:
    for name, shape in frames.shapes.items():
        _write_array(folder / f"{name}.npy", "<f2", (frames.n_tracks, *shape), frames.batches(name))


def _write_excerpts(
    excerpts: Floats, names: Sequence[str], config: ExtractionConfig, folder: Path
) -> None:
    """Write a column for each feature of the configuration: NaN if the table does not have it."""
    n_columns, columns = len(feature_names(config)), _columns(names, config)

    def completed(of_track: Floats) -> Floats:
        whole = np.full((len(of_track), n_columns), np.nan, np.float32)
        whole[:, columns] = of_track
        return whole

    shape = (*excerpts.shape[:2], n_columns)
    _write_array(folder / _EXCERPTS, "<f4", shape, map(completed, excerpts))


def _write_array(
    file: Path, kind: str, shape: tuple[int, ...], parts: Iterable[NDArray[Any]]
) -> None:
    """Write an array part by part; writing through a memory map would crash on a full disk."""
    with file.open("wb") as target:
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        write_array_header_1_0(target, header)
        for part in parts:
            target.write(np.ascontiguousarray(part, kind).data)


def with_kept(table: FeatureTable, path: Path) -> FeatureTable:
    """Return a table with what is kept beside its file, mapped into memory.

    Raises
    ------
    TableError
        If something is missing or damaged, or is not of these tracks in this order. The statistics
        of single excerpts may be missing as a whole, with a note.
    """
    config = table.config
    if config is None:
        return table
    folder, shapes = frames_path(path), frame_shapes(config)
    has_excerpts = config.n_excerpts > 1 and (folder / _EXCERPTS).is_file()
    if config.n_excerpts > 1 and not has_excerpts:
        table = replace(table, notes=[*table.notes, NO_EXCERPTS])
    if not shapes and not has_excerpts:
        return table
    _check_folder(folder, path, _digest(config, table.paths))
    n = len(table)
    frames = {}
    for name, shape in shapes.items():
        file = folder / f"{name}.npy"
        array = _mapped(file, (n, *shape), np.dtype(np.float16), path)
        frames[name] = FramesFile.of(file, array)
    return replace(
        table,
        frames=Frames(frames) if frames else None,
        excerpts=_read_excerpts(folder, table, config, path) if has_excerpts else None,
    )


def _read_excerpts(
    folder: Path, table: FeatureTable, config: ExtractionConfig, path: Path
) -> Floats:
    names = feature_names(config)
    shape = (len(table), config.n_excerpts, len(names))
    excerpts: Floats = _mapped(folder / _EXCERPTS, shape, np.dtype(np.float32), path)
    return excerpts if table.names == names else excerpts[:, :, _columns(table.names, config)]


def _columns(names: Sequence[str], config: ExtractionConfig) -> list[int]:
    """Return the positions of columns among those of the configuration."""
    place = {name: column for column, name in enumerate(feature_names(config))}
    return [place[name] for name in names]


def _check_folder(folder: Path, path: Path, digest: str) -> None:
    if folder.is_file():
        raise TableError(
            f"{folder}: holds frames in the format of an older genreclf; extract {path.name} again"
        )
    if not folder.is_dir():
        raise TableError(
            f"{path}: was extracted with frames, but {folder.name} is not beside it; bring it "
            "there, or extract again"
        )
    if _owner(folder, path) != digest:
        raise TableError(
            f"{folder}: holds the frames of other tracks, or in another order, than {path.name}; "
            "extract again"
        )


def _owner(folder: Path, table: Path) -> object:
    file = folder / _OWNER
    try:
        if not file.is_file():  # a named pipe would be waited for
            raise FileNotFoundError
        return json.loads(file.read_text(encoding="utf-8"))["tracks"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise TableError(f"{file}: is missing or damaged; extract {table.name} again") from None


def _mapped(
    file: Path, shape: tuple[int, ...], kind: np.dtype[Any], table: Path
) -> "np.memmap[Any, Any]":
    if not file.is_file():
        raise TableError(f"{file}: is missing; extract {table.name} again")
    try:
        array = cast(np.memmap[Any, Any], open_memmap(file, "r"))
    except Exception as error:  # of any type, depending on the damage
        raise _damaged(file, table, shortened(str(error) or type(error).__name__, 200)) from None
    if array.shape != shape or array.dtype != kind:
        found = f"{array.shape} {array.dtype}, not {shape} {kind}"
        raise _damaged(file, table, found)
    if array.offset + array.nbytes != file.stat().st_size:
        raise _damaged(file, table, "longer than its header says")
    return array


def _damaged(file: Path, table: Path, reason: str) -> TableError:
    return TableError(f"{file}: is damaged ({reason}); extract {table.name} again")


def _digest(config: ExtractionConfig, paths: Texts) -> str:
    names = b"\0".join(os.fsencode(path) for path in paths)
    return hashlib.sha256(config.fingerprint.encode() + b"\0" + names).hexdigest()
