"""How the energy of a run was measured, what is not in it, and where the report comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpctrain.metering.reading import Component
from hpctrain.metering.steps import Steps
from hpctrain.report.energies.cells import Section, percent
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energies.words import is_stated
from hpctrain.report.facts import origin
from hpctrain.report.words import plural

# By the first part of a device's name.
SOURCES = {
    "pm": "HPE Cray EX board controllers (pm_counters)",
    "rapl": "RAPL of the processors (powercap)",
    "dram": "RAPL of the memory (powercap)",
    "gpu": "NVML of the GPUs",
    "hwmon": "sensors of the kernel (hwmon)",
    "perun": "perun's sensors",
    "imagined": "imagined: watts that the settings give to each worker of the simulation",
    "model": "a model of the load: an estimate, within the bounds of its profile",
}
WHAT: dict[Component, str] = {
    "package": "processors",
    "dram": "memory",
    "gpu": "GPUs",
    "module": "superchip modules",
    "node": "whole nodes",
}
LONGEST_LIST = 8


def method_section(run: RunEnergy) -> Section:
    """Along the aspects of the EE HPC WG's power measurement methodology; no level is claimed."""
    notes = run.notes if run.is_known else ()  # else they stand above, as the reason
    return Section("Method and limits", tuple(_method(run)), notes=notes)


def provenance_section(run: RunEnergy) -> Section:
    """Of the run, and of the terms under which it was billed."""
    return Section("Provenance", tuple(_provenance(run)))


def _method(run: RunEnergy) -> Iterator[tuple[str, str]]:
    if run.is_known:
        yield "sources", "; ".join(_sources(run))
    if not run.is_imagined:
        yield from _measured(run)
    if run.is_known:
        pue = "applied once, to the energy that is billed: cost and carbon are of facility energy"
        yield "PUE", f"{pue}, every other figure is IT energy"


def _measured(run: RunEnergy) -> Iterator[tuple[str, str]]:
    known = f"{run.told_hosts} of {plural(len(run.hosts), 'host')} with readings"
    yield "fraction", f"{known}; nothing is extrapolated to others"
    if not run.is_known:
        return
    yield "granularity", _granularity(run)
    yield "subsystems", _subsystems(run)
    place = "sensors on the boards of the hosts, behind their power supplies; no calibrated meter"
    claim = "so no level of the EE HPC WG methodology is claimed"
    yield "point of measurement", f"{place}, {claim}"
    yield "not in it", _missing(run)


def _granularity(run: RunEnergy) -> str:
    rate = _rate(run)
    looked = f"sensors are read at {rate} Hz" if rate else "sensors are read periodically"
    return (
        f"{looked} and booked every 10 s or less, from the start of the run to its end; "
        f"readings for {percent(run.total.coverage)} of the hosts' time"
    )


def _sources(run: RunEnergy) -> Iterator[str]:
    """Sources by name, and how many devices each has."""
    found: dict[str, int] = {}
    for host in run.hosts:
        for part in host.components:
            for device in part.devices:
                head = device.partition(":")[0]
                found[head] = found.get(head, 0) + 1
    for head, count in found.items():
        yield f"{SOURCES.get(head, head)}, {plural(count, 'device')}"


def _counted(run: RunEnergy) -> list[Component]:
    parts = [part for host in run.hosts for part in host.components if part.counted]
    return [name for name in WHAT if any(part.component == name for part in parts)]


def _subsystems(run: RunEnergy) -> str:
    return ", ".join(WHAT[name] for name in _counted(run))


def _missing(run: RunEnergy) -> str:
    """What no sensor of this run sees."""
    counted = _counted(run)
    missing = ["network switches", "storage", "cooling and conversion outside the hosts"]
    if "node" not in counted:
        missing = ["network cards, disks, fans and losses of power supplies of the hosts", *missing]
    if not {"node", "module"} & set(counted):
        parts: tuple[Component, ...] = ("package", "dram", "gpu")
        absent = [WHAT[name] for name in parts if name not in counted]
        missing = [f"{name} (no sensor told of any)" for name in absent] + missing
    if run.cut_short:
        missing.append("the last seconds of each part that was killed")
    return ", ".join(missing)


def _provenance(run: RunEnergy) -> Iterator[tuple[str, str]]:
    facts = run.facts
    yield "run", f"{facts.name}{f' ({run.run_id})' if run.run_id else ''}"
    if facts.started:
        yield "started", facts.started
    names = [host.host for host in run.hosts]
    more = f" and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else ""
    yield "hosts", f"{len(names)}: {', '.join(names[:LONGEST_LIST])}{more}"
    if _rate(run) and not run.is_imagined:
        yield "sampling rate", f"{_rate(run)} Hz"
    yield from _clocks(run)
    yield from origin(facts, Path(run.run_dir))
    yield "tariff", _term(run, "tariff", run.terms.tariff)
    yield "carbon, location-based", _term(run, "carbon", run.terms.location)
    yield "carbon, market-based", _term(run, "carbon_market", run.terms.market)
    yield "PUE", f"{run.terms.pue:g}, {_whose(run, 'pue')}"


def _rate(run: RunEnergy) -> str:
    """As the hosts said, else as it was set; empty if neither is known."""
    said = {meter["rate_hz"] for meter in run.meters if "rate_hz" in meter}
    rates = sorted(said or {run.settings[name] for name in ("rate_hz",) if name in run.settings})
    return ", ".join(f"{rate:g}" for rate in rates)


def _clocks(run: RunEnergy) -> Iterator[tuple[str, str]]:
    """How far the wall times of the readings may be off, as the hosts measured it."""
    known = [m["clock_uncertainty_ns"] for m in run.meters if "clock_uncertainty_ns" in m]
    if known:
        yield "clocks", f"readings are placed in the hosts' UTC within {max(known) / 1e6:.3g} ms"
    rules = sorted({str(meter["idle"]) for meter in run.meters if meter.get("idle")})
    if rules:
        yield "idle power", f"shared out by {', '.join(rules)}"


def _term(run: RunEnergy, name: str, steps: Steps | None) -> str:
    return "none" if steps is None else f"{steps.source}, {_whose(run, name)}"


def _whose(run: RunEnergy, name: str) -> str:
    if name in run.given:
        return "given to this report"
    return "as the run's settings say" if is_stated(run, name) else "not stated"
