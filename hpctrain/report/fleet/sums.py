"""Sums over runs, by user, project, partition or method."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.costs import Costs
from hpctrain.report.fleet.rows import By, FleetRun, add

UNKNOWN = "not known"
BILLED = {
    "cost": "cost",
    "location_gco2": "carbon, location-based",
    "market_gco2": "carbon, market-based",
}


@dataclass(frozen=True, slots=True)
class Sum:
    """Of some runs.

    Attributes:
        silent: how many of them have no readings.
        costs: by currency, of those runs whose cost is known.
        location_gco2, market_gco2: of those that tell; None if none does.
        billed: how many tell the cost, and either carbon, by these names.
        waste: of those that tell.
    """

    name: str
    runs: int
    silent: int
    seconds: float
    amount: Amount
    facility_kwh: float | None
    costs: dict[str, float]
    location_gco2: float | None
    market_gco2: float | None
    billed: dict[str, int]
    waste: Amount
    idle: Amount

    @property
    def told(self) -> int:
        """Runs with readings."""
        return self.runs - self.silent

    @property
    def cost(self) -> float | None:
        """In the one currency that there is."""
        return next(iter(self.costs.values())) if len(self.costs) == 1 else None

    @property
    def waste_share(self) -> float | None:
        return share_of(self.waste.joules, self.amount.joules)


def sums_by(runs: Sequence[FleetRun], by: By) -> list[Sum]:
    """One for each user, project, ...; the largest first."""
    groups: dict[str, list[FleetRun]] = {}
    for run in runs:
        groups.setdefault(getattr(run.origin, by) or UNKNOWN, []).append(run)
    found = [sum_of(name, some) for name, some in groups.items()]
    return sorted(found, key=lambda one: (-one.amount.known_j, one.name))


def sum_of(name: str, runs: Sequence[FleetRun]) -> Sum:
    bills = [run.costs for run in runs if run.costs is not None]
    idle = [run.idle_amount for run in runs]
    costs: dict[str, float] = {}
    for one in bills:
        if one.bill.cost is not None:
            costs[one.bill.currency] = costs.get(one.bill.currency, 0.0) + one.bill.cost
    return Sum(
        name=name,
        runs=len(runs),
        silent=sum(not run.is_known for run in runs),
        seconds=sum(run.elapsed_s for run in runs),
        amount=add([run.total for run in runs]),
        facility_kwh=_sum(_told(bills, "facility_kwh")),
        costs=costs,
        location_gco2=_sum(_told(bills, "location_gco2")),
        market_gco2=_sum(_told(bills, "market_gco2")),
        billed={name: len(_told(bills, name)) for name in BILLED},
        waste=add([run.waste for run in runs]),
        idle=add([one for one in idle if one.joules is not None]),
    )


def share_of(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def currencies(runs: Iterable[FleetRun]) -> list[str]:
    """Those in which anything is billed."""
    bills = (run.costs.bill for run in runs if run.costs is not None)
    return sorted({bill.currency for bill in bills if bill.cost is not None})


def _told(bills: Sequence[Costs], field: str) -> list[float]:
    values = [getattr(one.bill, field) for one in bills]
    return [value for value in values if value is not None]


def _sum(values: Sequence[float]) -> float | None:
    return sum(values) if values else None
