"""Where a worker's time goes: one phase at a time, so that phases add up to the run."""

from __future__ import annotations

from threading import Lock
from time import perf_counter
from typing import Literal

Phase = Literal["compute", "exchange", "wait", "evaluate", "checkpoint"]


class Phases:
    """A stopwatch that is always running for exactly one phase. Any thread may read it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.current: Phase = "exchange"
        self._since = perf_counter()
        self._spent: dict[Phase, float] = {}
        self.total: dict[Phase, float] = {}  # up to the last lap

    def enter(self, phase: Phase) -> Phase:
        """Start `phase`; returns the one that ends."""
        with self._lock:
            now, before = perf_counter(), self.current
            self._spent[before] = self._spent.get(before, 0.0) + now - self._since
            self.current, self._since = phase, now
        return before

    def call_it(self, phase: Phase) -> None:
        """Count the phase that goes on as `phase`, from its beginning."""
        self.current = phase

    def until_now_ns(self) -> dict[str, int]:
        """Nanoseconds in each phase until now; any thread may ask."""
        sums: dict[str, float] = {}
        with self._lock:
            for phase, seconds in (*self.total.items(), *self._spent.items()):
                sums[phase] = sums.get(phase, 0.0) + seconds
            sums[self.current] = sums.get(self.current, 0.0) + perf_counter() - self._since
        return {phase: round(seconds * 1e9) for phase, seconds in sums.items()}

    def computed_s(self) -> float:
        """Seconds of computing since the last lap."""
        self.enter(self.current)
        with self._lock:
            return self._spent.get("compute", 0.0)

    def saved(self) -> dict[str, dict[Phase, float]]:
        """What a checkpoint keeps of the clock, so that no second is lost to a resume."""
        self.enter(self.current)
        return {"spent": dict(self._spent), "total": dict(self.total)}

    def restore(self, saved: dict[str, dict[Phase, float]]) -> None:
        """Go on with what `saved` gave."""
        with self._lock:
            self._spent, self.total = dict(saved["spent"]), dict(saved["total"])

    def lap(self) -> dict[str, float]:
        """Seconds per phase since the last lap, as columns `compute_s`, `exchange_s`, ..."""
        self.enter(self.current)
        with self._lock:
            spent, self._spent = self._spent, {}
            for phase, seconds in spent.items():
                self.total[phase] = self.total.get(phase, 0.0) + seconds
        names: tuple[Phase, ...] = ("compute", "exchange", "wait", "evaluate", "checkpoint")
        return {f"{name}_s": spent.get(name, 0.0) for name in names}
