"""Where a host's monotonic clock stands in the time of the world."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

TRIES = 10


@dataclass(frozen=True, slots=True)
class WallClock:
    """UTC is the monotonic clock plus an offset.

    Attributes:
        offset_ns: nanoseconds since 1970 at zero of the monotonic clock.
        uncertainty_ns: the offset is right within this, if the host's clock is.
    """

    offset_ns: int
    uncertainty_ns: int

    def utc_ns(self, time_ns: int) -> int:
        return time_ns + self.offset_ns


def compare_clocks(
    monotonic_ns: Callable[[], int] = time.monotonic_ns,
    wall_ns: Callable[[], int] = time.time_ns,
) -> WallClock:
    """Read the one between two looks at the other; the closest looks of several count."""
    looks = []
    for _ in range(TRIES):
        before_ns, utc_ns, after_ns = monotonic_ns(), wall_ns(), monotonic_ns()
        looks.append((after_ns - before_ns, utc_ns - (before_ns + after_ns) // 2))
    width_ns, offset_ns = min(looks)
    return WallClock(offset_ns, width_ns // 2 + 1)
