"""Numbers as spreadsheets write them: decimal points or commas, and marks between thousands."""

import re
from collections.abc import Iterable

_NUMBER = re.compile(r"[+-]?(\d[\d.,]*|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
_GROUPS = {mark: re.compile(rf"[1-9]\d{{0,2}}({re.escape(mark)}\d{{3}})+") for mark in ".,"}


def is_number(text: str) -> bool:
    """Return True if a cell holds a number, whatever its decimal mark."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        return False
    return match[1].count(".") + match[1].count(",") < 2 or _thousands_mark(match[1]) is not None


def decimal_marks(numbers: Iterable[str]) -> tuple[str, str]:
    """Find the decimal mark of the numbers of a table, and the mark between thousands.

    Raises
    ------
    ValueError
        If the numbers contradict each other, or could be read in two ways.
    """
    alone: dict[str, str] = {}  # mark to a number with one such mark
    grouped: dict[str, str] = {}  # mark to a number in which it can only be between thousands
    groups_only = {".": True, ",": True}
    for number in numbers:
        digits = re.sub(r"^[+-]|[eE].*$", "", number.strip())
        marks = [mark for mark in digits if mark in ".,"]
        if len(marks) == 1:
            alone.setdefault(marks[0], number)
            groups_only[marks[0]] &= _GROUPS[marks[0]].fullmatch(digits) is not None
        elif mark := _thousands_mark(digits):
            grouped.setdefault(mark, number)
    return _agreed_marks(alone, grouped, groups_only)


def _thousands_mark(digits: str) -> str | None:
    """Return the mark between thousands of a number with several marks; None for other text."""
    for thousands, decimal in (",.", ".,"):
        whole, _, rest = digits.partition(decimal)
        if _GROUPS[thousands].fullmatch(whole) and (not rest or rest.isdigit()):
            return thousands
    return None


def _agreed_marks(
    alone: dict[str, str], grouped: dict[str, str], groups_only: dict[str, bool]
) -> tuple[str, str]:
    if len(grouped) == 1:
        [(thousands, cell)] = grouped.items()
        decimal = "," if thousands == "." else "."
        if thousands not in alone or groups_only[thousands]:
            return decimal, thousands
        raise ValueError(_mixed(cell, alone[thousands]))
    if grouped or len(alone) > 1:
        raise ValueError(_mixed(*(grouped or alone).values()))
    if "," in alone and groups_only[","]:
        raise ValueError(
            f"{alone[',']} could be thousands or have a decimal comma; save the table with decimal "
            "points and without marks between thousands"
        )
    return (",", ".") if "," in alone else (".", ",")


def _mixed(one: str, other: str) -> str:
    return (
        f"{one} and {other} do not have the same decimal mark; save the table with decimal points "
        "in all columns"
    )
