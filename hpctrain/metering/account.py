"""What a host used between two instants: by device, by component, and in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from hpctrain.metering.reading import Component, Device, is_part
from hpctrain.metering.series import Knot

Trust = Literal["measured", "partial", "estimate", "none"]

MEASURED_COVERAGE = 0.99  # below it, what was measured is called partial


@dataclass(frozen=True, slots=True)
class Used:
    """The energy of one device in an interval, and for how much of it that is known."""

    device: Device
    energy_uj: int
    covered_ns: int


@dataclass(frozen=True)
class HostEnergy:
    """The energy of one host in an interval.

    Attributes:
        duration_ns: length of the interval.
        used: one entry for each device, also those that are part of another.
    """

    duration_ns: int
    used: tuple[Used, ...]

    @cached_property
    def counted(self) -> tuple[Used, ...]:
        """The devices that make up the host: none of them is part of another."""
        present = {used.device.component for used in self.used}
        return tuple(used for used in self.used if not is_part(used.device.component, present))

    @property
    def total_uj(self) -> int:
        """Of the host, as far as it has sensors."""
        return sum(used.energy_uj for used in self.counted)

    @property
    def low_uj(self) -> int:
        """The lower bound; the total itself where nothing is an estimate."""
        return sum(_scaled(used.energy_uj, used.device.low) for used in self.counted)

    @property
    def high_uj(self) -> int:
        return sum(_scaled(used.energy_uj, used.device.high) for used in self.counted)

    @property
    def coverage(self) -> float:
        """The share of the interval with readings, of the device that has the fewest."""
        if not self.counted:
            return 0.0
        if self.duration_ns <= 0:
            return 1.0
        return min(used.covered_ns for used in self.counted) / self.duration_ns

    @property
    def quality(self) -> Trust:
        """What kind of number the total is."""
        if not self.counted or (
            self.duration_ns > 0 and not any(u.covered_ns for u in self.counted)
        ):
            return "none"
        if any(used.device.quality == "estimate" for used in self.counted):
            return "estimate"
        return "measured" if self.coverage >= MEASURED_COVERAGE else "partial"

    def component_uj(self, component: Component) -> int | None:
        """All devices of `component`; None if the host has no sensor for it."""
        found = [used.energy_uj for used in self.used if used.device.component == component]
        return sum(found) if found else None


def host_energy(
    devices: Sequence[Device], begin: Mapping[str, Knot], end: Mapping[str, Knot], duration_ns: int
) -> HostEnergy:
    """From E at both ends, by names of devices; a device without knots is left out."""
    used = (
        Used(
            device,
            end[device.name].energy_uj - begin[device.name].energy_uj,
            end[device.name].covered_ns - begin[device.name].covered_ns,
        )
        for device in devices
        if device.name in begin and device.name in end
    )
    return HostEnergy(duration_ns, tuple(used))


def _scaled(energy_uj: int, factor: float) -> int:
    return energy_uj if factor == 1.0 else round(energy_uj * factor)
