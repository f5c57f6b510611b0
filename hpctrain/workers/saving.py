"""When a run is saved: on a schedule, before the wall-time ends, and when it is asked to stop."""

from __future__ import annotations

from collections.abc import Callable

from hpctrain.runtime.driver import Driver
from hpctrain.training.state import TrainingState


class SaveClock:
    """Begins snapshots at pauses.

    Args:
        now_s: the run's clock.
        every_s: worker 0 takes a snapshot every so many seconds; None: only when asked to.
        deadline_s: seconds on the run's clock at which to save and stop; None: no wall-time.
    """

    def __init__(
        self, now_s: Callable[[], float], every_s: float | None, deadline_s: float | None
    ) -> None:
        self.stop_reason: str | None = None  # may be set in a signal handler
        self._now_s = now_s
        self._every_s = every_s
        self._deadline_s = deadline_s
        self._next_s = every_s
        self._stop_asked = False
        self._held = False

    def look(self, driver: Driver[TrainingState]) -> None:
        """Begin what is due. Call it at a pause, under the session's lock."""
        if driver.snapshots is None:
            return
        now_s = self._now_s()
        if self._deadline_s is not None and now_s >= self._deadline_s and self.stop_reason is None:
            self.stop_reason = "the wall-time is near"
        if self.stop_reason is not None and not self._stop_asked:
            self._stop_asked = True
            driver.snapshots.ask_stop(self.stop_reason)
        held, self._held = self._held, bool(driver.state.held)
        pauses = self._held and not held
        if self._next_s is not None and (now_s >= self._next_s or pauses):
            assert self._every_s is not None
            self._next_s = now_s + self._every_s
            if driver.state.learner.phase in ("training", "waiting"):
                driver.snapshots.take()
