"""Energy of runs as an HDF5 file in the shape of perun 1.x, that `perun export` reads.

perun's tree is application, run id, round, host, group of devices, sensor. Every metric is a group
with attributes; what is not known is left out, since perun would take a number for a reading.
Energies are those of the computers: nothing is multiplied by PUE but money and carbon.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from statistics import fmean, pstdev
from typing import Any

import h5py
import numpy as np

APP, MULTI_RUN, ROUND, HOST, GROUP, SENSOR = 1, 2, 3, 4, 5, 6  # perun's NodeType
DEVICES = {"package": "cpu", "dram": "ram", "gpu": "gpu", "module": "other", "node": "other"}
ENERGY_OF = {"cpu": "CPU", "ram": "DRAM", "gpu": "GPU", "other": "OTHER"}
UNITS = {"RUNTIME": "s", "ENERGY": "J", "POWER": "W", "CO2": "g", "MONEY": "", "N_RUNS": ""}
# Without these `perun export FILE bench` does not work: symbols of its magnitudes.
BENCH = {"joule": "k", "second": "", "percent": "", "watt": "", "byte": "G"}

Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True)
class PerunSensor:
    """One device.

    Attributes:
        times_s: since the start of the round.
        watts: mean power up to each of `times_s`.
        joules: in all.
        seconds: for which they are known.
    """

    name: str
    component: str
    times_s: Values
    watts: Values
    joules: float
    seconds: float


@dataclass(frozen=True, slots=True)
class PerunHost:
    """One host, and the ranks that ran on it."""

    name: str
    ranks: tuple[int, ...]
    seconds: float
    joules: float | None
    watts: float | None
    sensors: tuple[PerunSensor, ...]


@dataclass(frozen=True, slots=True)
class PerunRegion:
    """Calls, seconds and joules of each rank that entered a region."""

    name: str
    calls: tuple[int, ...]
    seconds: tuple[float, ...]
    joules: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class PerunRun:
    """One run; `cost` and `gco2` are those of its facility energy, None if not known."""

    run_id: str
    started: str
    seconds: float
    joules: float | None
    watts: float | None
    cost: float | None
    gco2: float | None
    hosts: tuple[PerunHost, ...]
    regions: tuple[PerunRegion, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def perun_file(name: str, runs: Sequence[PerunRun]) -> bytes:
    """The content of a file with `runs` as the runs of an application `name`."""
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        begins = sorted(run.started for run in runs)
        facts = {"creation_dt": begins[0], "last_execution_dt": begins[-1]}
        group = _node(file, name, APP, facts)
        _spread(group, runs)
        taken: set[str] = set()
        for run in runs:
            _add_run(group["nodes"], run, _unused(run.run_id, taken))
    return buffer.getvalue()


def _add_run(parent: Any, run: PerunRun, name: str) -> None:
    facts = {"execution_dt": run.started, "app_name": name, **run.facts}
    facts |= {f"benchmarking.units.{unit}": symbol for unit, symbol in BENCH.items()}
    group = _node(parent, name, MULTI_RUN, facts)
    _spread(group, [run])
    round_group = _node(group["nodes"], "0", ROUND, dict(run.facts))
    _metrics(round_group, _figures(run))
    taken: set[str] = set()
    for host in run.hosts:
        _add_host(round_group["nodes"], host, _unused(host.name, taken))
    if run.regions:
        _add_regions(round_group.create_group("regions"), run.regions)


def _add_host(parent: Any, host: PerunHost, name: str) -> None:
    group = _node(parent, name, HOST, {"mpi_ranks": str(list(host.ranks))})
    found: dict[str, list[PerunSensor]] = {}
    for sensor in host.sensors:
        found.setdefault(DEVICES[sensor.component], []).append(sensor)
    parts = {kind: _of_group(kind, sensors) for kind, sensors in found.items()}
    whole = {"RUNTIME": host.seconds, "ENERGY": host.joules, "POWER": host.watts}
    for figures in parts.values():
        whole |= figures
    _metrics(group, whole)
    for kind, sensors in found.items():
        inner = _node(group["nodes"], kind, GROUP, {}, kind)
        figures = parts[kind]
        head = ENERGY_OF[kind]
        totals = {"ENERGY": figures[f"{head}_ENERGY"], "POWER": figures[f"{head}_POWER"]}
        _metrics(inner, {**totals, **figures})
        taken: set[str] = set()
        for sensor in sensors:
            _add_sensor(inner["nodes"], sensor, kind, _unused(sensor.name, taken))


def _of_group(kind: str, sensors: Sequence[PerunSensor]) -> dict[str, float | None]:
    head = ENERGY_OF[kind]
    watts = [sensor.joules / sensor.seconds for sensor in sensors if sensor.seconds > 0]
    return {
        f"{head}_ENERGY": sum(sensor.joules for sensor in sensors),
        f"{head}_POWER": sum(watts) if watts else None,
    }


def _add_sensor(parent: Any, sensor: PerunSensor, kind: str, name: str) -> None:
    group = _node(parent, name, SENSOR, {"source": sensor.name}, kind)
    _metrics(group, {"ENERGY": sensor.joules})
    raw = group.create_group("raw_data")
    _describe(raw.create_dataset("timesteps", data=sensor.times_s), "s")
    _describe(raw.create_dataset("values", data=sensor.watts), "W")


def _add_regions(parent: Any, regions: Iterable[PerunRegion]) -> None:
    taken: set[str] = set()
    for region in regions:
        group = parent.create_group(_unused(region.name, taken))
        group.attrs["id"], group.attrs["processed"] = region.name, True
        _stats(group, "N_RUNS", region.calls)
        metrics = group.create_group("metrics")
        pairs = list(zip(region.calls, region.seconds, region.joules, strict=True))
        _stats(metrics, "RUNTIME", [s / calls for calls, s, _ in pairs if calls])
        _stats(metrics, "POWER", [j / s for _, s, j in pairs if s > 0])
        group.create_group("raw_data")  # perun's are times of each call, which are not kept


def _figures(run: PerunRun) -> dict[str, float | None]:
    return {
        "RUNTIME": run.seconds, "ENERGY": run.joules, "POWER": run.watts, "MONEY": run.cost,
        "CO2": run.gco2,
    }  # fmt: skip


def _spread(group: Any, runs: Sequence[PerunRun]) -> None:
    """Statistics over runs of what all of them know.

    perun's summary needs money and carbon beside energy: without them energy is a plain number.
    """
    found = [_figures(run) for run in runs]
    whole = {name: [one[name] for one in found] for name in found[0]}
    known = {name: v for name, v in whole.items() if all(x is not None for x in v)}
    billed = {"MONEY", "CO2"} <= set(known)
    for name, values in known.items():
        numbers = [value for value in values if value is not None]
        if name == "ENERGY" and not billed:
            _metric(group["metrics"], name, sum(numbers))
        else:
            _stats(group["metrics"], name, numbers)


def _node(
    parent: Any, name: str, kind: int, facts: Mapping[str, str], device: str | None = None
) -> Any:
    group = parent.create_group(_plain(name))
    group.attrs["type"] = kind
    if device is not None:
        group.attrs["device_type"] = device
    for key, value in facts.items():
        group.attrs[key] = value
    group.create_group("metrics")
    group.create_group("nodes")
    return group


def _metrics(group: Any, figures: Mapping[str, float | None]) -> None:
    for name, value in figures.items():
        if value is not None:
            _metric(group["metrics"], name, value)


def _metric(parent: Any, name: str, value: float) -> None:
    group = parent.create_group(name)
    _describe(group, _unit(name))
    group.attrs["type"] = name.lower()
    group.attrs["agg_type"] = "sum"
    group.attrs["value"] = np.float64(value)


def _stats(parent: Any, name: str, values: Sequence[float]) -> None:
    if not values:
        return
    group = parent.create_group(name)
    _describe(group, _unit(name))
    group.attrs["type"] = name.lower()
    for key, value in (
        ("sum", sum(values)), ("mean", fmean(values)), ("std", pstdev(values)),
        ("min", min(values)), ("max", max(values)),
    ):  # fmt: skip
        group.attrs[key] = np.float64(value)


def _unit(name: str) -> str:
    return UNITS.get(name) or UNITS.get(name.rpartition("_")[2], "")


def _describe(target: Any, unit: str) -> None:
    largest = np.finfo(np.float64).max
    target.attrs["unit"], target.attrs["mag"], target.attrs["dtype"] = unit, 1.0, "float64"
    target.attrs["valid_min"], target.attrs["valid_max"] = -largest, largest
    target.attrs["fill"] = np.float64(0.0)


def _plain(name: str) -> str:
    """As the name of an HDF5 group."""
    text = name.replace("/", "_").replace("\0", "_")
    return text if text.strip(".") else f"_{text}"


def _unused(name: str, taken: set[str]) -> str:
    """The name, with a number if it is there already."""
    text, count = _plain(name), 1
    while text in taken:
        count += 1
        text = f"{_plain(name)}-{count}"
    taken.add(text)
    return text
