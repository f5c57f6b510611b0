"""A study and everything that it computed, and the statistics of it.

Seeds are paired: with the same seed all methods start from the same weights and see the same data,
so the difference of two methods varies less than either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from hpctrain.config.study import Cell, Study, cells_of, range_of
from hpctrain.errors import HpctrainError

CONFIDENCE = 0.95
FORMAT, VERSION = "hpctrain-study", 1

Outcome = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tuned:
    """The best value of the tuned key, None if it was not tuned; all trials as (value, loss)."""

    value: float | None
    trials: tuple[tuple[float, float], ...]

    @property
    def at_edge(self) -> bool:
        """Is the best value the least or the largest that was tried?"""
        values = [value for value, _ in self.trials]
        return len(values) > 1 and self.value in (min(values), max(values))


@dataclass(frozen=True, slots=True)
class Spread:
    """Of a figure over seeds; `low` and `high` are the bounds of a 95 % interval of its mean."""

    mean: float
    deviation: float
    low: float
    high: float
    count: int

    @property
    def excludes_zero(self) -> bool:
        return self.count > 1 and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class StudyRecords:
    """What a study has computed, by cell and seed."""

    study: Study
    tuned: Mapping[Cell, Tuned]
    outcomes: Mapping[tuple[Cell, int], Outcome]

    @property
    def reference(self) -> str:
        """The method that the others are compared with."""
        return self.study.reference or next(iter(self.study.methods))

    def losses(self, cell: Cell) -> list[float]:
        """By seed, inf where a run diverged or failed."""
        found = [self.outcomes[cell, seed].get("loss") for seed in self.study.seeds]
        return [math.inf if loss is None else float(loss) for loss in found]

    def failed(self, cell: Cell) -> bool:
        """Did a run of it fail? One that only diverged did not."""
        return any("error" in self.outcomes[cell, seed] for seed in self.study.seeds)

    def spread(self, cell: Cell) -> Spread:
        """Of the mean held-out loss."""
        return spread_of(self.losses(cell))

    def against(self, cell: Cell, other: Cell) -> Spread:
        """The paired difference to `other` in percent of its loss; below zero: better."""
        pairs = zip(self.losses(cell), self.losses(other), strict=True)
        return spread_of([100 * (mine / its - 1) if its < math.inf else math.nan
                          for mine, its in pairs])  # fmt: skip

    def mean_of(self, cell: Cell, name: str) -> float:
        """Of a number of the outcomes, over seeds."""
        known = [self.outcomes[cell, seed].get(name) for seed in self.study.seeds]
        numbers = [float(value) for value in known if value is not None]
        return fmean(numbers) if numbers else math.nan

    def by_worker(self, cell: Cell, name: str) -> list[float]:
        """Mean over seeds of a list by worker; NaN where nothing is known."""
        rows = [self.outcomes[cell, seed].get(name) or [] for seed in self.study.seeds]
        columns = zip(*(row for row in rows if row), strict=True)
        known = [[value for value in column if value is not None] for column in columns]
        return [fmean(values) if values else math.nan for values in known]

    def by_domain(self, cell: Cell) -> dict[str, float]:
        """Mean loss of each domain over seeds."""
        rows = [self.outcomes[cell, seed].get("losses") or {} for seed in self.study.seeds]
        names = dict.fromkeys(name for row in rows for name in row)
        found: dict[str, float] = {}
        for name in names:
            known = [row[name] for row in rows if row.get(name) is not None]
            found[name] = fmean(known) if known else math.nan
        return found

    def places(self) -> list[list[Cell]]:
        """The cells that are compared with each other, by place."""
        groups: dict[tuple[str, str, str], list[Cell]] = {}
        for cell in cells_of(self.study):
            groups.setdefault(cell.place, []).append(cell)
        return list(groups.values())

    def document(self) -> dict[str, Any]:
        """Plain values, versioned, for other programs; what is not finite is None."""
        cells = []
        for group in self.places():
            reference = next(cell for cell in group if cell.method == self.reference)
            for cell in group:
                own, against = self.spread(cell), self.against(cell, reference)
                cells.append({
                    "method": cell.method, "profile": cell.profile, "data": cell.data,
                    "budget": cell.budget, "tuned": self.tuned[cell].value,
                    "tuned_at_edge": self.tuned[cell].at_edge,
                    "trials": [[v, _finite(loss)] for v, loss in self.tuned[cell].trials],
                    "losses": [_finite(loss) for loss in self.losses(cell)],
                    "loss_mean": _finite(own.mean), "loss_deviation": _finite(own.deviation),
                    "against_reference_pct": _finite(against.mean),
                    "against_reference_low_pct": _finite(against.low),
                    "against_reference_high_pct": _finite(against.high),
                    "by_domain": {k: _finite(v) for k, v in self.by_domain(cell).items()},
                })  # fmt: skip
        return {
            "format": FORMAT, "version": VERSION, "name": self.study.name,
            "reference": self.reference, "seeds": list(self.study.seeds),
            "tune_key": self.study.tune.key, "trials": self.study.tune.trials,
            "tune_seeds": list(self.study.tune.seeds),
            "ranges": {method: range_of(self.study, method) for method in self.study.methods},
            "cells": cells,
        }  # fmt: skip


def spread_of(values: Sequence[float]) -> Spread:
    """Mean, deviation (n - 1) and Student's 95 % interval of the mean; one value has no spread."""
    count = len(values)
    if not count or not all(map(math.isfinite, values)):
        return Spread(math.inf if math.inf in values else math.nan, math.nan, -math.inf,
                      math.inf, count)  # fmt: skip
    mean = fmean(values)
    if count == 1:
        return Spread(mean, math.nan, -math.inf, math.inf, 1)
    deviation = stdev(values)
    half = _students_t(count - 1) * deviation / math.sqrt(count)
    return Spread(mean, deviation, mean - half, mean + half, count)


def _students_t(degrees: int) -> float:
    """The half width of the interval in standard errors: P(|T| > t) = 1 - CONFIDENCE."""
    try:
        from mpmath import betainc, findroot
    except ImportError as error:
        raise HpctrainError(
            f"intervals need mpmath, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[study]'"
        ) from None

    def beyond(t: Any) -> Any:
        return betainc(degrees / 2, 0.5, 0, degrees / (degrees + t * t), regularized=True)

    bounds = (1e-3, 1e3)  # 12.7 for two seeds, 1.96 for very many
    return float(
        findroot(lambda t: beyond(t) - (1 - CONFIDENCE), bounds, solver="bisect", tol=1e-24,
                 maxsteps=200)
    )  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
