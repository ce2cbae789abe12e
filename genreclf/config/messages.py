"""Errors of a configuration as one line that names the key and its value."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from genreclf.config.frontends import FRONTENDS
from genreclf.config.schema import CLASSIFIERS, Config
from genreclf.config.sections import UnknownNameError
from genreclf.errors import shortened

_NUMBERS = {
    "from_seconds": "a number of seconds",
    "frames_per_track": "a number of frames",
    "max_hz": "a frequency in Hz",
    "rms_dbfs": "a level in dB from -60 to 0",
}

# What a regular expression of ``networks`` means, by key.
_PATTERNS = {
    "name": "a name of small letters, digits and hyphens, as in my-network",
    "as": "a name of small letters, digits and underscores, as in dense_1",
    "file": "the name of an .onnx file in the same folder, without a path",
    "sha256": "64 hexadecimal digits in small letters, or nothing",
}

# msgspec's names of types, and names for users who write TOML.
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "array": "a list",
    "object": "a table",
    "bool": "true or false",
}


def explain(
    error: msgspec.ValidationError, tree: Mapping[str, Any], kind: type[msgspec.Struct] = Config
) -> str:
    """Turn ``Expected `int` - at `$.spectra.n_fft``` into a line with the key and its value.

    Parameters
    ----------
    error : ValidationError
    tree : mapping
        What could not be converted.
    kind : type
        Section that it was to become.
    """
    reason, _, place = str(error).partition(" - at `$")
    keys = [key for key in re.split(r"[.\[\]`]+", place) if key]
    if isinstance(error.__cause__, UnknownNameError):
        keys += error.__cause__.keys
        reason = f"can be {', '.join(error.__cause__.choices)}"
        return f"{'.'.join(keys)} = {_shown(_value_at(keys, tree))}: {reason}"
    unknown = re.search(r"unknown field `(.+)`", reason)
    if unknown:
        return f"unknown key {shortened('.'.join([*keys, unknown[1]]))}"
    if missing := re.search(r"missing required field `(.+)`", reason):
        return f"{shortened('.'.join([*keys, missing[1]]))} is missing"
    value = _value_at(keys, tree)
    reason = reason[:1].lower() + reason[1:]
    if "matching regex" in reason:
        reason = f"expected {_PATTERNS[keys[-1]]}"
    for jargon, word in _WORDS.items():
        reason = reason.replace(f"`{jargon}`", word)
    reason = shortened(reason, 300)
    if keys == ["classifier", "name"]:
        reason = f"no such classifier; there are {', '.join(CLASSIFIERS)}"
    elif keys[-2:] == ["frontend", "kind"]:
        reason = f"no such front-end; there are {', '.join(FRONTENDS)}"
    elif "enum value" in reason:
        path = [key for key in keys if not key.isdigit()]
        reason = f"can be {', '.join(_choices(path, kind))}"
    if not keys or isinstance(value, Mapping):
        return f"{'.'.join(keys)}: {reason}".removeprefix(": ")
    return f"{'.'.join(keys)} = {_shown(value)}: {reason}"


def _choices(keys: list[str], kind: type[msgspec.Struct]) -> list[str]:
    """Return what the key at the end of a path can be: other kinds of values, then words."""
    sections, key = [kind], keys[-1]
    for parent in keys[:-1]:
        hints = [get_type_hints(section).get(parent) for section in sections]
        sections = [section for hint in hints for section in _sections(hint)]
    for section in sections:
        if key in section.__struct_fields__:
            hint = get_type_hints(section)[key]
            number = {int, float}.intersection(get_args(hint))
            return [*([_NUMBERS.get(key, "a number")] if number else []), *_words(hint)]
    return []


def _sections(hint: Any) -> Iterator[type[msgspec.Struct]]:
    """Yield the sections that a type names, such as those of a union."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        yield hint
    for part in get_args(hint):
        yield from _sections(part)


def _words(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return list(map(str, get_args(hint)))
    return [word for part in get_args(hint) for word in _words(part)]


def _value_at(keys: Iterable[str], tree: Any) -> Any:
    for key in keys:
        tree = tree[int(key) if isinstance(tree, list | tuple) else key]
    return tree


def _shown(value: Any) -> str:
    if isinstance(value, int) and value.bit_length() > 1000:
        return "a number with hundreds of digits"  # Python prints at most 4,300 digits
    return shortened(repr(value))
