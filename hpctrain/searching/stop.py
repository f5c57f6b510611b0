"""When a search ends: rules that combine; the first one that is met wins."""

from __future__ import annotations

from dataclasses import dataclass

from hpctrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Stop:
    """Attributes that are None do not count.

    Attributes:
        evaluations: candidates in all, those of earlier parts of a resumed run included.
        hours: of running, earlier parts included; no candidate is begun that would take longer.
        target: a loss at most this is good enough (of the first objective).
        patience: so many evaluations without an improvement of more than `min_delta`.
        min_delta: see `patience`.
        cost: in the unit that the objective reports. A candidate is begun only if its expected
            cost, and that of all that are under way, still fit: at most one evaluation per worker
            goes over.
        energy: likewise, for what is metered; in `energy_unit`. It is set by `[energy]`.
    """

    evaluations: int | None = None
    hours: float | None = None
    target: float | None = None
    patience: int | None = None
    min_delta: float = 0.0
    cost: float | None = None
    energy: float | None = None
    energy_unit: str = "kWh"

    def __post_init__(self) -> None:
        for name in ("evaluations", "hours", "patience", "cost"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"stop.{name}: {value!r} is not allowed; give a number above 0")
        if not self.min_delta >= 0:
            raise ConfigError(f"stop.min_delta: {self.min_delta!r} is not allowed; give at least 0")

    @property
    def ends(self) -> bool:
        """Is there any rule at all that is sure to be met?"""
        return any(
            rule is not None
            for rule in (self.evaluations, self.hours, self.patience, self.cost, self.energy)
        )
