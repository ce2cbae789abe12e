"""Read a TensorFlow checkpoint (a tensor bundle) without TensorFlow.

The index of a bundle is a LevelDB table: sorted blocks of keys and values, and a footer that says
where they are. Its values are small Protocol Buffers messages, which say where in the data file a
tensor is. Formats: LevelDB's ``doc/table_format.md``, TensorFlow's ``tensor_bundle.proto``.
"""

import math
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_FOOTER_BYTES = 48
_MAGIC = struct.pack("<Q", 0xDB47_7524_8B80_FB57)
_UNCOMPRESSED = 0
_FLOAT32 = 1  # DT_FLOAT
_MAX_DIMENSIONS = 8

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class _Entry(NamedTuple):
    """Where a tensor is in the data file."""

    shape: tuple[int, ...]
    offset: int
    size: int


def read_checkpoint(index: bytes, data: bytes) -> dict[str, NDArray[np.float32]]:
    """Return the float32 variables of a checkpoint of one shard.

    Parameters
    ----------
    index, data : bytes
        Contents of ``….index`` and of ``….data-00000-of-00001``.

    Returns
    -------
    dict of str to array
        By the variables' names. Variables of other types, such as a step counter, are left out.

    Raises
    ------
    ValueError
        If it is not a checkpoint, or a damaged one.
    """
    entries = {key: _entry(value) for key, value in _table(index) if key}
    found = {key.decode("utf-8"): entry for key, entry in entries.items() if entry is not None}
    if sum(entry.size for entry in found.values()) > len(data):
        raise ValueError("the tensors are larger than the data of the checkpoint")
    return {name: _tensor(entry, data) for name, entry in found.items()}


def _tensor(entry: _Entry, data: bytes) -> NDArray[np.float32]:
    if entry.size != 4 * math.prod(entry.shape) or entry.offset + entry.size > len(data):
        raise ValueError("a tensor lies outside the data of the checkpoint")
    flat = np.frombuffer(data, "<f4", entry.size // 4, entry.offset)
    return flat.reshape(entry.shape).astype(np.float32)


def _table(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table."""
    footer = table[-_FOOTER_BYTES:]
    if len(footer) < _FOOTER_BYTES or not footer.endswith(_MAGIC):
        raise ValueError("not the index of a TensorFlow checkpoint")
    _, at = _block_handle(footer, 0)  # of the block of meta data, which bundles leave empty
    index, _ = _block_handle(footer, at)
    places = [_block_handle(value, 0)[0] for _, value in _block(table, index)]
    if sum(place.stop - place.start for place in places) > len(table):
        raise ValueError("the blocks are larger than the table")
    for place in places:
        yield from _block(table, place)


def _block_handle(data: bytes, at: int) -> tuple[slice, int]:
    """Return which bytes of the table a block has, and where the handle ends."""
    offset, at = _varint(data, at)
    size, at = _varint(data, at)
    return slice(offset, offset + size), at


def _block(table: bytes, place: slice) -> Iterator[tuple[bytes, bytes]]:
    """Yield the entries of a block; a key repeats only what differs from the key before it."""
    block = table[place]
    if len(block) != place.stop - place.start or len(block) < 4:
        raise ValueError("a block lies outside the table")
    if table[place.stop : place.stop + 1] != bytes([_UNCOMPRESSED]):
        raise ValueError("a block is compressed")
    (n_restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    end, at, key = len(block) - 4 - 4 * n_restarts, 0, b""
    while at < end:
        shared, at = _varint(block, at)
        unshared, at = _varint(block, at)
        size, at = _varint(block, at)
        stop = at + unshared + size
        if shared > len(key) or stop > end:
            raise ValueError("an entry lies outside its block")
        key = key[:shared] + block[at : at + unshared]
        yield key, block[at + unshared : stop]
        at = stop


def _entry(message: bytes) -> _Entry | None:
    """Parse a ``BundleEntryProto``; None if the tensor is not of float32."""
    numbers, shape = {1: 0, 3: 0, 4: 0, 5: 0}, b""  # data type, shard, offset, size
    for field, value in _fields(message):
        if field == 2 and isinstance(value, bytes):
            shape = value
        elif field in numbers and isinstance(value, int):
            numbers[field] = value
    if numbers[3] != 0:
        raise ValueError("the checkpoint has several files of data")
    return _Entry(_shape(shape), numbers[4], numbers[5]) if numbers[1] == _FLOAT32 else None


def _shape(message: bytes) -> tuple[int, ...]:
    """Parse a ``TensorShapeProto``."""
    sizes = []
    for field, dimension in _fields(message):
        if field == 2 and isinstance(dimension, bytes):
            named = dict(_fields(dimension))
            size = named.get(1, 0)
            if not isinstance(size, int):
                raise ValueError("a tensor has a damaged shape")
            sizes.append(size)
    if len(sizes) > _MAX_DIMENSIONS:
        raise ValueError(f"a tensor has more than {_MAX_DIMENSIONS} dimensions")
    return tuple(sizes)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a Protocol Buffers message: number and value."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == _BYTES:
            size, at = _varint(message, at)
        elif kind in (_FIXED32, _FIXED64):
            size = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("a message has a field of an unknown type")
        if at + size > len(message):
            raise ValueError("a message ends too early")
        yield tag >> 3, message[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of up to 64 bits, seven in a byte; return it and where it ends."""
    value = 0
    for i, byte in enumerate(data[at : at + 10]):
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, at + i + 1
    raise ValueError("a number ends too early")
