"""When work may begin: times in which a run pauses, such as hours of dear energy. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

GATE_OPENS = "the pause is over"  # the name of the timer


@dataclass(frozen=True, slots=True)
class Gate:
    """Closed in some intervals.

    Attributes:
        closed: begin and end of each, in seconds on the clock of the run; in order, and apart.
        reason: why, for people.
    """

    closed: tuple[tuple[float, float], ...] = ()
    reason: str = ""

    def opens_s(self, now_s: float) -> float | None:
        """When it opens again; None if it is open."""
        if not self.closed:
            return None
        place = bisect_right(self.closed, now_s, key=lambda interval: interval[0]) - 1
        if place < 0 or now_s >= self.closed[place][1]:
            return None
        return self.closed[place][1]


ALWAYS_OPEN = Gate()
