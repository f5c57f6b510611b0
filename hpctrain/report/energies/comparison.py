"""Several runs side by side: mean, spread, and differences to the first."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from hpctrain.report.energies.run import RunEnergy


@dataclass(frozen=True, slots=True)
class Figures:
    """One quantity of all runs.

    Attributes:
        name, unit: of the quantity.
        values: one for each run, None where it is not known.
        mean: over the runs that tell it; None if fewer than two do, or it cannot be compared.
        std: their standard deviation (n - 1).
        to_first: difference to the first run, relative to it; None where that has no meaning.
    """

    name: str
    unit: str
    values: tuple[float | None, ...]
    mean: float | None
    std: float | None
    to_first: tuple[float | None, ...]

    @property
    def count(self) -> int:
        return sum(value is not None for value in self.values)


def compare(runs: Sequence[RunEnergy]) -> tuple[Figures, ...]:
    """Energy, time, power, cost, carbon and loss, as far as they can be compared."""
    currencies = {r.costs.bill.currency for r in runs if r.costs and r.costs.bill.cost is not None}
    losses = {run.quality.name for run in runs if run.quality}
    found = [
        _figures("energy", "J", runs, lambda run: run.total.joules),
        _figures("time", "s", runs, lambda run: run.elapsed_s or None),
        _figures("mean power", "W", runs, lambda run: run.total.watts),
        _figures("carbon", "gCO2e", runs, lambda run: _billed(run, "location_gco2")),
    ]
    if len(currencies) == 1:
        unit = next(iter(currencies)).upper()
        found.append(_figures("cost", unit, runs, lambda run: _billed(run, "cost")))
    if losses:
        found.append(_losses(runs, losses))
    return tuple(figures for figures in found if figures.count)


def _billed(run: RunEnergy, field: str) -> float | None:
    value: float | None = getattr(run.costs.bill, field) if run.costs else None
    return value


def _losses(runs: Sequence[RunEnergy], names: set[str]) -> Figures:
    """Losses of different kinds stand side by side, and are not compared."""
    if len(names) == 1:
        return _figures(next(iter(names)), "", runs, _loss)
    blank = (None,) * len(runs)
    return Figures("loss", "", tuple(_finite(_loss(run)) for run in runs), None, None, blank)


def _loss(run: RunEnergy) -> float | None:
    return run.quality.loss if run.quality else None


def _figures(
    name: str, unit: str, runs: Sequence[RunEnergy], get: Callable[[RunEnergy], float | None]
) -> Figures:
    values = tuple(_finite(get(run)) for run in runs)
    told = [value for value in values if value is not None]
    mean, std = (fmean(told), stdev(told)) if len(told) > 1 else (None, None)
    first = values[0] if values else None
    return Figures(name, unit, values, mean, std, tuple(_change(v, first) for v in values))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _change(value: float | None, first: float | None) -> float | None:
    if value is None or first is None or first <= 0:
        return None
    return value / first - 1
