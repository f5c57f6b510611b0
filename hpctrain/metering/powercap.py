"""Energy counters of processors and their memory, as Linux shows them: powercap (RAPL).

Zones are packages, with sub-zones inside: core and uncore are part of their package, so they are
not counted beside it; dram is not part of it. psys, the whole platform where a laptop has it,
contains the packages and is left out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from hpctrain.metering.files import Clock, NumberFile, number, word
from hpctrain.metering.finding import Finding
from hpctrain.metering.number_files import NumberFileSource
from hpctrain.metering.reading import Component, Device

CLOSED_HINT = (
    "{num} RAPL counters may not be read; an administrator opens them with: "
    "chmod a+r /sys/class/powercap/*/energy_uj"
)
MIRROR_LOOKS = 5
MIRROR_PAUSE_S = 0.003  # counters move about once a millisecond


@dataclass(frozen=True, slots=True)
class _Zone:
    folder: Path
    name: str
    component: Component
    wraps_at_uj: int | None


class PowercapSource(NumberFileSource):
    """The zones that can be read."""

    name = "rapl"


def find_powercap(root: Path, clock: Clock = time.monotonic_ns) -> Finding:
    """The counters below `root`/class/powercap."""
    zones = _zones(root / "class" / "powercap")
    if not zones:
        return Finding("rapl", None, ("no RAPL counters (virtual machine, or another processor)",))
    opened: list[tuple[Device, NumberFile]] = []
    notes: list[str] = []
    closed = 0
    for zone in zones:
        device = Device(_device_name(zone), zone.component, "counter", "measured", zone.wraps_at_uj)
        try:
            opened.append((device, NumberFile(zone.folder / "energy_uj")))
        except PermissionError:
            closed += 1
        except OSError as error:
            notes.append(f"{device.name}: {error.strerror}")
    if closed:
        notes.append(CLOSED_HINT.format(num=closed))
    kept = _without_mirrors(opened, notes)
    return Finding("rapl", PowercapSource(kept, clock) if kept else None, tuple(notes))


def _zones(powercap: Path) -> list[_Zone]:
    """Packages and their memory, each once, in order; the MSR interface goes before MMIO."""
    zones: dict[str, _Zone] = {}
    folders = sorted(powercap.glob("*rapl*:*"), key=lambda folder: ("mmio" in folder.name, folder))
    for folder in folders:
        if not (folder / "energy_uj").exists():
            continue
        name = word(folder / "name")
        if name.startswith("package"):
            component: Component = "package"
        elif name == "dram":
            component = "dram"
        else:
            continue
        range_uj = number(folder / "max_energy_range_uj")
        zone = _Zone(folder, name, component, range_uj or None)
        zones.setdefault(_identity(zone), zone)
    return list(zones.values())


def _identity(zone: _Zone) -> str:
    """The same for two interfaces (MSR, MMIO) to one zone."""
    path = zone.folder.name.partition(":")[2]
    return zone.name if zone.component == "package" else f"dram:{path}"


def _device_name(zone: _Zone) -> str:
    return f"rapl:{zone.folder.name.partition(':')[2]}:{zone.name}"


def _without_mirrors(
    opened: list[tuple[Device, NumberFile]], notes: list[str]
) -> list[tuple[Device, NumberFile]]:
    """Each counter once: some processors show one counter in the zone of every die."""
    kept: list[tuple[Device, NumberFile]] = []
    for device, file in opened:
        twin = next(
            (d for d, f in kept if d.component == device.component and _same(f, file)), None
        )
        if twin is None:
            kept.append((device, file))
            continue
        notes.append(f"{device.name} shows the counter of {twin.name}: counted once")
        file.close()
    return kept


def _same(one: NumberFile, other: NumberFile) -> bool:
    """Whether both show one counter, at every one of several looks.

    The first is read before and after the second: counters that were only equal by chance at one
    look are told apart at the next. Two that are at 0 tell nothing, and count as two.
    """
    for look in range(MIRROR_LOOKS):
        before, between, after = one.read(), other.read(), one.read()
        if not before or between is None or after is None:
            return False
        in_step = before <= between <= after
        around_zero = after < before and (between >= before or between <= after)
        if not (in_step or around_zero):
            return False
        if look + 1 < MIRROR_LOOKS:
            time.sleep(MIRROR_PAUSE_S)
    return True
