"""Sensors of /sys/class/hwmon whose meaning is known.

- NVIDIA Grace (chip `power_meter`, told apart by power1_oem_info): Module is the superchip, Grace
  the processor with its memory. CPU and SysIO are rails inside Grace and are not counted beside it.
- `amd_energy`: Esocket is a package; its cores (Ecore) are inside.
- `amdgpu`: a GPU, as average or momentary power.

What else reports power there may be a rail, a fan or a supply: it is named and left out.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from hpctrain.metering.files import Clock, NumberFile, word
from hpctrain.metering.finding import Finding
from hpctrain.metering.number_files import NumberFileSource
from hpctrain.metering.reading import Component, Device, Kind

_SENSOR = re.compile(r"(energy|power)(\d+)_(input|average)")
_GRACE: dict[str, Component] = {"module power": "module", "grace power": "package"}
_MAX_W: dict[Component, float] = {"module": 6000.0, "node": 20_000.0}


class HwmonSource(NumberFileSource):
    """Microjoules and microwatts: the units of hwmon are ours."""

    name = "hwmon"


def find_hwmon(root: Path, clock: Clock = time.monotonic_ns) -> Finding:
    """The sensors below `root`/class/hwmon that are understood and can be read."""
    found: dict[str, tuple[Device, NumberFile]] = {}
    notes: list[str] = []
    for path, chip in _sensors(root / "class" / "hwmon"):
        label = _label(path)
        component = _component(chip, label)
        if component is None:
            notes.append(f"hwmon {chip} {label or path.name}: not a part that is counted")
            continue
        kind: Kind = "counter" if path.name.startswith("energy") else "power"
        name = f"hwmon:{path.parent.name}:{label or chip}".replace(" ", "-")
        if name in found:  # energy before power, average before the moment: in order of names
            continue
        device = Device(name, component, kind, max_w=_MAX_W.get(component, 3000.0))
        try:
            found[name] = device, NumberFile(path)
        except OSError as error:
            notes.append(f"{path}: {error.strerror}")
    if not found and not notes:
        notes.append("no energy or power in hwmon")
    source = HwmonSource(tuple(found.values()), clock) if found else None
    return Finding("hwmon", source, tuple(notes))


def _sensors(hwmon: Path) -> Iterator[tuple[Path, str]]:
    """Every sensor and its chip; files are in the chip's folder, in old drivers below `device`."""
    for chip in sorted(hwmon.glob("*")):
        for folder in (chip, chip / "device"):
            for path in sorted(folder.glob("*")) if folder.is_dir() else ():
                if _SENSOR.fullmatch(path.name):
                    yield path, word(chip / "name") or chip.name


def _label(path: Path) -> str:
    found = _SENSOR.fullmatch(path.name)
    assert found is not None
    stem = f"{found[1]}{found[2]}"
    places = (path.parent, path.parent / "device")
    texts = (word(place / f"{stem}_{what}") for place in places for what in ("oem_info", "label"))
    return next((text for text in texts if text), "")


def _component(chip: str, label: str) -> Component | None:
    text = label.lower()
    match chip:
        case "power_meter":
            return next((part for name, part in _GRACE.items() if text.startswith(name)), None)
        case "amd_energy":
            return "package" if text.startswith("esocket") else None
        case "amdgpu":
            return "gpu"
        case _:
            return None
