"""An estimate where there is no sensor: idle and full-load watts, and the load of the processors.

    E(t) = idle_w * t + (full_w - idle_w) * busy(t) / cores

with busy(t) the seconds of processor time that the host has used. Power is taken to be linear in
the load; what that leaves out (clocks, vector units, memory) is what `low` and `high` are for.
Always `quality = "estimate"`, never silently in place of a sensor.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import cast

from hpctrain.errors import MeteringError
from hpctrain.metering.files import Clock
from hpctrain.metering.load import Load
from hpctrain.metering.reading import COMPONENTS, Component, Device, Reading


@dataclass(frozen=True, slots=True)
class Profile:
    """What is known of a kind of host.

    Attributes:
        name: of the machine, for reports.
        idle_w, full_w: of the whole host, at no and at full load of its processors.
        low, high: factors for the bounds of the estimate; 0.7 and 1.3 say "within 30 %".
        components: watts at rest of one package, dram, gpu or module, where they are known: they
            decide what of a rank's share is idle power.
    """

    name: str
    idle_w: float
    full_w: float
    low: float
    high: float
    components: Mapping[str, float] = field(default_factory=dict)

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

    def idle_by_component(self) -> dict[Component, float]:
        """Watts at rest, by component; of the node it is that of the estimate."""
        given = {name: watts for name, watts in self.components.items() if name in COMPONENTS}
        return cast("dict[Component, float]", {"node": self.idle_w} | given)


def read_profile(path: Path) -> Profile:
    """A profile from a TOML file with the keys of `Profile`.

    Raises:
        MeteringError: if it is missing, or a key is missing, unknown or out of range.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MeteringError(f"energy profile {path}: {error}") from error
    components = found.pop("components", {})
    wanted = [item.name for item in fields(Profile) if item.name != "components"]
    if sorted(found) != sorted(wanted):
        raise MeteringError(f"energy profile {path}: has {sorted(found)}, needs {wanted}")
    if not isinstance(components, dict) or not set(components) <= set(COMPONENTS):
        raise MeteringError(
            f"energy profile {path}: components is {components!r}, not a table with some of "
            f"{', '.join(COMPONENTS)}"
        )
    numbers = {key: found[key] for key in wanted[1:]}
    for key, value in (numbers | components).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise MeteringError(f"energy profile {path}: {key} is {value!r}, not a number")
    return Profile(str(found["name"]), **numbers, components=components)


class ModelSource:
    """The whole host as one counter, made up from its load."""

    name = "model"

    def __init__(
        self, profile: Profile, proc: Path = Path("/proc"), clock: Clock = time.monotonic_ns
    ) -> None:
        self._profile = profile
        self._load = Load(proc / "stat")
        self._clock = clock
        self.devices: tuple[Device, ...] = (
            Device(
                f"model:{profile.name}", "node", "counter", "estimate",
                max_w=max(1.0, 2 * profile.full_w), low=profile.low, high=profile.high,
            ),
        )  # fmt: skip

    def read(self) -> tuple[Reading, ...]:
        now_ns = self._clock()
        load = self._load.busy()
        if load is None:
            return (Reading(now_ns, None),)
        busy_ns, cores = load
        above_idle_w = self._profile.full_w - self._profile.idle_w
        dynamic_j = above_idle_w * busy_ns / 1e9 / cores
        return (Reading(now_ns, int(self._profile.idle_w * now_ns / 1000 + dynamic_j * 1e6)),)

    def close(self) -> None:
        self._load.close()
