"""What the meter books, as rows of the run store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpctrain.metering.account import MEASURED_COVERAGE, Trust, host_energy
from hpctrain.metering.board import BoardReader
from hpctrain.metering.ledger import Entry
from hpctrain.metering.reading import Component, Device
from hpctrain.metering.sampler import SampleRow
from hpctrain.metering.series import Knot
from hpctrain.metering.walltime import WallClock
from hpctrain.report.energy_line import HostTotal


class EnergyRows:
    """Makes rows of one host.

    Args:
        host: its name.
        run_s: the run's time at an instant of the host's monotonic clock.
        wall: the host's clock.
        devices: of the host.
        components: in the order of the entries.
        shared: other jobs may use the host.
    """

    def __init__(
        self,
        host: str,
        run_s: Callable[[int], float],
        wall: WallClock,
        devices: Sequence[Device],
        components: Sequence[Component] = (),
        shared: bool = False,
    ) -> None:
        self._host = host
        self._run_s = run_s
        self._wall = wall
        self._components = tuple(components)
        self._bounds = bounds_of(devices)
        self._estimate = any(device.quality == "estimate" for device in devices)
        self._shared = shared

    @classmethod
    def of_board(cls, host: str, run_s: Callable[[int], float], board: BoardReader) -> EnergyRows:
        shared = bool(board.facts.get("shared"))
        return cls(host, run_s, board.wall, board.devices, board.layout.components, shared)

    def entry(self, entry: Entry) -> dict[str, Any]:
        """The columns of an entry of the ledger; what no sensor tells is missing."""
        key, duration_ns = entry.key, entry.duration_ns
        coverage = min(1.0, entry.covered_ns / duration_ns) if duration_ns else 1.0
        quality = trust(coverage, self._estimate)
        row: dict[str, Any] = self._when(entry.end_ns) | {
            "scope": key.scope, "name": key.name, "number": key.number, "last": entry.last,
            "count": entry.count, "duration_s": duration_ns / 1e9, "coverage": coverage,
            "quality": quality, "shared": self._shared,
        }  # fmt: skip
        if quality == "none" and not entry.energy_uj:
            return row
        used = zip(self._components, entry.used_uj, strict=False)
        return row | self._energy(dict(used))

    def sample(self, row: SampleRow) -> dict[str, Any]:
        """The columns of what one device used between two looks."""
        device, duration_ns = row.device, row.end_ns - row.begin_ns
        columns = self._when(row.end_ns) | {
            "device": device.name, "component": device.component,
            "duration_s": duration_ns / 1e9, "coverage": row.covered_ns / duration_ns,
            "quality": device.quality,
        }  # fmt: skip
        if row.covered_ns == 0:
            return columns
        joules = row.energy_uj / 1e6
        columns |= {"joules": joules, "watts": joules / (row.covered_ns / 1e9)}
        return columns | {"low_j": joules * device.low, "high_j": joules * device.high}

    def _when(self, time_ns: int) -> dict[str, Any]:
        utc_s = self._wall.utc_ns(time_ns) / 1e9
        return {"time_s": self._run_s(time_ns), "host": self._host, "utc_s": utc_s}

    def _energy(self, used_uj: Mapping[Component, int]) -> dict[str, float]:
        low_uj, high_uj = bounded(used_uj, self._bounds)
        parts = {f"{component}_j": amount / 1e6 for component, amount in used_uj.items()}
        total = {"joules": sum(used_uj.values()) / 1e6}
        return total | parts | {"low_j": low_uj / 1e6, "high_j": high_uj / 1e6}


def trust(coverage: float, estimate: bool) -> Trust:
    """What kind of number an energy is that is known for so much of its time."""
    if coverage <= 0:
        return "none"
    if estimate:
        return "estimate"
    return "measured" if coverage >= MEASURED_COVERAGE else "partial"


def bounds_of(devices: Sequence[Device]) -> dict[Component, tuple[float, float]]:
    """The factors of the bounds of each component; all its devices come from one source."""
    return {device.component: (device.low, device.high) for device in devices}


def bounded(
    used_uj: Mapping[Component, int], bounds: Mapping[Component, tuple[float, float]]
) -> tuple[float, float]:
    """Lower and upper bound of a sum over components."""
    low = sum(amount * bounds[component][0] for component, amount in used_uj.items())
    high = sum(amount * bounds[component][1] for component, amount in used_uj.items())
    return low, high


def total_of(host: str, board: BoardReader, began_ns: int) -> HostTotal | None:
    """What the host used since `began_ns`, when it was looked at first."""
    last = board.last()
    if last is None:
        return None
    names = [device.name for device in board.devices]
    ends = {name: knot for name, knot in zip(names, last.knots, strict=True) if knot is not None}
    begins = {name: Knot(0, 0, 0) for name in ends}
    energy = host_energy(board.devices, begins, ends, last.time_ns - began_ns)
    joules = (energy.total_uj / 1e6, energy.low_uj / 1e6, energy.high_uj / 1e6)
    return HostTotal(host, *joules, min(1.0, energy.coverage), energy.quality)
