"""Readings that were recorded, in place of the hardware that gave them.

A recording is a text file of JSON lines: the devices first, then for every look a list of
`[time_ns, value]`, in which `null` is a missing reading.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from hpctrain.errors import MeteringError
from hpctrain.metering.reading import Device, Reading


class ReplaySource:
    """Gives `looks` one after another; then every reading is missing, at the last time."""

    name = "replay"

    def __init__(self, devices: Sequence[Device], looks: Iterable[Sequence[Reading]]) -> None:
        self.devices = tuple(devices)
        self._looks = iter([tuple(look) for look in looks])
        self._last: tuple[Reading, ...] = tuple(Reading(0, None) for _ in devices)

    def read(self) -> tuple[Reading, ...]:
        look = next(self._looks, None)
        if look is None:
            return tuple(Reading(reading.time_ns, None) for reading in self._last)
        self._last = look
        return look

    def close(self) -> None:
        pass


def save_recording(
    path: Path, devices: Sequence[Device], looks: Iterable[Sequence[Reading]]
) -> None:
    """Write a recording that `load_recording` reads."""
    lines = [json.dumps([asdict(device) for device in devices])]
    for look in looks:
        lines.append(json.dumps([[reading.time_ns, reading.value] for reading in look]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load_recording(path: Path) -> ReplaySource:
    """The source that gives again what was recorded in `path`.

    Raises:
        MeteringError: if it is no recording, with the line.
    """
    line = 1
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        devices = [Device(**found) for found in json.loads(first)]
        looks = []
        for line, text in enumerate(rest, start=2):
            looks.append([Reading(time_ns, value) for time_ns, value in json.loads(text)])
            if len(looks[-1]) != len(devices):
                raise MeteringError(
                    f"{path}, line {line}: {len(looks[-1])} readings of {len(devices)} devices"
                )
    except (OSError, ValueError, TypeError) as error:
        raise MeteringError(f"{path}, line {line}: not a recording of readings: {error}") from error
    return ReplaySource(devices, looks)
