"""What runs would have cost if they had paused while energy was dear: a what-if, summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpctrain.metering.tco_run import RunCost
from hpctrain.report.energy_line import Trust, worst


@dataclass(frozen=True, slots=True)
class Paused:
    """Of one run.

    Attributes:
        currency: of the prices.
        threshold: above which it would have stood still; None if nobody said one.
        was, then: the run as it was, and paused; None if it cannot be told.
        quality: of the energy behind it.
        why_not: why it cannot be told.
    """

    currency: str
    threshold: float | None
    was: RunCost | None
    then: RunCost | None
    quality: Trust
    why_not: str = ""

    @property
    def saving(self) -> float | None:
        if self.was is None or self.then is None:
            return None
        return self.was.energy_cost - self.then.energy_cost


@dataclass(frozen=True, slots=True)
class PausedSum:
    """Of those runs that can be told; `saving` is an upper bound."""

    runs: int
    was: float
    saving: float
    pauses: int
    paused_s: float
    quality: Trust


def paused_sum(all_of_them: Sequence[Paused]) -> PausedSum:
    told = [(one, one.was, one.then) for one in all_of_them]
    known = [(one, was, then) for one, was, then in told if was is not None and then is not None]
    return PausedSum(
        len(known),
        sum(was.energy_cost for _, was, _ in known),
        sum(was.energy_cost - then.energy_cost for _, was, then in known),
        sum(then.pauses for _, _, then in known),
        sum(then.paused_s for _, _, then in known),
        worst([one.quality for one, _, _ in known]),
    )
