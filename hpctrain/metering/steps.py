"""Prices and carbon intensities over time: values that hold from one instant to another.

A CSV file has a header with `start_utc`, perhaps `end_utc`, and one column of values whose name
says the unit: `eur_per_kwh`, or any other currency, and `gco2_per_kwh`. Times are ISO 8601 and in
UTC (ending in Z or +00:00), so that no hour is there twice when clocks are changed. Without
`end_utc` all steps are as long as the first. Other columns are not looked at.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hpctrain.errors import MeteringError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = (-(2**63), 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Steps:
    """A step function of time.

    Attributes:
        unit: what one kWh is worth in, such as "eur" or "gco2".
        starts_ns: nanoseconds since 1970 at which each value begins to hold.
        end_ns: when the last one ends.
        values: per kWh.
        source: where it came from, for errors and reports.
    """

    unit: str
    starts_ns: tuple[int, ...]
    end_ns: int
    values: tuple[float, ...]
    source: str

    def pieces(self, begin_ns: int, end_ns: int) -> Iterator[tuple[int, int, float]]:
        """The interval cut where the value changes: begin, end and value of each piece.

        Raises:
            MeteringError: if a part of it has no value.
        """
        if begin_ns < self.starts_ns[0] or end_ns > self.end_ns:
            raise MeteringError(
                f"{self.source} is from {utc(self.starts_ns[0])} to {utc(self.end_ns)}, but "
                f"{utc(begin_ns)} to {utc(end_ns)} is asked for"
            )
        place = bisect_right(self.starts_ns, begin_ns) - 1
        while begin_ns < end_ns:
            last = place + 1 == len(self.starts_ns)
            upto_ns = min(end_ns, self.end_ns if last else self.starts_ns[place + 1])
            yield begin_ns, upto_ns, self.values[place]
            begin_ns, place = upto_ns, place + 1

    def at(self, time_ns: int) -> float:
        """The value at an instant; outside, that of the nearest step."""
        place = bisect_right(self.starts_ns, time_ns) - 1
        return self.values[max(0, place)]

    def mean(self, begin_ns: int, end_ns: int) -> float:
        """The mean over an interval; outside the series its nearest value holds."""
        inside = (max(begin_ns, self.starts_ns[0]), min(end_ns, self.end_ns))
        if end_ns <= begin_ns or inside[0] >= inside[1]:
            return self.at(begin_ns)
        outside = self.at(end_ns) * (end_ns - inside[1]) + self.at(begin_ns) * (
            inside[0] - begin_ns
        )
        weighed = sum(value * (until - since) for since, until, value in self.pieces(*inside))
        return (weighed + outside) / (end_ns - begin_ns)

    def covers(self, time_ns: int) -> bool:
        return self.starts_ns[0] <= time_ns < self.end_ns


def constant(value: float, unit: str) -> Steps:
    """The same at all times."""
    return Steps(unit, _ALWAYS[:1], _ALWAYS[1], (value,), f"{value:g} {unit} per kWh")


def read_steps(path: Path) -> Steps:
    """The step function in a CSV file.

    Raises:
        MeteringError: if it cannot be read, or has a gap, an overlap, or something that is no time
            or number; with the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            unit, column = _value_column(path, reader.fieldnames or ())
            has_end = "end_utc" in (reader.fieldnames or ())
            rows = [_row(path, reader.line_num, row, column, has_end) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MeteringError(f"{path}: {error}") from error
    rows = rows if has_end else _with_ends(path, rows)
    if not rows:
        raise MeteringError(f"{path}: no rows")
    for before, after in pairwise(rows):
        assert before.end_ns is not None
        if after.start_ns != before.end_ns:
            kind = "a gap" if after.start_ns > before.end_ns else "an overlap"
            raise MeteringError(
                f"{path}, line {after.line}: {kind} between {utc(before.end_ns)} and "
                f"{utc(after.start_ns)}"
            )
    end_ns = rows[-1].end_ns
    assert end_ns is not None
    starts_ns = tuple(row.start_ns for row in rows)
    return Steps(unit, starts_ns, end_ns, tuple(row.value for row in rows), str(path))


def utc(time_ns: int) -> str:
    """For people, to the second."""
    if time_ns in _ALWAYS:
        return "always"
    return (_EPOCH + timedelta(seconds=time_ns // 10**9)).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    start_ns: int
    end_ns: int | None
    value: float


def _value_column(path: Path, names: object) -> tuple[str, str]:
    columns = list(names) if isinstance(names, list | tuple) else []
    found = [name for name in columns if name.endswith("_per_kwh")]
    if "start_utc" not in columns or len(found) != 1:
        raise MeteringError(
            f"{path}, line 1: needs start_utc and one column such as eur_per_kwh or gco2_per_kwh, "
            f"but has {columns}"
        )
    return found[0].removesuffix("_per_kwh"), found[0]


def _row(path: Path, line: int, row: dict[str, str | None], column: str, has_end: bool) -> _Row:
    where = f"{path}, line {line}"
    start_ns = time_ns(where, row.get("start_utc"))
    end_ns = time_ns(where, row.get("end_utc")) if has_end else None
    if end_ns is not None and end_ns <= start_ns:
        raise MeteringError(f"{where}: ends at {row['end_utc']}, not after its start")
    return _Row(line, start_ns, end_ns, _value(where, row.get(column), column))


def _value(where: str, text: str | None, column: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise MeteringError(f"{where}: {column} is {text!r}, not a number such as 0.31")
    if column == "gco2_per_kwh" and value < 0:
        raise MeteringError(f"{where}: {column} is {value:g}, but cannot be below 0")
    return value


def time_ns(where: str, text: str | None) -> int:
    """Nanoseconds since 1970 of an ISO 8601 time in UTC.

    Raises:
        MeteringError: if it is none; `where` it stands is said first.
    """
    try:
        time = datetime.fromisoformat((text or "").strip())
    except ValueError:
        time = None
    if time is None or time.utcoffset() != timedelta(0):
        raise MeteringError(f"{where}: {text!r} is not a time in UTC such as 2026-01-31T17:00:00Z")
    return (time - _EPOCH) // timedelta(microseconds=1) * 1000


def _with_ends(path: Path, rows: list[_Row]) -> list[_Row]:
    """All steps as long as the first."""
    if len(rows) < 2:
        raise MeteringError(
            f"{path}: without end_utc it needs two rows to tell the length of a step"
        )
    length_ns = rows[1].start_ns - rows[0].start_ns
    if length_ns <= 0:
        raise MeteringError(f"{path}, line {rows[1].line}: not after the line before")
    return [_Row(row.line, row.start_ns, row.start_ns + length_ns, row.value) for row in rows]
