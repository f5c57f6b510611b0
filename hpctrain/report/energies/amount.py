"""An amount of energy with what is needed to trust it, and sums of rows into such amounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hpctrain.metering.account import MEASURED_COVERAGE
from hpctrain.metering.reading import COMPONENTS
from hpctrain.report.energy_line import Trust
from hpctrain.report.tables import Array, Table, num_rows


@dataclass(frozen=True, slots=True)
class Amount:
    """Energy that something used; nothing about it is known if `joules` is None.

    Attributes:
        joules: as far as they are known.
        low_j, high_j: bounds; the same as `joules` where nothing is an estimate.
        seconds: time in which it was used; of things side by side the sum.
        watts: mean power over the time for which the energy is known.
        coverage: share of the time for which it is.
        quality: "partial" if that is less than 99 %.
        shared: whether other jobs may have used the host.
        components: joules by component, as far as they are told apart.
    """

    joules: float | None = None
    low_j: float | None = None
    high_j: float | None = None
    seconds: float = 0.0
    watts: float | None = None
    coverage: float = 0.0
    quality: Trust = "none"
    shared: bool = False
    components: dict[str, float] = field(default_factory=dict)

    @property
    def known_j(self) -> float:
        """For sums and for sorting: nothing if nothing is known."""
        return self.joules or 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that agree in some columns: their values there, and what they add up to."""

    key: tuple[Any, ...]
    amount: Amount
    count: int


def trust(coverage: float, estimated: bool) -> Trust:
    """What kind of number a sum is of which so much is known."""
    if coverage <= 0:
        return "none"
    if estimated:
        return "estimate"
    return "measured" if coverage >= MEASURED_COVERAGE else "partial"


def together(
    parts: Sequence[Amount], seconds: float | None = None, watts: float | None = None
) -> Amount:
    """The sum of amounts; parts of which nothing is known make it partial."""
    known = [part for part in parts if part.joules is not None]
    all_s = sum(part.seconds for part in parts)
    covered_s = sum(part.seconds * part.coverage for part in known)
    if not known:
        return Amount(seconds=all_s if seconds is None else seconds)
    coverage = covered_s / all_s if all_s > 0 else len(known) / len(parts)
    joules = sum(part.known_j for part in known)
    quality = trust(coverage, any(part.quality == "estimate" for part in known))
    whole = len(known) == len(parts)
    return Amount(
        joules=joules,
        low_j=sum(part.low_j or 0.0 for part in known),
        high_j=sum(part.high_j or 0.0 for part in known),
        seconds=all_s if seconds is None else seconds,
        watts=watts if watts is not None else joules / covered_s if covered_s > 0 else None,
        coverage=coverage,
        quality=quality if whole or quality == "estimate" else "partial",
        shared=any(part.shared for part in known),
        components=_merged([part.components for part in known]),
    )


def grouped(table: Table, *by: str) -> list[Group]:
    """The rows of `table` summed by the columns `by`, in the order of their values."""
    count = num_rows(table)
    if not count:
        return []
    names, inverses = zip(
        *(np.unique(table[name], return_inverse=True) for name in by), strict=True
    )
    shape = tuple(len(values) for values in names)
    codes = np.ravel_multi_index([inverse.ravel() for inverse in inverses], shape)
    present, group = np.unique(codes, return_inverse=True)
    sums = _Sums(table, group.ravel(), len(present))
    places = np.unravel_index(present, shape)
    keys = zip(*(v[p].tolist() for v, p in zip(names, places, strict=True)), strict=True)
    return [Group(key, sums.amount(n), sums.count(n)) for n, key in enumerate(keys)]


def numbers(table: Table, name: str, missing: float = np.nan) -> Array:
    """A column as float64 (rows,); `missing` where the table has none."""
    if name not in table:
        return np.full(num_rows(table), missing)
    return table[name].astype(np.float64)


def known_rows(table: Table) -> Array:
    """Mask of (rows,): does the row tell an energy?"""
    told = np.isfinite(numbers(table, "joules")) & (numbers(table, "coverage", 1.0) != 0)
    return np.asarray(told & (table["quality"] != "none"))


class _Sums:
    """Sums over the rows of each of `num` groups; `group` is the group of each row."""

    def __init__(self, table: Table, group: Array, num: int) -> None:
        known = known_rows(table)
        joules = np.where(known, numbers(table, "joules"), 0.0)
        seconds = np.nan_to_num(numbers(table, "duration_s"))
        covered = np.clip(np.nan_to_num(numbers(table, "coverage", 1.0), nan=1.0), 0, 1)

        def add(values: Array) -> Array:
            return np.bincount(group, weights=values, minlength=num)

        def bound(name: str) -> Array:
            values = numbers(table, name)
            return add(np.where(known & np.isfinite(values), values, joules))

        self._known, self._joules = add(known), add(joules)
        self._low, self._high = bound("low_j"), bound("high_j")
        self._seconds, self._covered = add(seconds), add(np.where(known, seconds * covered, 0.0))
        self._rows = add(np.ones(len(group)))
        self._estimates = add(known & (table["quality"] == "estimate"))
        self._shared = add(numbers(table, "shared") == 1)
        self._counts = add(np.maximum(numbers(table, "count", 0.0), 0.0))
        parts = {name: numbers(table, f"{name}_j") for name in COMPONENTS}
        self._parts = {
            name: (add(known & np.isfinite(values)), add(np.where(known, np.nan_to_num(values), 0)))
            for name, values in parts.items()
        }

    def count(self, n: int) -> int:
        return int(self._counts[n])

    def amount(self, n: int) -> Amount:
        seconds = float(self._seconds[n])
        if not self._known[n]:
            return Amount(seconds=seconds, shared=bool(self._shared[n]))
        covered_s, joules = float(self._covered[n]), float(self._joules[n])
        coverage = covered_s / seconds if seconds > 0 else float(self._known[n] / self._rows[n])
        return Amount(
            joules, float(self._low[n]), float(self._high[n]), seconds,
            joules / covered_s if covered_s > 0 else None,
            coverage, trust(coverage, bool(self._estimates[n])), bool(self._shared[n]),
            {name: float(j[n]) for name, (told, j) in self._parts.items() if told[n]},
        )  # fmt: skip


def _merged(components: Sequence[dict[str, float]]) -> dict[str, float]:
    present = [name for name in COMPONENTS if any(name in some for some in components)]
    return {name: sum(some.get(name, 0.0) for some in components) for name in present}
