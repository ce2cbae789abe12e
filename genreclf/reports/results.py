"""Results of evaluations that were written as JSON."""

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from genreclf.errors import TableError


class _Result(msgspec.Struct):
    genres: Annotated[list[str], Meta(min_length=1)]
    confusion_matrix: list[list[Annotated[int, Meta(ge=0)]]]


def read_confusion(path: Path) -> tuple[list[str], list[list[int]]]:
    """Read genres and confusion matrix from a file that ``evaluate --json`` wrote.

    Raises
    ------
    TableError
        If the file is something else.
    """
    try:
        result = msgspec.json.decode(path.read_bytes(), type=_Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise TableError(f"{path}: not a result of evaluate --json: {error}") from None
    rows, n = result.confusion_matrix, len(result.genres)
    if [len(row) for row in rows] != [n] * n or not any(map(any, rows)):
        raise TableError(f"{path}: its confusion matrix does not hold {n} by {n} counts")
    return result.genres, rows
