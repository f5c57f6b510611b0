"""`hpctrain energy report`: what a run used, by host and component, as text and as JSON.

All figures are sums of `energy_sample` rows, so that runs that were killed have them too, up to the
last rows. Devices that are part of another (a processor in a node) are shown and not added to it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from hpctrain.metering.account import MEASURED_COVERAGE
from hpctrain.metering.reading import COMPONENTS, Component, is_part
from hpctrain.report.energy_line import HostTotal, Trust, energy_text, quality_text, worst
from hpctrain.report.tables import RunTables, Table, chosen
from hpctrain.report.words import seconds_text

SCHEMA = "hpctrain-energy-report"
VERSION = 1


@dataclass(frozen=True, slots=True)
class ComponentEnergy:
    """All devices of one kind on one host; `counted`: they are not part of another."""

    component: Component
    devices: int
    joules: float
    low_j: float
    high_j: float
    seconds: float
    coverage: float
    quality: Trust
    counted: bool


@dataclass(frozen=True, slots=True)
class HostEnergyReport:
    """One host: its components, and the sum of those that count."""

    total: HostTotal
    components: tuple[ComponentEnergy, ...]


def read_energy(run: RunTables) -> tuple[HostEnergyReport, ...]:
    """The hosts of a run that told their energy, by name."""
    table = run.table("energy_sample")
    hosts = sorted({str(host) for host in table["host"]})
    return tuple(_host(host, chosen(table, table["host"] == host)) for host in hosts)


def print_energy(
    name: str, hosts: Sequence[HostEnergyReport], reasons: Sequence[str], console: Console
) -> None:
    """Tables for people; `reasons` why hosts have no sensors are printed below."""
    told = [host.total for host in hosts if host.total.quality != "none"]
    if not told:
        console.print(Text(f"{name}: no energy readings"), soft_wrap=True)
    else:
        _print_tables(name, hosts, told, console)
    for reason in reasons:
        console.print(Text(reason), soft_wrap=True)


def _print_tables(
    name: str, hosts: Sequence[HostEnergyReport], told: Sequence[HostTotal], console: Console
) -> None:
    joules = sum(total.joules for total in told)
    console.print(Text(f"{name}: {energy_text(joules)}, {quality_text(told)}"), soft_wrap=True)
    table = Shown(
        "host", "component", "devices", "energy", "mean power", "time", "quality", box=None
    )
    for host in hosts:
        for part in host.components:
            table.add_row(*_cells(host.total.host, part))
    console.print(table)
    if any(not part.counted for host in hosts for part in host.components):
        console.print("(in brackets: part of a module or node, and not added to it)")


def energy_json(run: RunTables, hosts: Sequence[HostEnergyReport]) -> str:
    """For programs: `schema` and `version` say what is in it."""
    totals = [host.total for host in hosts if host.total.quality != "none"]
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "run_id": run.identity.get("run_id"),
        "joules": sum(total.joules for total in totals) if totals else None,
        "low_j": sum(total.low_j for total in totals) if totals else None,
        "high_j": sum(total.high_j for total in totals) if totals else None,
        "quality": worst([total.quality for total in totals]),
        "hosts": [
            asdict(host.total) | {"components": [asdict(part) for part in host.components]}
            for host in hosts
        ],
    }
    return json.dumps(report, indent=2)


def _cells(host: str, part: ComponentEnergy) -> tuple[str, ...]:
    energy, power = energy_text(part.joules), ""
    if part.quality == "none":
        energy = "no readings"
    elif part.seconds * part.coverage > 0:
        power = f"{part.joules * part.devices / (part.seconds * part.coverage):.4g} W"
    if not part.counted:
        energy = f"({energy})"
    mean_s = part.seconds / part.devices
    quality = part.quality if part.quality != "partial" else f"partial {part.coverage:.0%}"
    return host, part.component, str(part.devices), energy, power, seconds_text(mean_s), quality


def _host(host: str, rows: Table) -> HostEnergyReport:
    names = [str(component) for component in rows["component"]]
    present = [component for component in COMPONENTS if component in names]
    parts = tuple(
        _component(
            component,
            chosen(rows, rows["component"] == component),
            counted=not is_part(component, present),
        )
        for component in present
    )
    counted = [part for part in parts if part.counted]
    total = HostTotal(
        host,
        joules=sum(part.joules for part in counted),
        low_j=sum(part.low_j for part in counted),
        high_j=sum(part.high_j for part in counted),
        coverage=min((part.coverage for part in counted), default=0.0),
        quality=worst([part.quality for part in counted]),
    )
    return HostEnergyReport(total, parts)


def _component(component: Component, rows: Table, counted: bool) -> ComponentEnergy:
    seconds = float(np.sum(rows["duration_s"]))
    covered_s = float(np.sum(rows["duration_s"] * rows["coverage"]))
    coverage = covered_s / seconds if seconds else 0.0
    return ComponentEnergy(
        component=component,
        devices=len(set(rows["device"])),
        joules=float(np.nansum(rows["joules"])),
        low_j=float(np.nansum(rows["low_j"])),
        high_j=float(np.nansum(rows["high_j"])),
        seconds=seconds,
        coverage=coverage,
        quality=_trust(coverage, "estimate" in rows["quality"]),
        counted=counted,
    )


def _trust(coverage: float, estimated: bool) -> Trust:
    if coverage == 0:
        return "none"
    if estimated:
        return "estimate"
    return "measured" if coverage >= MEASURED_COVERAGE else "partial"
