"""What can go wrong, as exceptions whose message is fit to be shown to a person.

A message names the file, says what is wrong with the value in it, and what to do.
"""

from unicodedata import category

# Control characters, lone surrogates (bytes of a file name that are no text), line separators.
_CONTROLS = {"Cc", "Cs", "Zl", "Zp"}


def one_line(text: object) -> str:
    """Replace what would steer a terminal or break a line: file names may hold anything."""
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text)
    )


def escaped(text: object) -> str:
    """Write as in Python's strings what would steer a terminal, break a line, or is no UTF-8.

    For what programs read: nothing is lost, and all other characters stay as they are.
    """
    return "".join(
        char.encode("unicode_escape").decode("ascii") if category(char) in _CONTROLS else char
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
