"""What every section of a configuration is made of; imports nothing of genreclf."""

from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0, le=1e12)]  # TOML has infinity, but no estimator takes it
NotNegative = Annotated[float, Meta(ge=0, le=1e12)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


class Section(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the TOML file: frozen, and without unknown keys."""
