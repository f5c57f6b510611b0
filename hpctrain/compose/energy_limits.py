"""What a run may use, and when: budgets of energy, and pauses while it is dear."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpctrain.compose.metering import check_told, must_be_told, sources_of, terms_of
from hpctrain.compose.start import together
from hpctrain.core.gate import ALWAYS_OPEN, Gate
from hpctrain.errors import ConfigError
from hpctrain.metering.money import Terms, priced_in
from hpctrain.metering.steps import Steps, time_ns, utc
from hpctrain.metering.walltime import compare_clocks
from hpctrain.report.tables import RunTables
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.read import open_run
from hpctrain.storage.runs import is_run

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import Clock, World
    from hpctrain.training.home import EnergyBudget

UNITS = {"budget_kwh": "kwh", "budget_cost": "cost", "budget_gco2": "gco2"}
J_PER_KWH = 3.6e6


@dataclass(frozen=True, slots=True)
class EnergyLimits:
    """Of a run.

    Attributes:
        unit: in which energy is counted: kwh (of IT energy), cost or gco2 (of facility energy).
        shown_unit: the same for people.
        limit: of the whole run, in that unit; None: no budget.
        before: used by earlier parts of the run.
        terms: prices and intensities.
    """

    unit: str
    shown_unit: str
    limit: float | None
    before: float
    terms: Terms

    @property
    def budget(self) -> EnergyBudget | None:
        """For a training."""
        if self.limit is None:
            return None
        from hpctrain.training.home import EnergyBudget  # searches do not need what it brings along

        return EnergyBudget(self.limit, self.shown_unit, self.before)


def energy_limits(config: RunConfig, world: World) -> EnergyLimits:
    """Collective. Read before the store is opened, for earlier parts of the run.

    Raises:
        HpctrainError: on all ranks, if a series cannot be used, or does not say what holds now; or
            if readings are needed on every host, and one has no sensor.
    """
    limits: EnergyLimits = world.share(
        together(world, lambda: _limits(config) if world.rank == 0 else None)
    )
    if must_be_told(config) is not None:
        _check_sources(config, world)
    return limits


def gate_of(config: RunConfig, terms: Terms, world: World, clock: Clock) -> Gate:
    """Collective. When the run pauses, on its own clock."""
    begin_ns = compare_clocks().offset_ns + _monotonic_at_zero_ns(clock)
    shared_ns: int = world.share(begin_ns)
    return price_gate(terms.tariff, config.energy.pause_above, shared_ns)


def is_recorded(config: RunConfig) -> bool:
    """Does the run write a recording, or follow one?"""
    return config.runtime.record != "off" or config.runtime.follow is not None


def imagined_gate(config: RunConfig) -> Gate:
    """When a simulation pauses: it begins at `simulate.start_utc`, or with the tariff.

    Raises:
        HpctrainError: if the tariff cannot be used, or does not have that moment.
    """
    terms = terms_of(config)
    return price_gate(terms.tariff, config.energy.pause_above, gate_begins_ns(config, terms))


def gate_begins_ns(config: RunConfig, terms: Terms) -> int:
    """Nanoseconds since 1970 at the zero of virtual time.

    Raises:
        HpctrainError: if the tariff does not have that moment.
    """
    start, tariff = config.simulate.start_utc, terms.tariff
    if start is not None:
        begin_ns = time_ns(f"{config.source}: simulate.start_utc", start)
    else:
        begin_ns = 0 if tariff is None else max(0, tariff.starts_ns[0])
    if tariff is not None and not tariff.covers(begin_ns):
        raise ConfigError(
            f"{config.source}: simulate.start_utc: {start} is not in {tariff.source}, which is "
            f"from {utc(tariff.starts_ns[0])} to {utc(tariff.end_ns)}"
        )
    return begin_ns


def price_gate(tariff: Steps | None, pause_above: float | None, begin_ns: int) -> Gate:
    """Closed while `tariff` is above `pause_above`.

    Args:
        tariff: per kWh; after its end the gate is open.
        pause_above: in its currency; None: always open.
        begin_ns: nanoseconds since 1970 at the zero of the run's clock.
    """
    if tariff is None or pause_above is None:
        return ALWAYS_OPEN
    spells = (
        ((since_ns - begin_ns) / 1e9, (until_ns - begin_ns) / 1e9)
        for since_ns, until_ns in _spells_above(tariff, pause_above)
    )
    reason = f"the price is above {pause_above:g} {tariff.unit.upper()} per kWh"
    return Gate(tuple(spell for spell in spells if spell[1] > 0), reason)


def _spells_above(tariff: Steps, threshold: float) -> Iterator[tuple[int, int]]:
    """Longest intervals in which the value is above `threshold`."""
    begun_ns: int | None = None
    for since_ns, _, value in tariff.pieces(tariff.starts_ns[0], tariff.end_ns):
        if value > threshold and begun_ns is None:
            begun_ns = since_ns
        elif value <= threshold and begun_ns is not None:
            yield begun_ns, since_ns
            begun_ns = None
    if begun_ns is not None:
        yield begun_ns, tariff.end_ns


def _check_sources(config: RunConfig, world: World) -> None:
    """Collective. Refuses before anything is written, so that the directory is free for a retry."""
    hosts = world.hosts()
    leads = hosts.index(hosts[world.rank]) == world.rank
    found = together(world, lambda: sources_of(config) if leads else None)
    sources = found.sources if found is not None else ()
    for source in sources:
        source.close()
    told = {host for host, one in zip(hosts, world.gather(bool(sources)), strict=True) if one}
    together(world, lambda: check_told(config, hosts, told))


def _limits(config: RunConfig) -> EnergyLimits:
    limits = limits_of(config)
    _check_covers_now(config, limits.terms, limits.unit)
    return replace(limits, before=_spent_before(config, limits.terms, limits.unit))


def limits_of(config: RunConfig) -> EnergyLimits:
    """Budget and terms as the settings say, for a run that begins.

    Raises:
        HpctrainError: if a series cannot be used.
    """
    energy, terms = config.energy, terms_of(config)
    key = next((key for key in UNITS if getattr(energy, key) is not None), None)
    unit = "kwh" if key is None else UNITS[key]
    shown = {"kwh": "kWh", "gco2": "gCO2e"}
    shown_unit = shown.get(unit, terms.tariff.unit.upper() if terms.tariff else "")
    limit = None if key is None else getattr(energy, key)
    return EnergyLimits(unit, shown_unit, limit, 0.0, terms)


def _check_covers_now(config: RunConfig, terms: Terms, unit: str) -> None:
    now_ns = compare_clocks().utc_ns(time.monotonic_ns())
    needed = [("tariff", terms.tariff)] if config.energy.pause_above is not None else []
    needed += [("tariff", terms.tariff)] if unit == "cost" else []
    needed += [("carbon", terms.location)] if unit == "gco2" else []
    for key, steps in needed:
        if steps is not None and not steps.covers(now_ns):
            raise ConfigError(
                f"{config.source}: energy.{key}: {steps.source} is from "
                f"{utc(steps.starts_ns[0])} to {utc(steps.end_ns)}, but now is {utc(now_ns)}; "
                "give a series that covers the run"
            )


def _spent_before(config: RunConfig, terms: Terms, unit: str) -> float:
    """What earlier parts of the run have used, as its ledger says."""
    run_dir = Path(config.run_dir)
    if not config.checkpoint.resume or not is_run(RunLayout(run_dir)):
        return 0.0
    return spent_in(open_run(run_dir), terms, unit)


def spent_in(run: RunTables, terms: Terms, unit: str) -> float:
    """What the ranks of a run used, and on hosts that are the job's alone what is nobody's."""
    rows = run.table("energy")
    alone = rows["shared"] != 1
    ours = (rows["scope"] == "phase") | ((rows["scope"] == "unattributed") & alone)
    told = ours & np.isfinite(rows["joules"])
    steps, factor = priced_in(terms, unit)
    columns = (rows[name][told] for name in ("joules", "utc_s", "duration_s"))
    return math.fsum(
        factor * joules / J_PER_KWH * _mean(steps, utc_s, duration_s)
        for joules, utc_s, duration_s in zip(*columns, strict=True)
    )


def _mean(steps: Steps | None, utc_s: float, duration_s: float) -> float:
    """What a kWh of an interval counts for."""
    if steps is None:
        return 1.0
    end_ns = round(utc_s * 1e9)
    return steps.mean(end_ns - round(duration_s * 1e9), end_ns)


def _monotonic_at_zero_ns(clock: Clock) -> int:
    return time.monotonic_ns() - round(clock.now_s() * 1e9)
