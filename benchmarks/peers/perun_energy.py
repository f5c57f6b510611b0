"""What perun costs on a fake tree of RAPL counters; runs in perun's own environment.

perun_energy.py monitor ROOT PERIOD_S SECONDS     its sampler, a region, memory of a sample
perun_energy.py noop ROOT                         a run of nothing under perun
perun_energy.py bare ROOT                         the same run of nothing without it
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import Any

CALLS = 10_000
SAMPLES = 20_000


def look_at(root: Path) -> None:
    """Make perun look below `root`; in sysfs the memory of a package is inside of it, too."""
    import perun.backend.powercap_rapl as rapl

    powercap = root / "class" / "powercap"
    for folder in powercap.glob("intel-rapl:?:?"):
        inside = powercap / folder.name[:-2] / folder.name
        if not inside.exists():
            inside.symlink_to(folder)
    rapl.RAPL_PATH = f"{powercap}/"
    logging.getLogger("perun").setLevel(logging.ERROR)


def monitored(function: Callable[[], Any], period_s: float) -> Any:
    """Call `function` under perun, with RAPL alone; its `Perun` object."""
    from perun.configuration import config
    from perun.core import Perun
    from perun.monitoring.application import Application

    with tempfile.TemporaryDirectory() as folder:
        config.set("monitor", "sampling_period", str(period_s))
        config.set("monitor", "exclude_backends", "nvml amdsmi hwmon-grace psutil")
        config.set("output", "app_name", "cost")
        config.set("output", "data_out", folder)
        perun = Perun(config)
        perun.monitor_application(Application(function, config))
    return perun


def monitor(root: Path, period_s: float, seconds: float) -> dict[str, float]:
    import perun

    look_at(root)
    found: dict[str, float] = {}

    @perun.monitor("load")
    def load() -> None:
        pass

    def program() -> None:
        (sampler,) = multiprocessing.active_children()
        assert sampler.pid is not None
        time.sleep(1 + period_s)
        clock = (~sampler.pid << 3) | 2  # its processor time: clock_getcpuclockid(3)
        before_s, began_s = time.clock_gettime(clock), time.monotonic()
        time.sleep(seconds)
        used_s = time.clock_gettime(clock) - before_s
        found["core_pct"] = 100 * used_s / (time.monotonic() - began_s)
        found["region_us"] = median(repeat(load, number=CALLS, repeat=25)) / CALLS * 1e6

    core = monitored(program, period_s)
    return found | {"bytes_per_sample": bytes_per_sample(core)}


def bytes_per_sample(core: Any) -> float:
    """What its loop keeps of one look at all sensors, in its lists of Python objects."""
    from perun.monitoring.subprocess import _monitoringLoop, prepSensors

    _, sensors = prepSensors(core.backends, core.l_assigned_sensors)
    assert len(sensors) == 4, [sensor.id for sensor in sensors]
    times: list[int] = []
    values: list[list[Any]] = [[] for _ in sensors]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _monitoringLoop(sensors, times, values, lambda _: len(times) >= SAMPLES, 1.0)
    return (tracemalloc.get_traced_memory()[0] - before) / len(times)


def main() -> None:
    mode, root = sys.argv[1], Path(sys.argv[2])
    found: dict[str, float] = {}
    if mode == "monitor":
        found = monitor(root, float(sys.argv[3]), float(sys.argv[4]))
    elif mode == "noop":
        look_at(root)
        monitored(lambda: None, 1.0)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
