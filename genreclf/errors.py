"""What can go wrong, as exceptions whose message is fit to be shown to a person.

A message names the file, says what is wrong with the value in it, and what to do.
"""

import re
from unicodedata import category

# Control characters, lone surrogates (bytes of a file name that are no text), line separators.
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}
# Bytes of file names that the locale's encoding has no characters for, as Python keeps them.
_BYTES = re.compile("[\udc80-\udcff]+")


def one_line(text: object) -> str:
    """Replace what would steer a terminal or break a line: file names may hold anything."""
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in decoded(text)
    )


def decoded(text: object) -> str:
    """Make characters of bytes in UTF-8 that a locale without UTF-8 (LC_ALL=C) left as bytes."""

    def characters(found: re.Match[str]) -> str:
        return found[0].encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")

    return _BYTES.sub(characters, str(text))


def is_plain(text: str) -> bool:
    """Tell whether a text is one line of characters, none of which steers a terminal."""
    return not any(category(char) in _CONTROLS for char in text)


def escaped(text: object) -> str:
    r"""Write as in Python's strings what would steer a terminal, break a line, or is no UTF-8.

    For records that programs read line by line. A backslash is doubled, so that the text can be
    had back by Python's own rules; all other characters stay as they are.
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii")
        if char == "\\" or category(char) in _CONTROLS
        else char
        for char in str(text)
    )


def shortened(text: object, most: int = 80) -> str:
    """Show the beginning of a text, in one line that can be taken in, whatever a file holds."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[:most]}…"


class GenreclfError(Exception):
    """Base of every error that genreclf raises for bad input."""


class ConfigError(GenreclfError):
    """A configuration that cannot be used: unknown key, wrong type, value out of range."""


class AudioError(GenreclfError):
    """An audio file that gives no features: missing, damaged, too short, not audio."""


class SilenceError(AudioError):
    """Nothing but silence where a file is listened to."""


class TagError(GenreclfError):
    """Tags that cannot be written, or a backup of them that cannot be used."""


class TableError(GenreclfError):
    """A feature table or manifest that cannot be read, written or used as asked."""


class ModelError(GenreclfError):
    """A model file that cannot be loaded, or cannot do what was asked of it."""
