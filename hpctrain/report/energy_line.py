"""What a run used, in a line: how much, and how far that may be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hpctrain.metering.live import EnergyNow

Trust = Literal["measured", "partial", "estimate", "none"]

_WORST_FIRST: tuple[Trust, ...] = ("estimate", "partial", "measured")


@dataclass(frozen=True, slots=True)
class HostTotal:
    """The energy of one host; `coverage` is the share of the time with readings."""

    host: str
    joules: float
    low_j: float
    high_j: float
    coverage: float
    quality: Trust


def energy_text(joules: float) -> str:
    """For people: `812 J`, `4.31 Wh`, `1.25 kWh`, `31.7 MWh`."""
    if joules < 0:
        return f"-{energy_text(-joules)}"
    if joules < 3.6e3:
        return f"{joules:.3g} J" if joules < 999.5 else f"{joules:.0f} J"
    if joules < 3.6e6:
        return f"{joules / 3.6e3:.3g} Wh" if joules < 999.5 * 3.6e3 else f"{joules / 3.6e3:.0f} Wh"
    if joules < 9999.5 * 3.6e6:
        return f"{joules / 3.6e6:.4g} kWh"
    return f"{joules / 3.6e9:,.4g} MWh" if joules < 9999.5 * 3.6e9 else f"{joules / 3.6e9:,.0f} MWh"


def worst(qualities: Sequence[Trust]) -> Trust:
    """The quality of a sum: that of its worst part."""
    return next((quality for quality in _WORST_FIRST if quality in qualities), "none")


def energy_line(totals: Sequence[HostTotal], num_hosts: int) -> str:
    """The line of a summary.

    Args:
        totals: of the hosts that have sensors.
        num_hosts: of the run.
    """
    told = [total for total in totals if total.quality != "none"]
    if not told:
        return "Energy: no readings (hpctrain doctor says why)"
    quality = worst([total.quality for total in told])
    text = f"Energy: {energy_text(sum(total.joules for total in told))}, {quality_text(told)}"
    if quality == "estimate":
        low, high = sum(total.low_j for total in told), sum(total.high_j for total in told)
        text += f" between {energy_text(low)} and {energy_text(high)}"
    return text if len(told) == num_hosts else f"{text}; on {len(told)} of {num_hosts} hosts only"


def live_text(now: EnergyNow | None, spent: float, limit: float | None, unit: str) -> str:
    """Energy to date in a few words; "" if nothing is known.

    Args:
        now: of this host.
        spent: by all workers, as far as known here, in `unit`.
        limit: of that; None: no budget.
        unit: of the budget, or of what is counted without one.
    """
    parts = []
    if now is not None and now.quality != "none":
        about = "about " if now.quality == "estimate" else ""
        parts.append(f"this host {about}{energy_text(now.host_joules)}, {now.host_watts:.0f} W")
        if now.cost is not None:
            parts[-1] += f", {now.cost:.3g} {now.currency}"
    if spent:
        parts.append(f"all {spent:.3g}" + (f" of {limit:g}" if limit else "") + f" {unit}")
    return "  ".join(parts)


def quality_text(totals: Sequence[HostTotal]) -> str:
    quality = worst([total.quality for total in totals])
    if quality != "partial":
        return quality
    return f"partial ({min(total.coverage for total in totals):.0%} of the time has readings)"
