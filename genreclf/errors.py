"""Exceptions whose messages are shown to users, and functions that make text safe to print.

A message names the file, the problem with the value, and the remedy.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unicodedata import category

# Control characters, lone surrogates (bytes of a file name that are not text), line separators.
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
# Bytes of file names that the locale's encoding has no characters for, as Python keeps them.
_BYTES = re.compile("[\udc80-\udcff]+")


def one_line(text: object) -> str:
    """Replace control characters and line breaks, which file names may contain."""
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in decoded(text)
    )


def decoded(text: object) -> str:
    """Make characters of bytes in UTF-8 that a locale without UTF-8 (LC_ALL=C) left as bytes."""

    def characters(found: re.Match[str]) -> str:
        return found[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")

    return _BYTES.sub(characters, str(text))


def is_utf8(text: str) -> bool:
    """Return True if UTF-8 has bytes for a text: it has none for lone surrogates."""
    return text == text.encode("utf-8", "replace").decode("utf-8")


def is_plain(text: str) -> bool:
    """Return True if a text is one line without control characters."""
    return not any(category(char) in _CONTROLS for char in text)


def escaped(text: object) -> str:
    r"""Escape control characters, line breaks and bytes that are not UTF-8, as in Python strings.

    For records that programs read line by line. Backslashes are doubled, so that Python's rules
    give the original text back. All other characters stay as they are.
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if char == "\\" or category(char) in _CONTROLS
        else char
        for char in str(text)
    )


def shortened(text: object, most: int = 80) -> str:
    """Return the beginning of a text as one short line, for messages."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[:most]}…"


def listed(names: Iterable[object], most: int = 8) -> str:
    """Join names for a message, and count those that are too many to name."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(shortened(name, 200) for name in names[:most]) + more


class GenreclfError(Exception):
    """Base of every error that genreclf raises for bad input."""


class ConfigError(GenreclfError):
    """A configuration that cannot be used: unknown key, wrong type, value out of range."""


class NetworkError(GenreclfError):
    """A pretrained network whose file is missing, damaged, or not as its description says."""


class AudioError(GenreclfError):
    """An audio file that gives no features: missing, damaged, too short, not audio."""


class SilenceError(AudioError):
    """The excerpts of a file contain only silence."""


class TagError(GenreclfError):
    """Tags that cannot be written, or a backup of them that cannot be used."""


class TableError(GenreclfError):
    """A feature table or manifest that cannot be read, written or used as asked."""


@contextmanager
def about(file: Path | str) -> Iterator[None]:
    """Put the name of a table before the message of what is wrong with it."""
    try:
        yield
    except TableError as error:
        raise TableError(f"{file}: {error}") from None


class ModelError(GenreclfError):
    """A model file that cannot be loaded, or cannot do what was asked of it."""
