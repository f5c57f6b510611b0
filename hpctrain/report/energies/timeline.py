"""Power over time, with price and carbon intensity on the same axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.metering.money import Terms
from hpctrain.metering.steps import Steps
from hpctrain.report.energies.curve import DeviceLine, HostCurve
from hpctrain.report.tables import Array

MOST_BINS = 720
SHORTEST_BIN_NS = 1_000_000_000
KNOWN = 0.5  # of a bin's time must be covered for its power to be told


@dataclass(frozen=True, slots=True)
class Timeline:
    """All of (bins,) but `edges_ns`, which has one more.

    Attributes:
        edges_ns: nanoseconds since 1970, or since the start if `wall` is false.
        watts: of all hosts; NaN where a device of any of them has no reading.
        some_watts: of those devices that have; NaN where none has.
        estimated: whether a model has a part in it.
        tariff, location, market: value in each bin; None if not known.
    """

    edges_ns: Array
    watts: Array
    some_watts: Array
    wall: bool
    estimated: bool
    currency: str
    tariff: Array | None
    location: Array | None
    market: Array | None

    @property
    def times_ns(self) -> Array:
        """The middles of the bins."""
        return np.asarray((self.edges_ns[:-1] + self.edges_ns[1:]) // 2)


def read_timeline(
    curves: Sequence[HostCurve], terms: Terms, wall: bool, estimated: bool
) -> Timeline | None:
    """Power in bins of equal length; None if there is no energy at any time."""
    lines = [line for curve in curves for line in curve.lines if line.covered_s[-1] > 0]
    if not lines:
        return None
    begin = min(int(line.time_ns[0]) for line in lines)
    end = max(int(line.time_ns[-1]) for line in lines)
    count = int(np.clip((end - begin) // SHORTEST_BIN_NS, 1, MOST_BINS))
    edges = begin + (np.arange(count + 1) * ((end - begin) / count)).astype(np.int64)
    edges[-1] = end
    powers = np.stack([_power(line, edges) for line in lines])
    told = np.isfinite(powers)
    some = np.where(told.any(axis=0), np.nansum(powers, axis=0), np.nan)
    middles = (edges[:-1] + edges[1:]) // 2
    return Timeline(
        edges, np.where(told.all(axis=0), some, np.nan), some, wall, estimated,
        terms.tariff.unit.upper() if terms.tariff else "",
        *(_values(steps, middles) for steps in (terms.tariff, terms.location, terms.market)),
    )  # fmt: skip


def _power(line: DeviceLine, edges_ns: Array) -> Array:
    """Mean power in each bin over the time that is known; NaN where too little is."""
    joules = np.diff(line.at(edges_ns, line.energy_j["joules"]))
    covered_s = np.diff(line.at(edges_ns, line.covered_s))
    enough = covered_s > KNOWN * np.diff(edges_ns) * 1e-9
    return np.where(enough, joules / np.where(enough, covered_s, 1.0), np.nan)


def _values(steps: Steps | None, times_ns: Array) -> Array | None:
    if steps is None:
        return None
    starts = np.array(steps.starts_ns)
    place = np.searchsorted(starts, times_ns, side="right") - 1
    values = np.array(steps.values)[np.maximum(place, 0)]
    return np.where((place >= 0) & (times_ns < steps.end_ns), values, np.nan)
