"""The sensors that perun finds, as a source of ours: `energy.meter = "perun"`.

Only perun's backends are used, which find sensors and read them; not its sampler, its report or its
files. What differs from our own sources:

- A read that fails gives 0 in perun, and a log entry. So a counter that shows 0 after it has shown
  more is taken for a missing reading, and so is a power of 0. A counter that has just wrapped to 0
  cannot be told from a failed read; the next reading bridges it.
- perun reads the sampled power of GPUs, where our own source reads their counter of energy.
- Counters that two zones share are not recognised, and sysfs is at /sys only.
- A backend exists once in a process and stays open until its end.

Units, magnitudes and ranges are those of perun's metadata.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from hpctrain.metering.discovery import Found
from hpctrain.metering.files import Clock
from hpctrain.metering.reading import Component, Device, Kind, Reading

# In this order; a component is taken from the first that has it. psutil's has no energy.
BACKENDS = ("PowercapRAPLBackend", "HWMonGraceBackend", "NVMLBackend", "ROCMBackend")
KINDS: dict[str, Kind] = {"J": "counter", "W": "power"}
MAX_W = {"module": 6000.0}
MISSING = "perun is not installed: pip install 'hpctrain[perun]'"
BUSY = (
    "perun monitors this process already, and its sensors cannot be read by two: take "
    'energy.meter = "auto"'
)


@dataclass(slots=True)
class _Sensor:
    """A sensor of perun's as a device of ours."""

    device: Device
    sensor: Any  # perun.data_model.sensor.Sensor
    micro: float  # of our unit in one of its
    seen: bool = False  # more than 0

    def read(self, clock: Clock) -> Reading:
        before_ns = clock()
        value = int(self.sensor.read())
        time_ns = (before_ns + clock()) // 2
        missing = value == 0 and (self.seen or self.device.kind == "power")
        self.seen = self.seen or value != 0
        return Reading(time_ns, None if missing else _scaled(value, self.micro))


class PerunSource:
    """Sensors of perun's backends."""

    name = "perun"

    def __init__(self, sensors: Sequence[_Sensor], clock: Clock = time.monotonic_ns) -> None:
        self.devices: tuple[Device, ...] = tuple(sensor.device for sensor in sensors)
        self._sensors = tuple(sensors)
        self._clock = clock

    def read(self) -> tuple[Reading, ...]:
        return tuple(sensor.read(self._clock) for sensor in self._sensors)

    def close(self) -> None:
        """Nothing: the backends belong to perun, and others may read them."""


def perun_sources(clock: Clock = time.monotonic_ns) -> Found:
    """What perun finds on this host, each component from one backend. Takes a second or two."""
    try:
        from perun.backend import available_backends
        from perun.core import Perun
    except ImportError:
        return Found((), (f"perun: {MISSING}",))
    try:
        Perun.getInstance()
    except (KeyError, ValueError):  # there is none
        pass
    else:
        return Found((), (f"perun: {BUSY}",))
    logging.getLogger("perun").addHandler(logging.NullHandler())  # or it would write to stderr
    notes: list[str] = []
    sensors: list[_Sensor] = []
    for name in BACKENDS:
        taken = {sensor.device.component for sensor in sensors}
        for found in _sensors_of(name, available_backends.get(name), notes):
            if found.device.component in taken:
                notes.append(f"perun: {found.device.name} is measured by another backend")
            else:
                sensors.append(found)
    source = PerunSource(sensors, clock)
    return Found((source,) if sensors else (), tuple(notes))


def _sensors_of(name: str, backend_class: Any, notes: list[str]) -> Iterable[_Sensor]:
    if backend_class is None:
        notes.append(f"perun: this version has no {name}")
        return []
    try:
        backend = backend_class()
    except Exception as error:  # as perun does: whatever a backend raises, it cannot be used here
        notes.append(f"perun: {name}: {error}")
        return []
    known = backend.availableSensors()
    wanted = {id_ for id_, (_, _, unit) in known.items() if unit.value in KINDS}
    if not wanted:
        notes.append(f"perun: {name}: no sensor of energy or power that may be read")
        return []
    sensors = sorted(backend.getSensors(wanted), key=lambda sensor: str(sensor.id))
    return [found for sensor in sensors if (found := _adapted(backend.id, sensor, notes))]


def _adapted(backend_id: str, sensor: Any, notes: list[str]) -> _Sensor | None:
    component = _component(backend_id, sensor)
    if component is None:
        notes.append(f"perun: {sensor.id} of {backend_id}: not a part that is counted")
        return None
    unit = sensor.dataType
    kind = KINDS[unit.unit.value]
    micro = float(unit.mag) * 1e6
    wraps_at_uj = _scaled(int(unit.max), micro) if kind == "counter" else 0
    device = Device(
        _name(backend_id, sensor), component, kind,
        wraps_at_uj=wraps_at_uj or None,
        max_w=MAX_W.get(component, 3000.0),
    )  # fmt: skip
    return _Sensor(device, sensor, micro)


def _component(backend_id: str, sensor: Any) -> Component | None:
    """Parts inside of others (rails of a Grace processor) are none of ours."""
    match backend_id, sensor.type.value:
        case "powercap_rapl", "cpu":
            return "package"
        case "powercap_rapl", "ram":
            return "dram"
        case "hwmon-grace", "socket":
            return "package"
        case "hwmon-grace", "other":
            label = str(sensor.metadata.get("device_name", ""))
            return "module" if label.startswith("Module Power") else None
        case (("nvml" | "amdsmi"), "gpu"):
            return "gpu"
        case _:
            return None


def _name(backend_id: str, sensor: Any) -> str:
    uuid = sensor.metadata.get("uuid")
    if uuid is None:
        return f"perun:{backend_id}:{sensor.id}"
    return f"gpu:{uuid.decode() if isinstance(uuid, bytes) else uuid}"


def _scaled(value: int, micro: float) -> int:
    """Whole micro-units; exact where perun's unit is one or more of them."""
    return value * round(micro) if micro >= 1 else round(value * micro)
