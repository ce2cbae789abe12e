"""The label map: one spelling for each label; and the comparison of spellings."""

import csv
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from genreclf.csvtext import read_rows
from genreclf.errors import TableError, shortened
from genreclf.library.tags import clean

_ACCENTS = re.compile("[\u0300-\u036f]")
_IGNORED = re.compile("[.'\u2019`!?]")  # R.E.M. is REM, Guns N' Roses have two kinds of apostrophe


def spelling(text: str) -> str:
    """Return what spellings such as ``Hip Hop``, ``hip-hop`` and ``HIPHOP`` have in common.

    Case, spaces, punctuation and accents do not count, unless there is nothing else.
    """
    return words_of(text).replace(" ", "")


def spelled_differently(labels: Iterable[str]) -> list[list[str]]:
    """Return the labels that differ in their spelling only, in the order of the labels."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(spelling(label), []).append(label)
    return [several for several in alike.values() if len(several) > 1]


def words_of(text: str) -> str:
    """Return the words of a text without case, punctuation and accents."""
    plain = _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold()
    plain = unicodedata.normalize("NFC", plain)
    letters = (
        char if unicodedata.category(char)[0] in "LMN" else " " for char in _IGNORED.sub("", plain)
    )
    return " ".join("".join(letters).split()) or " ".join(plain.split())


def read_label_map(path: Path) -> Mapping[str, str]:
    """Read a map of labels to their spellings.

    A CSV file has the columns ``from,to``. A TOML file holds ``"Hip Hop" = "hiphop"`` or, in
    reverse, ``hiphop = ["Hip Hop", "Rap"]``. An empty ``to`` removes the label.

    Returns
    -------
    mapping of str to str
        ``spelling`` of a label to the new label. The new labels map to themselves.

    Raises
    ------
    TableError
        If it cannot be read, or maps one label to two.
    """
    try:
        pairs = _toml_pairs(path) if path.suffix.lower() == ".toml" else _csv_pairs(path)
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; a label map has the columns from,to") from None
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        reason = shortened(str(error) or type(error).__name__, 200)
        raise TableError(f"{path}: cannot be read as a label map: {reason}") from None
    spellings: dict[str, str] = {}
    for given, wanted in pairs:
        label = clean(wanted)
        if spellings.setdefault(spelling(given), label) != label:
            raise TableError(
                f"{path}: {shortened(given)} is mapped to both {spellings[spelling(given)]!r} and "
                f"{label!r}; case, spaces and punctuation do not count"
            )
    return {spelling(label): label for label in spellings.values() if label} | spellings


def _csv_pairs(path: Path) -> list[tuple[str, str]]:
    names, rows = read_rows(path)
    if missing := {"from", "to"} - set(names):
        raise TableError(
            f"{path}: no column {' and no column '.join(sorted(missing))}; a label map has "
            "the columns from,to"
        )
    return [(row["from"], row.get("to", "")) for _, row in rows if row.get("from", "").strip()]


def _toml_pairs(path: Path) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for key, value in tomllib.loads(path.read_text(encoding="utf-8-sig")).items():
        if isinstance(value, str):
            pairs.append((key, value))
        elif isinstance(value, list) and all(isinstance(given, str) for given in value):
            pairs += [(given, key) for given in value]
        else:
            raise ValueError(
                f"{shortened(key)} is neither a label nor a list of spellings, as in "
                '"Hip Hop" = "hiphop" or hiphop = ["Hip Hop", "Rap"]'
            )
    return pairs
