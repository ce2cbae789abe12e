"""The labels in tables and manifests of any format, which change while all else stays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from genreclf.errors import TableError, shortened
from genreclf.files import written_whole
from genreclf.library.sources import is_assignment
from genreclf.tables.formats import Parts, import_pyarrow, table_parts, write_parts
from genreclf.tables.kept import copy_kept
from genreclf.tables.labelcsv import TextColumns, read_csv_texts, write_csv_texts
from genreclf.tables.npzfile import open_npz, strings


@dataclass(frozen=True, eq=False)
class LabelFile:
    """The labels in a table or manifest, and what identifies its tracks.

    Attributes
    ----------
    path : Path
        A file, or a folder of Parquet files.
    label_column : str
    paths, labels, groups : list of str
        Of each row; the empty string if there is none.
    assignments : dict of str to list of str
        Columns of folds and splits.
    is_table : bool
        Whether it has features, or is a manifest.
    """

    path: Path
    label_column: str
    paths: list[str]
    labels: list[str]
    groups: list[str]
    assignments: dict[str, list[str]]
    is_table: bool

    @property
    def folder(self) -> Path:
        """Where relative paths start: here for a table, at its own place for a manifest."""
        return Path() if self.is_table else self.path.parent


def read_labels(
    path: str | Path, label_column: str = "label", group_column: str = "group"
) -> LabelFile:
    """Read the labels of a table or manifest.

    Raises
    ------
    TableError
        If it cannot be read, has no rows, or lacks the column of labels.
    """
    path = Path(path)
    read = _read_folder if path.is_dir() else _read_file
    columns, is_table = read(path, {label_column, group_column})
    if label_column not in columns:
        raise TableError(
            f"{path}: no column {label_column}; if the genre is in a column with another name, "
            "give it with --label-column"
        )
    labels = columns[label_column]
    if not labels:
        raise TableError(f"{path}: has no rows")
    none = [""] * len(labels)
    return LabelFile(
        path=path,
        label_column=label_column,
        paths=columns.get("path", columns.get("filename", none)),
        labels=labels,
        groups=columns.get(group_column, none),
        assignments={
            name: columns[name]
            for name in columns
            if is_assignment(name) and name not in (label_column, group_column)
        },
        is_table=is_table,
    )


def write_labels(file: LabelFile, new: Mapping[int, str], output: Path) -> None:
    """Write a file with other labels; everything else in it stays, bit for bit.

    The frames of a table are copied. The input may be replaced; it is whole at any time.

    Parameters
    ----------
    file : LabelFile
    new : mapping of int to str
        Rows, from 0, and their new labels.
    output : Path
        Of the same format.

    Raises
    ------
    TableError
        If the format is another, or the file cannot be read or written.
    """
    if _suffix(file.path) != _suffix(output):
        raise TableError(
            f"{output}: the format stays as it is: give a name that ends in "
            f"{file.path.suffix or '.csv'}"
        )
    if file.path.is_dir():
        _write_folder(file, new, output)
    else:
        _write_file(file.path, file.label_column, new, output)


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    return suffix if suffix in (".parquet", ".npz") else ".csv"


def _read_folder(path: Path, named: set[str]) -> TextColumns:
    parts = [_read_file(part, named).columns for part in table_parts(path)]
    if any(part.keys() != parts[0].keys() for part in parts):
        raise TableError(f"{path}: its files have different columns")
    joined = {name: [text for part in parts for text in part[name]] for name in parts[0]}
    return TextColumns(joined, is_table=True)


def _read_file(path: Path, named: set[str]) -> TextColumns:
    readers = {".csv": read_csv_texts, ".parquet": _read_parquet, ".npz": _read_npz}

    def keep(name: str) -> bool:
        return name in {"path", "filename", *named} or is_assignment(name)

    with _explained(path):
        return readers[_suffix(path)](path, keep)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except OSError as error:
        if error.filename is not None:
            raise TableError(f"{error.filename}: {error.strerror}") from None
        raise TableError(f"{path}: cannot be read: {shortened(error, 300)}") from None  # pyarrow's
    except UnicodeDecodeError:
        raise TableError(f"{path}: cannot be read: it is not text in its encoding") from None
    except Exception as error:  # of any type, depending on the damage
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TableError(f"{path}: cannot be read: {shortened(reason, 300)}") from None


def _write_file(path: Path, column: str, new: Mapping[int, str], output: Path) -> None:
    writers = {".csv": write_csv_texts, ".parquet": _write_parquet, ".npz": _write_npz}
    with _explained(path):
        copy_kept(path, output)
        writers[_suffix(path)](path, column, new, output)


def _write_folder(file: LabelFile, new: Mapping[int, str], output: Path) -> None:
    """Write each part; the folder is no table until all are written."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise TableError(f"{output}: exists; write a folder of tables to a new folder")
    output.mkdir(exist_ok=True)
    write_parts(output, Parts(False, {}))
    first = 0
    for part in table_parts(file.path):
        with _explained(part):
            n_rows = import_pyarrow().parquet.read_metadata(part).num_rows
        of_part = {row - first: new[row] for row in new if first <= row < first + n_rows}
        _write_file(part, file.label_column, of_part, output / part.name)
        first += n_rows
    write_parts(output, Parts(True, {}))


def _read_parquet(path: Path, keep: Callable[[str], bool]) -> TextColumns:
    parquet = import_pyarrow().parquet
    names = [name for name in parquet.read_schema(path).names if keep(name)]
    columns = parquet.read_table(path, columns=names)
    columns.validate(full=True)  # among others, that texts are UTF-8
    return TextColumns(
        {name: [_text(cell) for cell in columns[name].to_pylist()] for name in names}, True
    )


def _write_parquet(path: Path, column: str, new: Mapping[int, str], output: Path) -> None:
    pyarrow = import_pyarrow()
    table = pyarrow.parquet.read_table(path)
    place = table.schema.names.index(column)
    cells = table.column(place).to_pylist()
    for row, label in new.items():
        cells[row] = label
    field = table.schema.field(place)
    texts = _as_texts(cells, field.type)
    table = table.set_column(place, pyarrow.field(column, texts.type), texts)
    # Numbers do not repeat: dictionaries of them would take a third more space.
    repeated = [part.name for part in table.schema if not pyarrow.types.is_floating(part.type)]
    with written_whole(output) as aside:
        pyarrow.parquet.write_table(table, aside, use_dictionary=repeated)


def _as_texts(cells: Sequence[Any], kind: Any) -> Any:
    """Return a column of labels of the same type, or of texts if labels were numbers."""
    pyarrow = import_pyarrow()
    types = pyarrow.types
    base = kind.value_type if types.is_dictionary(kind) else kind
    if types.is_binary(base) or types.is_large_binary(base):
        as_bytes = [
            cell.encode("utf-8", "surrogateescape") if isinstance(cell, str) else cell
            for cell in cells
        ]
        return pyarrow.array(as_bytes, type=kind)
    if types.is_string(base) or types.is_large_string(base):
        return pyarrow.array(cells, type=kind)
    return pyarrow.array([_text(cell) for cell in cells], type=pyarrow.string())


def _read_npz(path: Path, keep: Callable[[str], bool]) -> TextColumns:
    with open_npz(path) as arrays:
        columns = {
            name: [_text(cell) for cell in strings(arrays[name])]
            for name in arrays.files
            if keep(name)
        }
    if len(set(map(len, columns.values()))) > 1:
        raise ValueError("its columns have different numbers of rows")
    return TextColumns(columns, True)


def _write_npz(path: Path, column: str, new: Mapping[int, str], output: Path) -> None:
    with open_npz(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    labels = [_text(cell) for cell in strings(arrays[column])]
    arrays[column] = np.array([new.get(row, label) for row, label in enumerate(labels)], str)
    # Not with numpy.savez, which takes an array named "file" for its own argument.
    with written_whole(output) as aside, ZipFile(aside, "w") as written:
        for name, array in arrays.items():
            with written.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _text(cell: Any) -> str:
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "surrogateescape")
    if cell is None or cell != cell:  # NaN
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
