"""The formats of tables, by their file names. Unlike the tables, this needs no pandas."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genreclf.errors import TableError
from genreclf.files import written_whole

FORMATS = (".csv", ".parquet", ".npz")
_PARTS = "_parts.json"  # readers of Parquet folders ignore names with an underscore


def table_format(path: Path) -> str:
    """Return the suffix that decides the format of a table file.

    Raises
    ------
    TableError
        If the suffix is unknown.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise TableError(
            f"{path}: a table's name ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        )
    if suffix == ".parquet":
        import_pyarrow()  # before hours of work for a table that could not be written
    return suffix


def import_pyarrow() -> Any:
    """Import pyarrow and its Parquet module.

    Raises
    ------
    TableError
        If it is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError:
        raise TableError(
            "Parquet files need pyarrow, which is not installed: pip install 'genreclf[parquet]'"
        ) from None
    return pyarrow


@dataclass(frozen=True, slots=True)
class Parts:
    """Whether a folder of Parquet files is finished, and a digest of the tracks of each file."""

    finished: bool
    digests: dict[str, str]


def read_parts(folder: Path) -> Parts | None:
    """Return what ``extract`` stores beside the parts that it writes; None without it.

    Raises
    ------
    TableError
        If it is damaged.
    """
    path = folder / _PARTS
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        return Parts(bool(parts["finished"]), dict(parts["digests"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        raise TableError(f"{path}: damaged; extract the table again into another folder") from None


def write_parts(folder: Path, parts: Parts) -> None:
    """Write what ``read_parts`` reads."""
    with written_whole(folder / _PARTS) as aside:
        aside.write_text(json.dumps(asdict(parts), indent=1), encoding="utf-8")


def table_parts(path: Path) -> list[Path]:
    """Return the files of a table: itself, or those of a folder of Parquet files.

    Raises
    ------
    TableError
        If the folder has no Parquet files, or is not finished.
    """
    if not path.is_dir():
        return [path]
    parts = read_parts(path)
    if parts is not None and not parts.finished:
        raise TableError(
            f"{path}: not all of its parts are there yet; run the same genreclf extract again"
        )
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise TableError(f"{path}: not a table, because the folder has no Parquet files")
    return files
