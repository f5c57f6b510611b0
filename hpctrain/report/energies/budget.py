"""What a run was allowed to use, and how much of it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpctrain.report.energies.costs import Costs

# The setting, the field of the bill that it limits, and what that is.
LIMITS = (
    ("budget_kwh", "it_kwh", "IT energy"),
    ("budget_cost", "cost", "cost"),
    ("budget_gco2", "location_gco2", "carbon, location-based"),
)
BUDGETS = tuple(key for key, _, _ in LIMITS)


@dataclass(frozen=True, slots=True)
class Budget:
    """`used` is None if it cannot be told: there are no readings, or no price."""

    what: str
    unit: str
    limit: float
    used: float | None
    bounds: tuple[float, float] | None

    @property
    def share(self) -> float | None:
        """Used, of the limit."""
        return None if self.used is None else self.used / self.limit


def read_budget(settings: Mapping[str, Any], costs: Costs | None) -> Budget | None:
    """The budget in the settings of a run, if there is one."""
    for key, field, what in LIMITS:
        limit = settings.get(key)
        if limit is None:
            continue
        units = {"it_kwh": "kWh", "location_gco2": "gCO2e"}
        currency = costs.bill.currency if costs else str(settings.get("currency", ""))
        return Budget(
            what, units.get(field, currency.upper()), float(limit),
            getattr(costs.bill, field) if costs else None,
            costs.bounds(field) if costs else None,
        )  # fmt: skip
    return None
