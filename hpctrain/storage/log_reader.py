"""Reading the log of a rank: finished, abandoned, damaged or just being written."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpctrain.errors import RunStoreError
from hpctrain.storage.records import Damage, Value, scan, unpack

MAGIC = b"hpctrain-log-1\n\0"  # 16 bytes; `head -c 14` tells a person what the file is


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One row: its kind and its columns."""

    kind: str
    fields: dict[str, Value]


@dataclass(frozen=True, slots=True)
class LogContents:
    """What a log held when it was read.

    Attributes:
        path: where it was read.
        header: as given to `RankLog.create`; empty if it was damaged.
        end_bytes: where the last good record ends.
        torn_bytes: bytes after that: a record that is just being written, or never was finished.
        damage: unreadable places before `end_bytes`; empty unless the storage lost bytes.
    """

    path: Path
    header: dict[str, Any]
    end_bytes: int
    torn_bytes: int
    damage: tuple[Damage, ...]
    _data: bytes = field(repr=False)
    _spans: tuple[tuple[int, int], ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self._spans)

    @property
    def records(self) -> Iterator[LogRecord]:
        """The rows in the order in which they were appended, decoded one at a time."""
        view = memoryview(self._data)
        for start, stop in self._spans:
            yield LogRecord(*_decoded(self.path, view[start:stop], start))


def read_log(path: Path) -> LogContents:
    """Read a log that is finished, abandoned or just being written.

    Raises:
        RunStoreError: if there is no such file, or it is no log of hpctrain.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunStoreError(f"cannot read {path}: {error.strerror}") from error
    if not data.startswith(MAGIC):
        raise RunStoreError(
            f"{path} is no log of this version of hpctrain: it begins with {data[:16]!r}, "
            f"but a log begins with {MAGIC!r}"
        )
    found = scan(data, len(MAGIC))
    header, spans = _split_header(data, found.spans)
    torn_bytes = len(data) - found.end_bytes
    return LogContents(path, header, found.end_bytes, torn_bytes, found.damage, data, spans)


def _split_header(
    data: bytes, spans: tuple[tuple[int, int], ...]
) -> tuple[dict[str, Any], tuple[tuple[int, int], ...]]:
    """A header is a mapping, a row is a pair: so a damaged header costs the header only."""
    if spans:
        start, stop = spans[0]
        first = unpack(memoryview(data)[start:stop])
        if isinstance(first, dict):
            return first, spans[1:]
    return {}, spans


def _decoded(path: Path, payload: memoryview, offset_bytes: int) -> tuple[str, dict[str, Value]]:
    try:
        kind, fields = unpack(payload)
    except (ValueError, TypeError) as error:
        raise RunStoreError(f"{path}: the record at byte {offset_bytes}: {error}") from error
    return kind, fields
