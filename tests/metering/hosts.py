"""A host in memory: a device of known power, and a clock that is set."""

from collections.abc import Callable

from hpctrain.metering.reading import Device, Reading

S = 1_000_000_000


class SetClock:
    """Nanoseconds that stand still until they are set."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


class KnownPower:
    """A source of one counter whose energy at a time in seconds is given, in joules."""

    name = "known"

    def __init__(self, clock: SetClock, energy_j: Callable[[float], float | None]) -> None:
        self.devices = (Device("rapl:0", "package", "counter"),)
        self._clock = clock
        self._energy_j = energy_j
        self.closed = False

    def read(self) -> tuple[Reading, ...]:
        energy_j = self._energy_j(self._clock.now_ns / S)
        return (Reading(self._clock(), None if energy_j is None else round(energy_j * 1e6)),)

    def close(self) -> None:
        self.closed = True
