"""`hpctrain energy calibrate`: what this host takes when idle and at full load, as a profile.

It needs sensors (RAPL, NVML, board or hwmon), and is for hosts of the same kind that have none, or
where they may not be read. The profile is of what the sensors see, and no more: packages and memory
where there is only RAPL. Nothing else should run meanwhile; an otherwise idle host is yours to see
to.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpctrain.errors import MeteringError
from hpctrain.metering.account import host_energy
from hpctrain.metering.discovery import Found, Meter, find_sources
from hpctrain.metering.model import Profile
from hpctrain.metering.reading import is_part
from hpctrain.metering.series import Accumulator, Knot

LOOK_EVERY_S = 0.1
# Matrix products keep the vector units busy; other programs take less at the same load.
LOAD = """
import numpy
a = numpy.random.default_rng(0).random((256, 256))
print("ready", flush=True)
while True:
    a = a @ a
    a /= numpy.abs(a).max()
"""
# At part load power is not linear in the load: by how much is not measured here.
LOW, HIGH = 0.8, 1.25


@dataclass(frozen=True)
class Measured:
    """Watts of all repetitions."""

    idle_w: list[float]
    full_w: list[float]

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest, over their median: of both loads, that which is wider."""
        both = [
            (w, statistics.median(found)) for found in (self.idle_w, self.full_w) for w in found
        ]
        ratios = [watts / median for watts, median in both if median > 0]
        return min(ratios), max(ratios)


def mean_w(found: Found, seconds: float) -> float:
    """Mean power of the host over `seconds` from now on.

    Raises:
        MeteringError: if its sensors could not be read in that time.
    """
    totals = [Accumulator(d, round(10 * LOOK_EVERY_S * 1e9)) for d in found.devices]
    until_s = time.monotonic() + seconds
    while True:
        left_s = until_s - time.monotonic()
        readings = [reading for source in found.sources for reading in source.read()]
        for total, reading in zip(totals, readings, strict=True):
            total.add(reading)
        if left_s <= 0:
            break
        time.sleep(min(LOOK_EVERY_S, left_s))
    begin = {total.device.name: total.first for total in totals if total.first}
    end = {total.device.name: total.knot for total in totals if total.knot}
    return _watts(found, begin, end)


def _watts(found: Found, begin: dict[str, Knot], end: dict[str, Knot]) -> float:
    used = host_energy(found.devices, begin, end, 0).counted
    blind = [u.device.name for u in used if u.covered_ns == 0]
    if not used or blind:
        raise MeteringError(f"no readings of {', '.join(blind) or 'any sensor'} while measuring")
    return sum(u.energy_uj / u.covered_ns for u in used) * 1e3  # uJ/ns


def measure(found: Found, seconds: float, settle_s: float, repeat: int, cores: int) -> Measured:
    """Idle and full load, one after the other, `repeat` times."""
    measured = Measured([], [])
    for number in range(1, repeat + 1):
        time.sleep(settle_s)
        measured.idle_w.append(mean_w(found, seconds))
        workers = _load(cores)
        try:
            time.sleep(settle_s)
            measured.full_w.append(mean_w(found, seconds))
        finally:
            _end(workers)
        print(
            f"{number} of {repeat}: {measured.idle_w[-1]:.1f} W idle, "
            f"{measured.full_w[-1]:.1f} W at full load"
        )
    return measured


def _load(cores: int) -> list[subprocess.Popen[bytes]]:
    """One busy process for each core, all of them at work."""
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-c", LOAD]
    workers = [
        subprocess.Popen(command, env={**os.environ, **one}, stdout=subprocess.PIPE)
        for _ in range(cores)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    return workers


def _end(workers: Sequence[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.wait()
        assert worker.stdout is not None
        worker.stdout.close()


def profile_of(name: str, measured: Measured) -> Profile:
    """Medians; the bounds are those of part load, or of the spread if that is wider.

    Raises:
        MeteringError: if the host took less at full load than idle.
    """
    lowest, highest = measured.spread
    return Profile(
        name,
        round(statistics.median(measured.idle_w), 1),
        round(statistics.median(measured.full_w), 1),
        round(min(LOW, lowest), 3),
        round(max(HIGH, highest), 3),
    )


def text_of(profile: Profile, measured: Measured, found: Found, seconds: float) -> str:
    """The profile as TOML, with where its numbers come from."""
    present = {device.component for device in found.devices}
    seen = sorted({c for c in present if not is_part(c, present)})

    def told(watts: list[float]) -> str:
        return f"{min(watts):.1f} to {max(watts):.1f} W"

    return (
        f"# Measured by hpctrain energy calibrate: {len(measured.idle_w)} times {seconds:g} s, "
        f"{os.cpu_count()} cores.\n"
        f"# Idle {told(measured.idle_w)}, full load {told(measured.full_w)}; medians below.\n"
        f"# What the sensors see is {', '.join(seen)}: other parts of the host are not in it.\n"
        f"# The bounds allow for part load, at which power is not linear in the load.\n"
        f"name = {_quoted(profile.name)}\n"
        f"idle_w = {profile.idle_w}\nfull_w = {profile.full_w}\n"
        f"low = {profile.low}\nhigh = {profile.high}\n"
    )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Asked:
    """What to measure, and how; `%h` in `output` is the host's name."""

    name: str
    output: Path
    seconds: float
    settle_s: float
    repeat: int
    cores: int | None
    meter: Meter
    sysfs_root: Path


def calibrate(asked: Asked) -> int:
    """Measure, print and write. Returns the exit code.

    Raises:
        MeteringError: without sensors, or if they do not tell.
    """
    found = find_sources(asked.sysfs_root, asked.meter)
    if not found.sources:
        raise MeteringError(
            "this host has no sensor to calibrate by, and nothing is made up: "
            + "; ".join(note for note in found.notes if "profile" not in note)
        )
    names = ", ".join(source.name for source in found.sources)
    print(f"sensors: {names}; {asked.repeat} times {asked.seconds:g} s idle and at full load")
    cores = asked.cores or len(os.sched_getaffinity(0))
    measured = measure(found, asked.seconds, asked.settle_s, asked.repeat, cores)
    profile = profile_of(asked.name or os.uname().machine, measured)
    path = Path(str(asked.output).replace("%h", os.uname().nodename))
    try:
        path.write_text(text_of(profile, measured, found, asked.seconds), encoding="utf-8")
    except OSError as error:
        raise MeteringError(f"cannot write {path}: {error}") from error
    print(f"{path}: {profile.idle_w} W idle, {profile.full_w} W at full load")
    return 0
