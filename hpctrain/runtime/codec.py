"""Plain values to bytes and back: a small msgpack header, and the arrays as they lie in memory.

The header holds every scalar and, for each array, its dtype and shape; the arrays themselves are
not copied. The same codec serves the wire, recordings and checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from hpctrain.core.plain import describe, rebuild

AnyArray = NDArray[Any]

_ARRAY, _CLASS, _TUPLE = 1, 2, 3


def encode(value: Any) -> tuple[bytes, list[AnyArray]]:
    """The header of `value`, and its arrays (contiguous; the very same memory where they were)."""
    arrays: list[AnyArray] = []

    def pack(item: Any) -> bytes:
        packed = msgpack.packb(item, default=default, strict_types=True)
        assert isinstance(packed, bytes)
        return packed

    def default(item: Any) -> Any:
        if isinstance(item, tuple):
            return msgpack.ExtType(_TUPLE, pack(list(item)))
        if isinstance(item, np.ndarray):
            arrays.append(_as_it_lies(item))
            return msgpack.ExtType(_ARRAY, pack([item.dtype.str, list(item.shape)]))
        if isinstance(item, np.generic):
            return item.item()
        name, values = describe(item)
        return msgpack.ExtType(_CLASS, pack([name, *values]))

    return pack(value), arrays


def array_shapes(header: bytes) -> list[tuple[np.dtype[Any], tuple[int, ...]]]:
    """The dtype and shape of every array that belongs to `header`, in the order of `encode`."""
    shapes: list[tuple[np.dtype[Any], tuple[int, ...]]] = []

    def visit(code: int, data: bytes) -> Any:
        if code == _ARRAY:
            dtype, shape = msgpack.unpackb(data)
            shapes.append((np.dtype(dtype), tuple(shape)))
        elif code in (_CLASS, _TUPLE):
            msgpack.unpackb(data, ext_hook=visit, strict_map_key=False)
        return None

    msgpack.unpackb(header, ext_hook=visit, strict_map_key=False)
    return shapes


def decode(header: bytes, arrays: Sequence[AnyArray]) -> Any:
    """The value that `encode` was given; it holds the arrays themselves, not copies."""
    left = iter(arrays)

    def hook(code: int, data: bytes) -> Any:
        if code == _ARRAY:
            return next(left)
        if code not in (_CLASS, _TUPLE):
            raise ValueError(
                f"the header has a field of unknown kind {code}; is it from another version?"
            )
        values = msgpack.unpackb(data, ext_hook=hook, strict_map_key=False)
        return tuple(values) if code == _TUPLE else rebuild(values[0], values[1:])

    return msgpack.unpackb(header, ext_hook=hook, strict_map_key=False)


def empty_arrays(header: bytes) -> list[AnyArray]:
    """Uninitialised arrays to receive what belongs to `header`."""
    return [np.empty(shape, dtype) for dtype, shape in array_shapes(header)]


def to_bytes(value: Any) -> bytes:
    """`value` in one piece: for files."""
    header, arrays = encode(value)
    parts = [len(header).to_bytes(8, "little"), header]
    parts += [array.tobytes() for array in arrays]
    return b"".join(parts)


def from_bytes(blob: bytes) -> Any:
    """The opposite of `to_bytes`; its arrays are writable copies."""
    size = int.from_bytes(blob[:8], "little")
    header, offset = blob[8 : 8 + size], 8 + size
    arrays = []
    for dtype, shape in array_shapes(header):
        count = math.prod(shape)
        arrays.append(np.frombuffer(blob, dtype, count, offset).reshape(shape).copy())
        offset += count * dtype.itemsize
    return decode(header, arrays)


def to_block(value: Any) -> NDArray[np.uint8]:
    """`value` as an array of bytes: for trees of a checkpoint. It is not to be written to."""
    return np.frombuffer(to_bytes(value), np.uint8)


def from_block(block: Any) -> Any:
    """The opposite of `to_block`."""
    return from_bytes(np.asarray(block).tobytes())


def payload_bytes(value: Any) -> int:
    """Bytes of the arrays in `value`; beside them travels a header of about a hundred bytes."""
    return sum(array.nbytes for array in encode(value)[1])


def _as_it_lies(array: AnyArray) -> AnyArray:
    if array.dtype.kind in "OV":
        raise TypeError(
            f"an array of {array.dtype} cannot leave the process; allowed are arrays of numbers, "
            "truth values, text and times"
        )
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)
