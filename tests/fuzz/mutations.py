"""Damage that files come to: by accident, and by ill will. All of it follows from the seed."""

import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

# Lengths and counts that parsers trip over.
SIZES = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63 - 1, 2**64 - 1)
STRANGE = (
    0, -1, 1, 2**40, 10**400, 10**4000, 1e308, -0.0, float("nan"), float("inf"), True, None, "",
    "\0", "\x1b[31m", "a\nb", "\ud800\x1b", "É" * 1000, "=1+1", [], [[]], {}, {"": {}}, ["é"] * 999,
)  # fmt: skip


def mutated(data: bytes, other: bytes, random: Random) -> bytes:
    """Damage a file in one to three ways; ``other`` is what a header may be swapped with."""
    for _ in range(random.randint(1, 3)):
        data = random.choice(_WAYS)(data, other, random)
    return data


def _flip_bits(data: bytes, other: bytes, random: Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(random.choice((1, 2, 10, 100))):
        if damaged:
            damaged[_place(data, random)] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _cut_off(data: bytes, other: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _zero_block(data: bytes, other: bytes, random: Random) -> bytes:
    start, stop = _block(data, random)
    return data[:start] + bytes(stop - start) + data[stop:]


def _swap_header(data: bytes, other: bytes, random: Random) -> bytes:
    size = random.choice((4, 12, 44, 256))
    return other[:size] + data[size:]


def _lie_about_length(data: bytes, other: bytes, random: Random) -> bytes:
    size = random.choice(SIZES)
    kind = random.choice("<>") + ("I" if size < 2**32 and random.random() < 0.8 else "Q")
    told, at = struct.pack(kind, size), _place(data, random)
    return data[:at] + told + data[at + len(told) :]


def _insert_junk(data: bytes, other: bytes, random: Random) -> bytes:
    at = _place(data, random)
    junk = random.choice((random.randbytes(random.choice((1, 7, 4096))), bytes(1000), other[:512]))
    return data[:at] + junk + data[at:]


def _remove_block(data: bytes, other: bytes, random: Random) -> bytes:
    start, stop = _block(data, random)
    return data[:start] + data[stop:]


def _repeat_block(data: bytes, other: bytes, random: Random) -> bytes:
    start, stop = _block(data, random)
    return data[:stop] + data[start:stop] * random.choice((1, 3)) + data[stop:]


_WAYS: tuple[Callable[[bytes, bytes, Random], bytes], ...] = (
    _flip_bits, _cut_off, _zero_block, _swap_header, _lie_about_length, _insert_junk,
    _remove_block, _repeat_block,
)  # fmt: skip


def _place(data: bytes, random: Random) -> int:
    """Return a position, every other time in the first bytes, where headers are."""
    most = min(len(data), 200) if random.random() < 0.5 else len(data)
    return random.randrange(max(most, 1))


def _block(data: bytes, random: Random) -> tuple[int, int]:
    start = _place(data, random)
    return start, min(len(data), start + random.choice((1, 16, 500, 20_000)))


def mutated_text(text: str, random: Random) -> bytes:
    """Damage a CSV or TOML file in its words and lines, or else in its bytes."""
    for _ in range(random.randint(1, 3)):
        lines, way = text.splitlines(keepends=True), random.randrange(5)
        at = random.randrange(max(len(lines), 1))
        if way == 0 and lines:
            del lines[at]
        elif way == 1 and lines:
            lines.insert(at, random.choice(lines))
        elif way == 2:
            lines.insert(
                at, random.choice(("[" * 5000 + "\n", "x.y.z = 1\n", '"\n', "[views]\n", "\0"))
            )
        elif words := list(re.finditer(r"[^\s,=\[\]]+", text)):
            word = random.choice(words)
            lines = [text[: word.start()], literal(random.choice(STRANGE)), text[word.end() :]]
        text = "".join(lines)
    data = text.encode("utf-8", "surrogateescape" if random.random() < 0.5 else "replace")
    encoding = random.choice(("", "", "", "utf-16", "latin-1", "utf-8-sig"))
    if encoding:
        data = text.encode(encoding, "replace")
    return mutated(data, b"PK\3\4RIFF", random) if random.random() < 0.3 else data


def literal(value: Any) -> str:
    """Write a value much as TOML does, and whole numbers longer than Python reads."""
    if isinstance(value, str):
        return value.replace("\ud800\x1b", "?") if "\x1b" in value else f'"{value}"'
    return str(value).lower().replace("0" * 4000, "0" * 5000)


def mutated_tree(tree: Any, random: Random) -> Any:
    """Replace one of the values in nested lists and dictionaries, or take it away."""
    places = [*tree] if isinstance(tree, dict) else list(range(len(tree)))
    if not places:
        return random.choice(STRANGE)
    place = random.choice(places)
    changed = tree.copy()
    inner = tree[place]
    if isinstance(inner, dict | list) and random.random() < 0.8:
        changed[place] = mutated_tree(inner, random)
    elif random.random() < 0.15:
        del changed[place]
    else:
        changed[place] = random.choice(STRANGE)
    return changed
