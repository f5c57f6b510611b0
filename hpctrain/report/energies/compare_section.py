"""Several runs in one table: the first thing that a report on more than one shows."""

from __future__ import annotations

from collections.abc import Sequence

from hpctrain.report.energies.cells import (
    ENERGY,
    MASS,
    NO_READINGS,
    PLAIN,
    POWER,
    TIME,
    Column,
    Section,
    Sheet,
    Units,
    has_bounds,
    significant,
    text_column,
    unit_for,
)
from hpctrain.report.energies.comparison import Figures, compare
from hpctrain.report.energies.run import RunEnergy

UNITS: dict[str, Units] = {"J": ENERGY, "s": TIME, "W": POWER, "gCO2e": MASS}
FAR = 10.0  # above which a change is said as a factor
ESTIMATED = ("energy", "mean power", "cost", "carbon")


def comparison_section(runs: Sequence[RunEnergy]) -> Section:
    """Values, mean and spread; and differences to the first run in a table of their own."""
    figures = compare(runs)
    notes = []
    currencies = {r.costs.bill.currency for r in runs if r.costs and r.costs.bill.cost is not None}
    if len(currencies) > 1:
        notes.append(f"Costs are in {', '.join(sorted(currencies)).upper()}: not compared.")
    names = {run.quality.name for run in runs if run.quality}
    if len(names) > 1:
        notes.append(f"Losses are of different kinds ({', '.join(sorted(names))}): not compared.")
    if any(run.is_estimate for run in runs):
        notes.append("~ is an estimate; bounds are beside it, as far as they are known.")
    sheets = [_values(runs, figures)]
    if figures:
        sheets.append(_differences(runs, figures))
    return Section("Comparison", sheets=tuple(sheets), notes=tuple(notes))


def _values(runs: Sequence[RunEnergy], figures: Sequence[Figures]) -> Sheet:
    spread = any(one.mean is not None for one in figures)
    names = [run.label for run in runs] + (["mean", "std", "n"] if spread else [])
    columns = [text_column("run", names)]
    for one in figures:
        columns.append(_column(runs, one, spread))
        if one.name == "energy" and any(has_bounds(run.total) for run in runs):
            columns.append(_bounds(runs, one, len(names)))
    qualities = [run.total.quality if run.is_known else NO_READINGS for run in runs]
    blank = [""] * (len(names) - len(runs))
    return Sheet((*columns, text_column("quality", [*qualities, *blank])))


def _column(runs: Sequence[RunEnergy], one: Figures, spread: bool) -> Column:
    factor, unit = _unit(one)
    texts = [_cell(run, one, n, factor) for run, n in zip(runs, one.values, strict=True)]
    if spread and one.mean is not None and one.std is not None:
        mark = "~" if one.name in ESTIMATED and any(run.is_estimate for run in runs) else ""
        texts += [f"{mark}{significant(one.mean / factor, 4)}"]
        texts += [f"{mark}{significant(one.std / factor, 4)}", str(one.count)]
    elif spread:
        texts += ["", "", str(one.count)]
    return Column(f"{one.name} [{unit}]" if unit else one.name, tuple(texts))


def _cell(run: RunEnergy, one: Figures, value: float | None, factor: float) -> str:
    if value is None:
        return NO_READINGS if one.name == "energy" else ""
    mark = "~" if run.is_estimate and one.name in ESTIMATED else ""
    return f"{mark}{significant(value / factor, 4 if one.unit else 5)}"


def _unit(one: Figures) -> tuple[float, str]:
    if one.name == "cost":
        return 1.0, one.unit
    factor, unit = unit_for(one.values, UNITS.get(one.unit, PLAIN))
    return factor, f"{unit}CO2e" if one.unit == "gCO2e" else unit


def _bounds(runs: Sequence[RunEnergy], one: Figures, rows: int) -> Column:
    factor, unit = _unit(one)
    cells = [
        f"{significant((run.total.low_j or 0) / factor, 4)} to "
        f"{significant((run.total.high_j or 0) / factor, 4)}"
        if has_bounds(run.total)
        else ""
        for run in runs
    ]
    return Column(f"bounds [{unit}]", (*cells, *[""] * (rows - len(cells))))


def _differences(runs: Sequence[RunEnergy], figures: Sequence[Figures]) -> Sheet:
    columns = [text_column("run", [run.label for run in runs[1:]])]
    for one in figures:
        if all(change is None for change in one.to_first):
            continue
        cells = ["" if change is None else _change(change) for change in one.to_first[1:]]
        columns.append(Column(one.name, tuple(cells)))
    return Sheet(tuple(columns), f"Difference to {runs[0].label}")


def _change(change: float) -> str:
    """In percent, or how many times as much."""
    return f"{change:+.1%}" if change < FAR else f"x {significant(change + 1)}"
