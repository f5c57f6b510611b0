"""An estimate where there is no sensor: idle and full-load watts, and the load of the processors.

    E(t) = idle_w * t + (full_w - idle_w) * busy(t) / cores

with busy(t) the seconds of processor time that the host has used. Power is taken to be linear in
the load; what that leaves out (clocks, vector units, memory) is what `low` and `high` are for.
Always `quality = "estimate"`, never silently in place of a sensor.
"""

from __future__ import annotations

import os
import time
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path

from hpctrain.errors import MeteringError
from hpctrain.metering.files import Clock
from hpctrain.metering.reading import Device, Reading

_BUSY = (1, 2, 3, 6, 7)  # fields of the line "cpu": user nice system irq softirq; not steal


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a kind of host.

    Attributes:
        name: of the machine, for reports.
        idle_w, full_w: of the whole host, at no and at full load of its processors.
        low, high: factors for the bounds of the estimate; 0.7 and 1.3 say "within 30 %".
    """

    name: str
    idle_w: float
    full_w: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.idle_w <= self.full_w:
            raise MeteringError(
                f"profile {self.name}: 0 <= idle_w <= full_w must hold, not "
                f"{self.idle_w:g} and {self.full_w:g}"
            )
        if not 0 <= self.low <= 1 <= self.high:
            raise MeteringError(
                f"profile {self.name}: low <= 1 <= high must hold, not "
                f"{self.low:g} and {self.high:g}"
            )


def read_profile(path: Path) -> Profile:
    """A profile from a TOML file with the keys of `Profile`.

    Raises:
        MeteringError: if it is missing, or a key is missing, unknown or out of range.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MeteringError(f"energy profile {path}: {error}") from error
    wanted = [field.name for field in fields(Profile)]
    if sorted(found) != sorted(wanted):
        raise MeteringError(f"energy profile {path}: has {sorted(found)}, needs {wanted}")
    numbers = {key: found[key] for key in wanted[1:]}
    for key, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MeteringError(f"energy profile {path}: {key} is {value!r}, not a number")
    return Profile(str(found["name"]), **numbers)


class ModelSource:
    """The whole host as one counter, made up from its load."""

    name = "model"

    def __init__(
        self, profile: Profile, proc: Path = Path("/proc"), clock: Clock = time.monotonic_ns
    ) -> None:
        self._profile = profile
        self._stat = proc / "stat"
        self._clock = clock
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        self.devices: tuple[Device, ...] = (
            Device(
                f"model:{profile.name}", "node", "counter", "estimate",
                max_w=max(1.0, 2 * profile.full_w), low=profile.low, high=profile.high,
            ),
        )  # fmt: skip

    def read(self) -> tuple[Reading, ...]:
        now_ns = self._clock()
        load = self._busy_s()
        if load is None:
            return (Reading(now_ns, None),)
        busy_s, cores = load
        above_idle_w = self._profile.full_w - self._profile.idle_w
        dynamic_j = above_idle_w * busy_s / cores
        return (Reading(now_ns, int(self._profile.idle_w * now_ns / 1000 + dynamic_j * 1e6)),)

    def close(self) -> None:
        pass

    def _busy_s(self) -> tuple[float, int] | None:
        """Processor seconds used by the host since it started, and how many processors it has."""
        try:
            lines = self._stat.read_text(encoding="ascii").splitlines()
            words = next(line for line in lines if line.startswith("cpu ")).split()
            ticks = sum(int(words[place]) for place in _BUSY)
        except (OSError, ValueError, IndexError, StopIteration):
            return None
        cores = sum(line.startswith("cpu") for line in lines) - 1
        return (ticks / self._ticks_per_s, cores) if cores > 0 else None
