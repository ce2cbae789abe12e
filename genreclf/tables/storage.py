"""The files of tables: CSV, Parquet and NPZ, with the configuration in each."""

import csv
import json
import warnings
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from genreclf.errors import TableError, is_utf8, shortened
from genreclf.files import written_whole
from genreclf.library.sources import is_assignment
from genreclf.tables.columns import OWN, Columns
from genreclf.tables.csvtable import check_number, read_csv
from genreclf.tables.formats import import_pyarrow, table_format
from genreclf.tables.kept import write_kept
from genreclf.tables.npzfile import open_npz, strings
from genreclf.tables.table import FeatureTable
from genreclf.version import __version__

_HEADER = "genreclf-table"


class Content(NamedTuple):
    """What a file holds: columns, the header that only tables of genreclf have, and notes."""

    frame: pd.DataFrame
    header: dict[str, Any] | None
    notes: list[str]


def read_content(path: Path, columns: Columns) -> Content:
    """Read the columns of a table in one file.

    Raises
    ------
    TableError
        If the file does not exist or is not a table.
    """
    readers = {".csv": read_csv, ".parquet": _read_parquet, ".npz": _read_npz}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows with too many fields
            warnings.filterwarnings("ignore", r"Reading `\.npy`")
            content = Content(*readers[table_format(path)](path, columns))
        check_number(content.frame.shape[1])
        if (names := content.frame.columns).has_duplicates:
            raise ValueError(f"two columns are named {names[names.duplicated()][0]}")
        return content
    except TableError:
        raise
    except FileNotFoundError:
        raise TableError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise TableError(
            f"{path}: cannot be read as a table: it is not text in its encoding; is it cut off?"
        ) from None
    except Exception as error:  # of any type, depending on the damage
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TableError(f"{path}: cannot be read as a table: {shortened(reason, 300)}") from None


def write_table(table: FeatureTable, path: Path) -> None:
    """Write a table and its frames; see ``FeatureTable.save``."""
    writers = {".csv": _write_csv, ".parquet": _write_parquet, ".npz": _write_npz}
    writer = writers[table_format(path)]
    try:
        write_kept(table, path)
        with written_whole(path) as aside:
            writer(table, aside)
    except OSError as error:
        raise TableError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_csv(table: FeatureTable, file: IO[str]) -> None:
    """Write a table as CSV, with its configuration in a comment above the names."""
    if table.config is not None:
        file.write(f"# {_header(table)}\n")
    # Quoted, so that a reader that skips comments does not cut "chroma.C#" or "a #1.mp3".
    table.to_frame().to_csv(file, index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


def _header(table: FeatureTable) -> str:
    if table.config is None:
        return ""
    header = {
        "genreclf": __version__,
        "fingerprint": table.config.fingerprint,
        "config": table.config.to_dict(),
    }
    return json.dumps(header, separators=(",", ":"))


def _parse_header(text: str | bytes) -> dict[str, Any] | None:
    header = json.loads(text) if text else None
    return header if isinstance(header, dict) and "config" in header else None


def _write_csv(table: FeatureTable, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        write_csv(table, file)


def _write_parquet(table: FeatureTable, path: Path) -> None:
    pyarrow = import_pyarrow()
    frame = table.to_frame()
    for name in OWN:
        if not all(map(is_utf8, frame[name])):  # a column of bytes
            frame[name] = [text.encode("utf-8", "surrogateescape") for text in frame[name]]
    arrow = pyarrow.Table.from_pandas(frame, preserve_index=False)
    if table.config is not None:
        metadata = {**(arrow.schema.metadata or {}), _HEADER.encode(): _header(table).encode()}
        arrow = arrow.replace_schema_metadata(metadata)
    # Numbers do not repeat: dictionaries of them would take a third more space.
    pyarrow.parquet.write_table(arrow, path, use_dictionary=["label", "group", *table.assignments])


def _read_parquet(path: Path, columns: Columns) -> Content:
    arrow = import_pyarrow().parquet.read_table(path)
    arrow.validate(full=True)  # among others, that texts are UTF-8
    header = (arrow.schema.metadata or {}).get(_HEADER.encode(), b"")
    frame = arrow.to_pandas()
    frame.columns = [str(name) for name in frame.columns]
    return Content(frame, _parse_header(header), [])


def _write_npz(table: FeatureTable, path: Path) -> None:
    texts = {"path": table.paths, "label": table.labels, "group": table.groups, **table.assignments}
    columns: dict[str, Any] = {name: column.astype(str) for name, column in texts.items()}
    with path.open("wb") as file:
        np.savez(
            file,
            names=np.array(table.names, dtype=str),
            values=table.values,
            header=np.array(_header(table)),
            **columns,
        )


def _read_npz(path: Path, columns: Columns) -> Content:
    with open_npz(path) as arrays:
        texts = (*OWN, *filter(is_assignment, arrays.files))
        own = pd.DataFrame({name: strings(arrays[name]) for name in texts}, dtype=object)
        features = pd.DataFrame(arrays["values"], columns=strings(arrays["names"]))
        header = str(strings(arrays["header"]))
    return Content(pd.concat([own, features], axis=1), _parse_header(header), [])
