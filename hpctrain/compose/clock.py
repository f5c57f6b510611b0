"""The clock of a run: seconds of running, over all its parts."""

from __future__ import annotations

from time import monotonic


class RunClock:
    """Starts at `elapsed_s`: what earlier parts of a resumed run have used."""

    def __init__(self, elapsed_s: float = 0.0) -> None:
        self._zero = monotonic() - elapsed_s

    def now_s(self) -> float:
        return monotonic() - self._zero

    def go_on_from(self, elapsed_s: float) -> None:
        """Set the clock to `elapsed_s`."""
        self._zero = monotonic() - elapsed_s
