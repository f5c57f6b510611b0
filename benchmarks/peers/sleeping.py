"""An objective that sleeps: tenfold between candidates, and ten times longer on the last rank."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

SHORTEST_S = 0.02


class Sleeper:
    """Counts what it did.

    Args:
        slow: is this the slow rank?
    """

    def __init__(self, slow: bool) -> None:
        self.factor = 10.0 if slow else 1.0
        self.busy_s = 0.0
        self.evaluations = 0

    def __call__(self, point: Mapping[str, Any]) -> float:
        began_s = time.perf_counter()
        x, y = float(point["x"]), float(point["y"])
        time.sleep(SHORTEST_S * self.factor * 10.0 ** ((x * 7.31 + y * 3.17) % 1.0))
        self.busy_s += time.perf_counter() - began_s
        self.evaluations += 1
        return x * x + y * y
