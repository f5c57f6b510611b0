"""Energy counters of HPE Cray EX blades: /sys/cray/pm_counters.

A board controller updates all files ten times a second. `freshness` counts the updates: if it
changes while we read, values of two moments would mix, and we read again; if it stands still, the
controller is gone, and old values are no readings. `generation` changes with the power cap; it
says nothing on energy. Values are whole joules with their unit: "1234 J", in newer versions
followed by the time of the update.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from hpctrain.metering.files import Clock, NumberFile, timed
from hpctrain.metering.finding import Finding
from hpctrain.metering.reading import Component, Device, Reading

STALE_S = 2.0  # twenty updates that did not come
TRIES = 3
_FILES: tuple[tuple[str, Component, float], ...] = (
    (r"energy", "node", 20_000.0),
    (r"cpu_energy", "package", 6000.0),
    (r"memory_energy", "dram", 3000.0),
    (r"accel\d+_energy", "gpu", 3000.0),
)
_VALUE = re.compile(r"(\d+)(?:\s*J\b.*)?$", re.DOTALL)


class CraySource:
    """The node's counter, and those of its parts."""

    name = "pm_counters"

    def __init__(
        self,
        counters: tuple[tuple[Device, NumberFile], ...],
        freshness: NumberFile | None,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        self.devices = tuple(device for device, _ in counters)
        self._files = tuple(file for _, file in counters)
        self._freshness = freshness
        self._clock = clock
        self._last_fresh: int | None = None
        self._fresh_since_ns = clock()

    def read(self) -> tuple[Reading, ...]:
        for _ in range(TRIES):
            before = self._update()
            readings = tuple(self._look(file) for file in self._files)
            if self._update() == before:
                break
        if self._is_stale(before):
            return tuple(Reading(reading.time_ns, None) for reading in readings)
        return readings

    def close(self) -> None:
        for file in (*self._files, *((self._freshness,) if self._freshness else ())):
            file.close()

    def _look(self, file: NumberFile) -> Reading:
        return Reading(*timed(lambda: _joules(file), self._clock))

    def _update(self) -> int | None:
        return self._freshness.read() if self._freshness else None

    def _is_stale(self, update: int | None) -> bool:
        if self._freshness is None:
            return False
        now_ns = self._clock()
        if update != self._last_fresh:
            self._last_fresh, self._fresh_since_ns = update, now_ns
        return now_ns - self._fresh_since_ns > STALE_S * 1e9


def find_cray(root: Path, clock: Clock = time.monotonic_ns) -> Finding:
    """The counters in `root`/cray/pm_counters."""
    folder = root / "cray" / "pm_counters"
    if not folder.is_dir():
        return Finding("pm_counters", None, ("no Cray pm_counters",))
    found: list[tuple[Device, NumberFile]] = []
    notes: list[str] = []
    for path in sorted(folder.iterdir()):
        for pattern, component, max_w in _FILES:
            if re.fullmatch(pattern, path.name):
                device = Device(f"pm:{path.name}", component, "counter", max_w=max_w)
                try:
                    found.append((device, NumberFile(path)))
                except OSError as error:
                    notes.append(f"{path}: {error.strerror}")
    freshness = None
    try:
        freshness = NumberFile(folder / "freshness")
    except OSError:
        notes.append("pm_counters has no freshness: stale values cannot be told")
    source = CraySource(tuple(found), freshness, clock) if found else None
    return Finding("pm_counters", source, tuple(notes))


def _joules(file: NumberFile) -> int | None:
    """Microjoules, from the whole joules in the file."""
    found = _VALUE.match(file.text() or "")
    return int(found[1]) * 1_000_000 if found else None
