"""What a table's file name says: its format. Apart from the table, since asking needs no pandas."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genreclf.errors import TableError
from genreclf.files import written_whole

FORMATS = (".csv", ".parquet", ".npz")
_PARTS = "_parts.json"  # readers of folders of Parquet files pass over names with an underscore


def table_format(path: Path) -> str:
    """Return the suffix that decides the format of a table file.

    Raises
    ------
    TableError
        If it is none that is known.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise TableError(
            f"{path}: a table's name ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        )
    if suffix == ".parquet":
        import_pyarrow()  # before hours of work go into a table that cannot be written
    return suffix


def import_pyarrow() -> Any:
    """Import pyarrow with its Parquet part.

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
    """Whether a folder of Parquet files is finished, and what each file in it was made of."""

    finished: bool
    digests: dict[str, str]


def read_parts(folder: Path) -> Parts | None:
    """Return what ``extract`` keeps beside the parts that it writes; None where there is nothing.

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
    """Return the files that a table is in: itself, or those of a folder of Parquet files.

    Raises
    ------
    TableError
        If the folder holds none, or is not finished.
    """
    if not path.is_dir():
        return [path]
    parts = read_parts(path)
    if parts is not None and not parts.finished:
        raise TableError(
            f"{path}: not all of its parts are there yet; the same genreclf extract goes on with it"
        )
    files = sorted(path.glob("*.parquet"))
    if not files:
        raise TableError(f"{path}: a folder without Parquet files is no table")
    return files
