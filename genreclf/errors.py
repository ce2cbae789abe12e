"""What can go wrong, as exceptions whose message is fit to be shown to a person.

A message names the file, says what is wrong with the value in it, and what to do.
"""


def one_line(text: object) -> str:
    """Replace what would steer a terminal or break a line: file names may hold anything."""
    return "".join(
        char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(text)
    )


class GenreclfError(Exception):
    """Base of every error that genreclf raises for bad input."""


class ConfigError(GenreclfError):
    """A configuration that cannot be used: unknown key, wrong type, value out of range."""


class AudioError(GenreclfError):
    """An audio file that gives no features: missing, damaged, too short, not audio."""


class TableError(GenreclfError):
    """A feature table or manifest that cannot be read, written or used as asked."""


class ModelError(GenreclfError):
    """A model file that cannot be loaded, or cannot do what was asked of it."""
