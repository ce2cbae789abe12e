"""What a table's file name says: its format. Apart from the table, since asking needs no pandas."""

from pathlib import Path
from typing import Any

from genreclf.errors import TableError

__all__ = ["FORMATS", "import_pyarrow", "table_format"]

FORMATS = (".csv", ".parquet", ".npz")


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
