"""What a record of a log looks like in bytes, and how records are found again in damaged bytes.

A record is a frame and a payload. The frame: a marker of four bytes, the payload's length and its
CRC-32, little-endian. The payload is msgpack, with two extension types for numpy's arrays and
scalars; nothing is ever pickled. The marker begins with 0xC1, a byte that starts no msgpack value:
with it, records behind damaged bytes are found again, so damage costs the records that it hit.
"""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgpack
import numpy as np

Value = bool | int | float | str | np.generic | np.ndarray | None
"""What a field of a record may hold; None means missing."""

MARKER = b"\xc1rec"
FRAME = struct.Struct("<4sII")
MAX_PAYLOAD_BYTES = 1 << 30  # a log is for numbers; what is larger belongs into a checkpoint
EXT_ARRAY, EXT_SCALAR = 1, 2
PLAIN_KINDS = "biuf"  # numpy dtypes whose bytes mean the same everywhere


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes inside a log that are no record although records follow them."""

    offset_bytes: int
    length_bytes: int

    def __str__(self) -> str:
        return f"{self.length_bytes} bytes at byte {self.offset_bytes}"


@dataclass(frozen=True, slots=True)
class Scan:
    """Where the payloads lie, where the last good record ends, and what is damaged before that."""

    spans: tuple[tuple[int, int], ...]
    end_bytes: int
    damage: tuple[Damage, ...]


class RecordPacker:
    """Turns values into framed records. Not for use by two threads at once."""

    def __init__(self) -> None:
        # a lone surrogate in a text must not cost the record
        self._packer = msgpack.Packer(default=_pack_numpy, unicode_errors="backslashreplace")

    def frame(self, content: object) -> bytes:
        """The bytes of one record.

        Raises:
            TypeError: if a value is none of `Value`.
            ValueError: if a number has more than 64 bits or the record is over 1 GiB.
        """
        payload = cast(bytes, self._packer.pack(content))
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"a record of {len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} fit")
        return FRAME.pack(MARKER, len(payload), zlib.crc32(payload)) + payload


def unpack(payload: memoryview) -> Any:
    """The content of a payload whose checksum was right."""
    return msgpack.unpackb(payload, ext_hook=_unpack_numpy, strict_map_key=False)


def scan(data: bytes, start_bytes: int) -> Scan:
    """Find every good record from `start_bytes` on."""
    spans: list[tuple[int, int]] = []
    damage: list[Damage] = []
    at = start_bytes
    while at < len(data):
        stop = _record_end(data, at)
        if stop is not None:
            spans.append((at + FRAME.size, stop))
            at = stop
            continue
        following = _next_record(data, at + 1)
        if following is None:
            break
        damage.append(Damage(at, following - at))
        at = following
    return Scan(tuple(spans), at, tuple(damage))


def _record_end(data: bytes, at: int) -> int | None:
    if at + FRAME.size > len(data):
        return None
    marker, length, checksum = FRAME.unpack_from(data, at)
    stop = at + FRAME.size + length
    if marker != MARKER or stop > len(data):
        return None
    good = zlib.crc32(memoryview(data)[at + FRAME.size : stop]) == checksum
    return stop if good else None


def _next_record(data: bytes, start: int) -> int | None:
    at = data.find(MARKER, start)
    while at >= 0:
        if _record_end(data, at) is not None:
            return at
        at = data.find(MARKER, at + 1)
    return None


def _pack_numpy(value: object) -> msgpack.ExtType:
    if isinstance(value, np.ndarray) and value.dtype.kind in PLAIN_KINDS:
        content = (value.dtype.str, value.shape, value.tobytes())
        return msgpack.ExtType(EXT_ARRAY, msgpack.packb(content))
    if isinstance(value, np.generic) and value.dtype.kind in PLAIN_KINDS:
        return msgpack.ExtType(EXT_SCALAR, msgpack.packb((value.dtype.str, value.tobytes())))
    if isinstance(value, int):
        raise ValueError(f"{value} has more than 64 bits; give it as float or str")
    raise TypeError(f"{value!r} is a {_type_name(value)}")


def _unpack_numpy(code: int, content: bytes) -> object:
    if code == EXT_ARRAY:
        dtype, shape, raw = msgpack.unpackb(content)
        return np.frombuffer(raw, dtype).reshape(shape)
    if code == EXT_SCALAR:
        dtype, raw = msgpack.unpackb(content)
        return np.frombuffer(raw, dtype)[0]
    raise ValueError(f"extension type {code} in a record, but only 1 and 2 are known")


def _type_name(value: object) -> str:
    if isinstance(value, np.ndarray | np.generic):
        return f"numpy {type(value).__name__} of {value.dtype}"
    return f"{type(value).__module__}.{type(value).__qualname__}"


def check_fields(kind: str, fields: Mapping[str, Value]) -> None:
    """Refuse names that HDF5 could not hold.

    Raises:
        ValueError: names the kind or the column.
    """
    for name in (kind, *fields):
        if not isinstance(name, str) or not name or name == "." or "/" in name or "\0" in name:
            raise ValueError(
                f"{name!r} cannot name a kind or column (in a record of kind {kind!r}): "
                "a name is a text without '/' and NUL, and not '' or '.'"
            )
