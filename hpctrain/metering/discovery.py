"""Which sensors this host has: the best for each component, and why others are not used."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpctrain.metering.cray import find_cray
from hpctrain.metering.files import Clock
from hpctrain.metering.finding import Finding
from hpctrain.metering.hwmon import find_hwmon
from hpctrain.metering.model import ModelSource, Profile
from hpctrain.metering.nvml import find_nvml
from hpctrain.metering.powercap import find_powercap
from hpctrain.metering.reading import Component, Device, Reading, Source

Meter = Literal["auto", "off", "rapl", "pm_counters", "hwmon", "nvml", "model"]


@dataclass(frozen=True, slots=True)
class Found:
    """The sources to sample, best first, and sentences on what was left out."""

    sources: tuple[Source, ...]
    notes: tuple[str, ...]

    @property
    def devices(self) -> tuple[Device, ...]:
        return tuple(device for source in self.sources for device in source.devices)


class _Chosen:
    """Some of the devices of a source: the others are already measured by a better one."""

    def __init__(self, source: Source, places: tuple[int, ...]) -> None:
        self.name = source.name
        self.devices = tuple(source.devices[place] for place in places)
        self._source = source
        self._places = places

    def read(self) -> tuple[Reading, ...]:
        readings = self._source.read()
        return tuple(readings[place] for place in self._places)

    def close(self) -> None:
        self._source.close()


def find_sources(
    root: Path = Path("/sys"),
    meter: Meter = "auto",
    profile: Profile | None = None,
    proc: Path = Path("/proc"),
    clock: Clock = time.monotonic_ns,
) -> Found:
    """What there is, best first: board counters, RAPL, NVML, hwmon; a model if nothing else.

    Each component is taken from one source only, so that nothing is counted twice: what a worse
    source also has is left out, and noted.

    Args:
        root: where sysfs is; containers may have the host's at another place.
        meter: "auto", or one kind only; "off" for none.
        profile: of this machine, for an estimate where no sensor can be read.
        proc: where the load of the processors is found.
        clock: nanoseconds of the host's monotonic clock.
    """
    finders = {
        "pm_counters": lambda: find_cray(root, clock),
        "rapl": lambda: find_powercap(root, clock),
        "nvml": lambda: find_nvml(clock),
        "hwmon": lambda: find_hwmon(root, clock),
    }
    if meter == "off":
        return Found((), ("switched off",))
    wanted = [name for name in finders if meter in ("auto", name)]
    found = _best([finders[name]() for name in wanted])
    if found.sources or meter not in ("auto", "model"):
        return found
    if profile is None:
        return Found((), (*found.notes, "no energy profile of this machine for an estimate"))
    return Found((ModelSource(profile, proc, clock),), found.notes)


def _best(findings: list[Finding]) -> Found:
    sources: list[Source] = []
    notes: list[str] = []
    taken: dict[Component, str] = {}
    for finding in findings:
        notes.extend(f"{finding.name}: {note}" for note in finding.notes)
        source = finding.source
        if source is None:
            continue
        devices = source.devices
        places = tuple(i for i, device in enumerate(devices) if device.component not in taken)
        for component in sorted({d.component for d in devices if d.component in taken}):
            notes.append(f"{finding.name}: {component} is taken from {taken[component]}")
        if not places:
            source.close()
            continue
        sources.append(source if len(places) == len(devices) else _Chosen(source, places))
        taken |= {devices[place].component: finding.name for place in places}
    return Found(tuple(sources), tuple(notes))
