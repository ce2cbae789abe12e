"""The base class of all sections of a configuration; imports nothing from genreclf."""

from collections.abc import Collection
from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0, le=1e12)]  # TOML has infinity, but no estimator takes it
NotNegative = Annotated[float, Meta(ge=0, le=1e12)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the TOML file: frozen, and without unknown keys."""


class UnknownNameError(ValueError):
    """A value is not one of the names that its key can have.

    Attributes
    ----------
    keys : tuple of str
        The key within its section; of a list also the position.
    choices : tuple of str
    """

    def __init__(self, keys: tuple[str, ...], value: object, choices: Collection[str]) -> None:
        self.keys, self.choices = keys, tuple(choices)
        super().__init__(f"{'.'.join(keys)} = {value!r}: can be {', '.join(choices)}")


def check_names(key: str, names: tuple[str, ...], choices: Collection[str]) -> None:
    """Check that a list holds known names, each once.

    Raises
    ------
    UnknownNameError
        If a name is not one of ``choices``.
    ValueError
        If a name is there twice.
    """
    for i, name in enumerate(names):
        if name not in choices:
            raise UnknownNameError((*key.split("."), str(i)), name, choices)
        if name in names[:i]:
            raise ValueError(f"{key} names {name} twice")
