"""What sensors give: devices, and readings of them in whole microjoules and microwatts.

Energy is kept in integers from the sensor to the report. Sums and differences of integers are
exact, so the phases of a run add up to the run, and the shares of the ranks to the host.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

Component = Literal["package", "dram", "gpu", "module", "node"]
Kind = Literal["counter", "power"]
Quality = Literal["measured", "estimate"]

COMPONENTS: tuple[Component, ...] = ("package", "dram", "gpu", "module", "node")

# What one sensor of the second kind has already in it. A module is a superchip: processor, its
# memory and its GPU on one board.
_INSIDE: dict[Component, frozenset[Component]] = {
    "package": frozenset(("module", "node")),
    "dram": frozenset(("module", "node")),
    "gpu": frozenset(("module", "node")),
    "module": frozenset(("node",)),
    "node": frozenset(),
}


@dataclass(frozen=True, slots=True)
class Device:
    """Something whose energy a sensor tells.

    Attributes:
        name: unique on the host, such as "rapl:0" or "gpu:GPU-1f2e...".
        component: what it is the energy of. A package has its cores in it, a node everything.
        kind: "counter": readings are microjoules since some beginning; "power": microwatts.
        quality: "estimate" if a model and no sensor is behind it.
        wraps_at_uj: the counter's range: after it the counter begins at 0; None if it never does.
        max_w: no such device takes more. A counter that seems to was set back, and tells nothing.
        low, high: factors that make an estimate its lower and upper bound.
    """

    name: str
    component: Component
    kind: Kind
    quality: Quality = "measured"
    wraps_at_uj: int | None = None
    max_w: float = 3000.0
    low: float = 1.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a device.

    Attributes:
        time_ns: on the host's monotonic clock.
        value: microjoules or microwatts; None: no reading could be had. That is never zero.
    """

    time_ns: int
    value: int | None


class Source(Protocol):
    """One way to learn about energy: a folder of sysfs, a library, a model."""

    @property
    def name(self) -> str: ...

    @property
    def devices(self) -> tuple[Device, ...]: ...

    def read(self) -> tuple[Reading, ...]:
        """One reading for each of `devices`, in their order. Never raises for a sensor."""
        ...

    def close(self) -> None:
        """Let go of files and libraries. Harmless the second time."""
        ...


class NullSource:
    """No devices: so that nobody has to ask whether there are any."""

    name = "none"
    devices: tuple[Device, ...] = ()

    def read(self) -> tuple[Reading, ...]:
        return ()

    def close(self) -> None:
        pass


def is_part(component: Component, present: Collection[Component]) -> bool:
    """Whether the energy of `component` is already in that of another of `present`."""
    return not _INSIDE[component].isdisjoint(present)
