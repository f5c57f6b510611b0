"""Tables of runs and of sums over them: the same in text and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.cells import (
    MASS,
    NO_READINGS,
    Column,
    Sheet,
    energy_columns,
    is_estimate,
    number_column,
    percent,
    quality_column,
    share_column,
    significant,
    text_column,
    unit_for,
)
from hpctrain.report.fleet.rows import By, FleetRun
from hpctrain.report.fleet.sums import BILLED, UNKNOWN, Sum, currencies, sum_of, sums_by

ALL = "all"


def runs_sheet(runs: Sequence[FleetRun]) -> Sheet:
    """One row per run."""
    amounts = [run.total for run in runs]
    each = [sum_of("", [run]) for run in runs]
    estimates = [is_estimate(amount) for amount in amounts]
    return Sheet((
        text_column("run", [run.label for run in runs]),
        *_origins(runs),
        number_column("hosts", [run.hosts for run in runs]),
        hours_column([run.elapsed_s for run in runs]),
        *energy_columns(amounts),
        quality_column(amounts),
        *_money(each, currencies(runs), estimates),
        text_column("state", [run.standing for run in runs]),
        waste_column([run.waste for run in runs], amounts),
    ))  # fmt: skip


def sums_sheet(runs: Sequence[FleetRun], by: By) -> Sheet:
    """One row per user, project, ...; and one for all."""
    sums = [*sums_by(runs, by), sum_of(ALL, runs)]
    amounts = [one.amount for one in sums]
    estimates = [is_estimate(amount) for amount in amounts]
    silent = [one.silent or None for one in sums]
    return Sheet(
        (
            text_column(by, [one.name for one in sums]),
            number_column("runs", [one.runs for one in sums]),
            *([number_column(NO_READINGS, silent)] if any(silent) else ()),
            hours_column([one.seconds for one in sums]),
            *energy_columns(amounts),
            text_column("quality", ["" if a.joules is None else a.quality for a in amounts]),
            share_column([a.joules for a in amounts], amounts[-1].joules, "share"),
            *_money(sums, currencies(runs), estimates),
            waste_column([one.waste for one in sums], amounts),
            _waste_shares(sums),
        ),
        notes=tuple(_unbilled(sums[-1])),
    )


def hours_column(seconds: Sequence[float]) -> Column:
    """Hours of running, once for all hosts of a run; empty where nothing says how long it was."""
    return number_column("hours", [second / 3600 or None for second in seconds])


def waste_column(waste: Sequence[Amount], beside: Sequence[Amount]) -> Column:
    """In the unit of the energies that it is part of; empty where it is not known."""
    column = energy_columns(waste, "waste", beside=[one.joules for one in beside])[0]
    return Column(column.head, tuple("" if c == NO_READINGS else c for c in column.cells))


def marked(texts: Sequence[str], estimates: Sequence[bool]) -> tuple[str, ...]:
    """A ~ before what follows from an estimate."""
    return tuple(
        f"~{text}" if text and estimate else text
        for text, estimate in zip(texts, estimates, strict=True)
    )


def costs_text(costs: Mapping[str, float]) -> str:
    """In all currencies that there are: `1.23 EUR + 4 CHF`."""
    return " + ".join(f"{significant(costs[unit])} {unit.upper()}" for unit in sorted(costs))


def _origins(runs: Sequence[FleetRun]) -> Iterator[Column]:
    yield text_column("user", [run.origin.user or UNKNOWN for run in runs])
    if any(run.origin.project for run in runs):
        yield text_column("project", [run.origin.project for run in runs])
    if any(run.origin.partition for run in runs):
        yield text_column("partition", [run.origin.partition for run in runs])
    yield text_column("method", [run.origin.method for run in runs])


def _money(
    sums: Sequence[Sum], units: Sequence[str], estimates: Sequence[bool]
) -> Iterator[Column]:
    """Cost and carbon, as far as any is known."""
    if len(units) == 1:
        cost = number_column(f"cost [{units[0].upper()}]", [one.cost for one in sums])
        yield Column(cost.head, marked(cost.cells, estimates))
    elif units:
        yield Column("cost", marked([costs_text(one.costs) for one in sums], estimates))
    for head, values in (
        ("carbon", [one.location_gco2 for one in sums]),
        ("market", [one.market_gco2 for one in sums]),
    ):
        if any(value is not None for value in values):
            yield _mass(head, values, estimates)


def _mass(head: str, values: Sequence[float | None], estimates: Sequence[bool]) -> Column:
    factor, unit = unit_for(values, MASS)
    scaled = [None if value is None else value / factor for value in values]
    column = number_column(f"{head} [{unit}CO2e]", scaled)
    return Column(column.head, marked(column.cells, estimates))


def _waste_shares(sums: Sequence[Sum]) -> Column:
    shares = [one.waste_share for one in sums]
    texts = tuple("" if share is None else percent(share) for share in shares)
    return Column("wasted", texts)


def _unbilled(whole: Sum) -> Iterator[str]:
    if whole.silent:
        yield f"{whole.silent} of {whole.runs} runs have no readings: sums are without them."
    for name, what in BILLED.items():
        if 0 < whole.billed[name] < whole.told:
            count = f"{whole.billed[name]} of the {whole.told} runs with readings"
            yield f"{what[0].upper()}{what[1:]}: known of {count}."
