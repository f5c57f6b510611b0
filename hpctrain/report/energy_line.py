"""What a run used, in a line: how much, and how far that may be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

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
    """For people: `812 J`, `4.31 Wh`, `1.25 kWh`."""
    if joules < 3.6e3:
        return f"{joules:.3g} J" if joules < 999.5 else f"{joules:.0f} J"
    if joules < 3.6e6:
        return f"{joules / 3.6e3:.3g} Wh" if joules < 999.5 * 3.6e3 else f"{joules / 3.6e3:.0f} Wh"
    return f"{joules / 3.6e6:.4g} kWh"


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


def quality_text(totals: Sequence[HostTotal]) -> str:
    quality = worst([total.quality for total in totals])
    if quality != "partial":
        return quality
    return f"partial ({min(total.coverage for total in totals):.0%} of the time has readings)"
