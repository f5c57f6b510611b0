"""`hpctrain energy tco` in words and as JSON; what is not the paper's is marked as derived."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as Shown
from rich.text import Text

from hpctrain.metering.tco import Machine, Policy, Prices
from hpctrain.metering.tco_run import RunCost
from hpctrain.report.energy_line import Trust, energy_text
from hpctrain.report.words import seconds_text

SCHEMA = "hpctrain-energy-tco"
VERSION = 1

PAPER = "paper"
DERIVED = "derived"
MODEL = (
    "paper: the model of Arzt and Wolf, arXiv 2509.07567. derived: from it by us, not in the paper."
)
BOUND = (
    "An upper bound: prices are known in advance, and nothing else changes while the machine is "
    "off (demand charges, wear, people who wait)."
)
WHAT_IF = (
    "A what-if, not a measurement: the record is replayed at these prices. The energy is that of "
    "the computers, without PUE."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is told of a machine.

    Attributes:
        machine: as the user describes it.
        prices: the series; None if only x and k are known.
        policies: by what they are: "optimum", "asked".
        sweep: over the thresholds of the series.
    """

    machine: Machine
    prices: Prices | None
    policies: Mapping[str, Policy]
    sweep: tuple[Policy, ...] = ()


@dataclass(frozen=True, slots=True)
class RunAnswer:
    """What is told of a recorded run; `psi_known` says whether fixed costs are in it."""

    name: str
    prices: Prices
    threshold: float
    was: RunCost
    paused: RunCost
    quality: Trust
    psi_known: bool


def print_tco(answer: Answer, console: Console) -> None:
    """A table with a column for each policy."""
    prices = answer.prices
    if prices is not None:
        console.print(Text(_series_text(prices)), soft_wrap=True)
    console.print(Text(_machine_text(answer.machine)), soft_wrap=True)
    table = Shown("", *answer.policies, "from", box=None)
    rows = [_cells(policy, prices) for policy in answer.policies.values()]
    for (name, origin), *cells in zip(_ROWS, *rows, strict=True):
        if any(cells):
            table.add_row(name, *cells, origin)
    console.print(table)
    for text in (MODEL, BOUND):
        console.print(Text(text), soft_wrap=True)


def print_run_tco(answer: RunAnswer, console: Console) -> None:
    """The run as it was beside the run with pauses."""
    was, paused, unit = answer.was, answer.paused, answer.prices.unit
    console.print(Text(_series_text(answer.prices)), soft_wrap=True)
    above = f"paused above {answer.threshold:.4g} {unit}/kWh"
    table = Shown(answer.name, "as it was", above, "difference", box=None)
    amounts: list[tuple[str, float, float]] = [
        ("cost of energy", was.energy_cost, paused.energy_cost)
    ]
    if answer.psi_known:
        amounts.append(("fixed cost (derived)", was.fixed_cost, paused.fixed_cost))
        amounts.append(("full cost (derived)", was.cost, paused.cost))
    table.add_row("energy", *_compared(was.energy_kwh, paused.energy_kwh, _kwh_text))
    for name, before, after in amounts:
        table.add_row(f"{name}, {unit}", *_compared(before, after, lambda value: f"{value:.4g}"))
    table.add_row("from begin to end", *_compared(was.duration_s, paused.duration_s, seconds_text))
    table.add_row("pauses", "0", str(paused.pauses), "")
    table.add_row("paused", "", seconds_text(paused.paused_s), "")
    console.print(table)
    if answer.quality != "measured":
        console.print(Text(f"The energy of the run is {answer.quality}."), soft_wrap=True)
    if not answer.psi_known:
        console.print(Text("Fixed costs go on in a pause: --psi tells them."), soft_wrap=True)
    for text in (WHAT_IF, MODEL):
        console.print(Text(text), soft_wrap=True)


def tco_json(answer: Answer) -> str:
    """For programs; what is not known is null."""
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "version": VERSION,
        "machine": asdict(answer.machine),
        "series": None if answer.prices is None else _series(answer.prices),
        "policies": {name: _known(asdict(policy)) for name, policy in answer.policies.items()},
        "sweep": [_known(asdict(policy)) for policy in answer.sweep],
        "derived": ["lost_share", "restart_cost", "saving", "break_even_k"],
        "upper_bound": True,
    }
    return json.dumps(report, indent=2)


def run_tco_json(answer: RunAnswer) -> str:
    report: dict[str, Any] = {
        "schema": f"{SCHEMA}-run",
        "version": VERSION,
        "what_if": True,
        "run": answer.name,
        "series": _series(answer.prices),
        "threshold": answer.threshold,
        "quality": answer.quality,
        "fixed_cost_known": answer.psi_known,
        "as_it_was": asdict(answer.was) | {"cost": answer.was.cost},
        "paused": asdict(answer.paused) | {"cost": answer.paused.cost},
    }
    return json.dumps(report, indent=2)


_ROWS = (
    ("off while the price is above", PAPER),
    ("time off, x", PAPER),
    ("mean price when off / mean price, k", PAPER),
    ("shutdowns", "counted"),
    ("time for restarts and repeated work", DERIVED),
    ("energy of restarts / energy", DERIVED),
    ("saving in cost per compute", DERIVED),
    ("saves if k is above", DERIVED),
)


def _cells(policy: Policy, prices: Prices | None) -> tuple[str, ...]:
    threshold = ""
    if prices is not None and policy.threshold is not None:
        threshold = f"{policy.threshold:.4g} {prices.unit}/kWh"
    return (
        threshold,
        f"{policy.off_share:.2%}" if policy.off_share else "never",
        _ratio_text(policy.k),
        str(policy.shutdowns) if prices is not None or policy.shutdowns else "",
        f"{policy.lost_share:.2%}" if policy.lost_share else "",
        f"{policy.restart_cost:.2%}" if policy.restart_cost else "",
        f"{policy.saving:.2%}",
        _ratio_text(policy.break_even_k),
    )


def _ratio_text(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"


def _series_text(prices: Prices) -> str:
    low, high = float(prices.values.min()), float(prices.values.max())
    return (
        f"prices: {prices.source}, {seconds_text(prices.period_s)}, mean {prices.mean:.4g} "
        f"{prices.unit}/kWh, from {low:.4g} to {high:.4g}"
    )


def _machine_text(machine: Machine) -> str:
    parts = [f"psi = F/E = {machine.psi:.4g}"]
    if machine.residual:
        parts.append(f"{machine.residual:.1%} of the power when off")
    if machine.restart_s or machine.restart_full_s:
        energy = f" and the energy of {seconds_text(machine.restart_full_s)} at full power"
        extra = energy if machine.restart_full_s else ""
        parts.append(f"a restart takes {seconds_text(machine.restart_s)}{extra}")
    if machine.lost_s:
        parts.append(f"a shutdown loses {seconds_text(machine.lost_s)} of computing")
    return "machine: " + "; ".join(parts)


def _compared(before: float, after: float, text: Any) -> tuple[str, str, str]:
    change = f"{after / before - 1:+.1%}" if before else ""
    return text(before), text(after), change


def _kwh_text(kwh: float) -> str:
    return energy_text(kwh * 3.6e6)


def _series(prices: Prices) -> dict[str, Any]:
    return {
        "source": prices.source,
        "unit": prices.unit,
        "period_s": prices.period_s,
        "mean": prices.mean,
    }


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in fields.items()
    }
