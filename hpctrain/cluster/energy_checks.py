"""Checks of the sensors that tell how much energy a run takes."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from hpctrain.cluster.check import Check


def energy_checks(sys: Path = Path("/sys"), dev: Path = Path("/dev")) -> Iterator[Check]:
    """What can be read of the energy of processors, boards, GPUs and hosts.

    Args:
        sys: where the kernel shows its devices.
        dev: where device files are.
    """
    yield _rapl(sys / "class" / "powercap")
    yield _hwmon(sys / "class" / "hwmon")
    yield _cray(sys / "cray" / "pm_counters")
    if list(dev.glob("nvidia[0-9]*")):
        yield _nvml()


def _rapl(powercap: Path) -> Check:
    counters = sorted(powercap.glob("*rapl:*/energy_uj"))
    if not counters:
        return Check("energy: RAPL", "note", "none (virtual machine, or another processor)")
    closed = [path for path in counters if not os.access(path, os.R_OK)]
    if closed:
        hint = "an administrator opens them with: chmod a+r /sys/class/powercap/*/energy_uj"
        found = f"{len(closed)} of {len(counters)} counters are not readable"
        return Check("energy: RAPL", "note", found, hint)
    return Check("energy: RAPL", "ok", f"{len(counters)} counters")


def _hwmon(hwmon: Path) -> Check:
    patterns = ("*/energy*_input", "*/power*_input", "*/power*_average")
    sensors = [path for pattern in patterns for path in sorted(hwmon.glob(pattern))]
    readable = [path for path in sensors if os.access(path, os.R_OK)]
    if not readable:
        return Check("energy: hwmon", "note", "none" if not sensors else "not readable")
    chips = sorted({_chip(path.parent) for path in readable})
    return Check("energy: hwmon", "ok", f"{len(readable)} sensors ({', '.join(chips)})")


def _cray(counters: Path) -> Check:
    if (counters / "energy").is_file():
        return Check("energy: Cray pm_counters", "ok", str(counters))
    return Check("energy: Cray pm_counters", "note", "none")


def _nvml() -> Check:
    if importlib.util.find_spec("pynvml"):
        return Check("energy: NVML", "ok", "pynvml is installed")
    hint = "python -m pip install nvidia-ml-py"
    return Check("energy: NVML", "note", "a GPU is here, but pynvml is not installed", hint)


def _chip(folder: Path) -> str:
    try:
        return (folder / "name").read_text().strip()
    except OSError:
        return folder.name
