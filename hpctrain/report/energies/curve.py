"""E(t) of each host in wall time: what bills and the timeline are made from.

Between two rows of kind `energy_sample` of a device E(t) is a straight line; where there are no
rows it stands still. Instants are nanoseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np

from hpctrain.metering.reading import COMPONENTS, is_part
from hpctrain.report.energies.amount import known_rows, numbers
from hpctrain.report.tables import Array, Table, chosen, num_rows

Which = Literal["joules", "low_j", "high_j"]
BOUNDS: tuple[Which, ...] = ("joules", "low_j", "high_j")
SEAM_NS = 2_000_000_000  # rows of one device further apart than this are of different parts


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """One device, at its knots.

    Attributes:
        device, component: its name, and what it is the energy of.
        time_ns: (knots,), rising; two for each row.
        energy_j: (knots,) for each bound: joules until then.
        covered_s: (knots,): seconds until then for which they are known.
    """

    device: str
    component: str
    time_ns: Array
    energy_j: dict[Which, Array]
    covered_s: Array

    def at(self, time_ns: Array, values: Array) -> Array:
        base = self.time_ns[0]
        return np.asarray(np.interp(time_ns - base, self.time_ns - base, values))


@dataclass(frozen=True, slots=True)
class HostCurve:
    """The devices that make up a host, and the stretches of time in which it was looked at."""

    host: str
    lines: tuple[DeviceLine, ...]
    spans_ns: tuple[tuple[int, int], ...]

    def energy_uj(self, time_ns: int, which: Which = "joules") -> int:
        """Microjoules to date."""
        at = np.array([time_ns])
        return round(1e6 * sum(float(line.at(at, line.energy_j[which])[0]) for line in self.lines))


def read_curves(samples: Table, start_utc: str) -> tuple[tuple[HostCurve, ...], bool]:
    """The curves of all hosts, and whether they are in wall time as the hosts' clocks told it.

    Rows without a wall time are placed by the time since the start of the run.
    """
    start_s = datetime.fromisoformat(start_utc).timestamp() if start_utc else 0.0
    utc_s, time_s = numbers(samples, "utc_s"), numbers(samples, "time_s")
    exact = bool(np.isfinite(utc_s).all())
    ends_ns = np.round(np.where(np.isfinite(utc_s), utc_s, start_s + time_s) * 1e9)
    table = {**samples, "end_ns": ends_ns.astype(np.int64)}
    hosts = sorted({str(host) for host in samples["host"]})
    curves = tuple(_curve(host, chosen(table, samples["host"] == host)) for host in hosts)
    return curves, exact and (num_rows(samples) > 0 or bool(start_utc))


def looked_s(curves: Sequence[HostCurve]) -> tuple[dict[str, float], float]:
    """Seconds in which each host was looked at, and in which any of them was."""
    each = {c.host: sum(end - begin for begin, end in c.spans_ns) / 1e9 for c in curves}
    spans = sorted(span for curve in curves for span in curve.spans_ns)
    whole_ns, reach = 0, 0
    for begin, end in spans:
        whole_ns += max(end - max(begin, reach), 0)
        reach = max(reach, end)
    return each, whole_ns / 1e9


def _curve(host: str, rows: Table) -> HostCurve:
    present = [name for name in COMPONENTS if (rows["component"] == name).any()]
    counted = [name for name in present if not is_part(name, present)]
    rows = chosen(rows, np.isin(rows["component"].astype(str), counted))
    devices = sorted({str(device) for device in rows["device"]})
    lines = tuple(_line(chosen(rows, rows["device"] == device)) for device in devices)
    return HostCurve(host, lines, _spans(lines))


def _line(rows: Table) -> DeviceLine:
    rows = chosen(rows, np.argsort(rows["end_ns"], kind="stable"))
    ends: Array = rows["end_ns"]
    seconds = np.nan_to_num(numbers(rows, "duration_s"))
    begins = ends - np.round(seconds * 1e9).astype(np.int64)
    begins[1:] = np.maximum(begins[1:], ends[:-1])
    known = known_rows(rows)
    covered = np.where(known, seconds * np.nan_to_num(numbers(rows, "coverage", 1.0)), 0.0)
    joules = np.where(known, numbers(rows, "joules"), 0.0)
    energy: dict[Which, Array] = {}
    for which in BOUNDS:
        values = numbers(rows, which)
        energy[which] = _steps(np.where(known & np.isfinite(values), values, joules))
    device, component = str(rows["device"][0]), str(rows["component"][0])
    knots = np.stack([begins, ends], 1).ravel()
    return DeviceLine(device, component, knots, energy, _steps(covered))


def _steps(amounts: Array) -> Array:
    """Before and after each amount: the running sum, (2 amounts,)."""
    after = np.cumsum(amounts)
    before = np.append(0.0, after[:-1])
    return np.stack([before, after], 1).ravel()


def _spans(lines: Sequence[DeviceLine]) -> tuple[tuple[int, int], ...]:
    """The stretches in which any device was looked at, without what is between two parts."""
    if not lines:
        return ()
    pairs = np.concatenate([line.time_ns.reshape(-1, 2) for line in lines])
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    reach = np.maximum.accumulate(pairs[:, 1])
    cuts = np.flatnonzero(pairs[1:, 0] > reach[:-1] + SEAM_NS) + 1
    first = np.append(0, cuts)
    last = np.append(cuts, len(pairs)) - 1
    found: Any = zip(pairs[first, 0].tolist(), reach[last].tolist(), strict=True)
    return tuple(found)
