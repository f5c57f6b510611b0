"""Sentences and single figures of the report: the same in text and on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.cells import (
    ENERGY,
    MASS,
    Units,
    percent,
    significant,
    unit_for,
)
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energy_line import energy_text
from hpctrain.report.words import seconds_text

ENERGY_KWH: Units = tuple((factor / 3.6e6, unit) for factor, unit in ENERGY)
CARBON: Units = tuple((factor, f"{unit}CO2e") for factor, unit in MASS)
Facts = Iterator[tuple[str, str]]


def headline(run: RunEnergy) -> str:
    """One line that stands alone: energy, how far it may be trusted, of how many hosts."""
    if run.total.joules is None:
        return f"{run.label}: no energy readings"
    words = _doubts(run) if run.is_estimate else [badge(run)]
    return ", ".join([f"{run.label}: {total_text(run)}", *words])


def badge(run: RunEnergy) -> str:
    """How good the total is, in a few words."""
    if run.total.joules is None:
        return "no readings"
    return ", ".join([run.total.quality, *_doubts(run)])


def _doubts(run: RunEnergy) -> Iterator[str]:
    if run.told_hosts < len(run.hosts):
        yield f"on {run.told_hosts} of {len(run.hosts)} hosts only"
    if run.total.coverage < 1:
        yield f"readings for {percent(run.total.coverage)} of the hosts' time"
    if run.total.shared:
        yield "hosts perhaps shared with other jobs"


def total_text(run: RunEnergy) -> str:
    """The IT energy, with its bounds if it is an estimate."""
    return amount_text(run.total)


def amount_text(amount: Amount) -> str:
    """As a sentence says it: an estimate with its bounds."""
    if amount.joules is None or amount.low_j is None or amount.high_j is None:
        return "no readings"
    if amount.quality != "estimate":
        return energy_text(amount.joules)
    return _estimate(amount.joules, (amount.low_j, amount.high_j), ENERGY)


def summary_facts(run: RunEnergy) -> Facts:
    """What an operator looks for first."""
    yield "quality", badge(run)
    if run.is_known:
        yield from _figures(run)
    else:
        yield "why", "; ".join(run.notes) or _why_unknown(run)
    yield "time", seconds_text(run.elapsed_s) if run.elapsed_s else "not known"
    if run.quality:
        yield run.quality.name, f"{run.quality.loss:.6g}"
    said = f": {run.state.text}" if run.state.text else ""
    yield "state", f"{run.state.standing}{said}"


def _why_unknown(run: RunEnergy) -> str:
    if run.settings.get("meter") == "off":
        return 'it was not to be metered: energy.meter = "off"'
    if run.meters:
        return "it had sensors, and readings are written every few seconds: none was until then"
    return "the run does not say; see hpctrain doctor"


def _figures(run: RunEnergy) -> Facts:
    yield "IT energy", total_text(run)
    yield "facility energy", facility_text(run)
    yield "cost", cost_text(run)
    yield "carbon, location-based", carbon_text(run, "location_gco2")
    yield "carbon, market-based", carbon_text(run, "market_gco2")
    if run.total.watts is not None:
        mean = power_text(run.total.watts)
        yield "mean power", f"~{mean} (estimate)" if run.is_estimate else mean


def facility_text(run: RunEnergy) -> str:
    if run.costs is None:
        return "no readings"
    bill = run.costs.bill
    text = _bounded(run, "facility_kwh", ENERGY_KWH, lambda kwh: energy_text(kwh * 3.6e6))
    said = f"PUE {bill.pue:g}{'' if is_stated(run, 'pue') else ', none was stated'}"
    return f"{text[:-1]}; {said})" if text.endswith(")") else f"{text} ({said})"


def cost_text(run: RunEnergy) -> str:
    if run.terms.tariff is None:
        return "not known: no tariff"
    unit = run.terms.tariff.unit.upper()
    return _bounded(run, "cost", ((1.0, unit),), lambda cost: f"{money_text(cost)} {unit}")


def carbon_text(run: RunEnergy, field: str) -> str:
    """Emissions of the facility energy, by location or by contract."""
    steps = run.terms.location if field == "location_gco2" else run.terms.market
    if steps is None:
        return "not known: no intensity"
    return _bounded(run, field, CARBON, mass_text)


def is_stated(run: RunEnergy, name: str) -> bool:
    """Whether somebody gave this term, to the run or to the report."""
    default = 1.0 if name == "pue" else None
    return name in run.given or run.settings.get(name, default) != default


def money_text(amount: float) -> str:
    if abs(amount) >= 999.5:
        return f"{amount:,.0f}"
    return f"{amount:.2f}" if abs(amount) >= 9.995 else f"{amount:.3g}"


def mass_text(grams: float) -> str:
    """`812 gCO2e`, `1.25 kgCO2e`."""
    factor, unit = unit_for([grams], MASS)
    value = grams / factor
    return f"{value:,.0f} {unit}CO2e" if abs(value) >= 999.5 else f"{value:.3g} {unit}CO2e"


def power_text(watts: float) -> str:
    for factor, unit in ((1e6, "MW"), (1e3, "kW")):
        if abs(watts) >= factor:
            return f"{watts / factor:.4g} {unit}"
    return f"{watts:.4g} W"


def _bounded(run: RunEnergy, field: str, units: Units, text: Callable[[float], str]) -> str:
    if run.costs is None:
        return "no readings"
    value: float = getattr(run.costs.bill, field)
    bounds = run.costs.bounds(field)
    return text(value) if bounds is None else _estimate(value, bounds, units)


def _estimate(value: float, bounds: tuple[float, float], units: Units) -> str:
    """All three in one unit: `~0.833 Wh (estimate, 0.583 to 1.08 Wh)`; equal bounds are none."""
    factor, unit = unit_for([*bounds, value], units)
    if bounds[0] == bounds[1]:
        return f"~{significant(value / factor)} {unit} (estimate)"
    low, high = (significant(end / factor) for end in bounds)
    return f"~{significant(value / factor)} {unit} (estimate, {low} to {high} {unit})"
