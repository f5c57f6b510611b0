"""A tree of sysfs with RAPL zones whose power is known, for the benchmarks of energy."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import cos, floor, pi
from pathlib import Path

WRAP_UJ = 65_532_610_987  # of a package; a quarter of an hour at 73 W
UNIT_J = 61e-6
UPDATE_S = 0.001  # RAPL updates its counters about once a millisecond


class FakeTree:
    """Zones below `root`, whose counters are set to what has been used at a time."""

    def __init__(self, root: Path, zones: Mapping[str, str]) -> None:
        self._files: dict[str, int] = {}
        for folder_name, zone in zones.items():
            folder = root / "class" / "powercap" / folder_name
            folder.mkdir(parents=True)
            (folder / "name").write_text(f"{zone}\n")
            (folder / "max_energy_range_uj").write_text(f"{WRAP_UJ}\n")
            flags = os.O_RDWR | os.O_CREAT
            self._files[folder_name] = os.open(folder / "energy_uj", flags, 0o644)
            self.set(folder_name, 0.0)

    def set(self, zone: str, energy_j: float) -> None:
        """In whole units of the counter, and one system call, as the kernel would show it."""
        value_uj = floor(floor(energy_j / UNIT_J) * UNIT_J * 1e6) % WRAP_UJ
        os.pwrite(self._files[zone], f"{value_uj:020d}\n".encode(), 0)

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)


def constant_j(time_s: float) -> float:
    """240 W."""
    return 240 * time_s


def phases_j(time_s: float) -> float:
    """300 W for 0.7 s, then 60 W for 0.6 s, again and again: inner steps and exchange."""
    whole, rest = divmod(time_s, 1.3)
    return whole * (0.7 * 300 + 0.6 * 60) + min(rest, 0.7) * 300 + max(0.0, rest - 0.7) * 60


def wave_j(time_s: float) -> float:
    """150 + 100 sin(2 pi t / 7) watts."""
    return 150 * time_s + 100 * 7 / (2 * pi) * (1 - cos(2 * pi * time_s / 7))


def burst_j(time_s: float) -> float:
    """300 W for the first second, then 50 W: what counts most is at the edge."""
    return 300 * min(time_s, 1.0) + 50 * max(0.0, time_s - 1.0)


SHAPES = {"constant": constant_j, "phases": phases_j, "wave": wave_j, "burst": burst_j}
