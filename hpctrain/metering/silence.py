"""Notices that a host's sensors have fallen silent in the middle of a run, and that they are back.

Until then a budget counts nothing, so somebody should know.
"""

from __future__ import annotations

PATIENCE_S = 10.0
PATIENCE_PERIODS = 5


class Silence:
    """Of one host.

    Args:
        rate_hz: looks per second.
        begin_ns: on the host's monotonic clock.
    """

    def __init__(self, rate_hz: float, begin_ns: int) -> None:
        self._patience_ns = round(max(PATIENCE_S, PATIENCE_PERIODS / rate_hz) * 1e9)
        self._covered_ns = 0
        self._since_ns = begin_ns
        self._told = False

    def look(self, now_ns: int, covered_ns: int) -> str:
        """What is new; mostly nothing.

        Args:
            now_ns: on the host's monotonic clock.
            covered_ns: time for which there are readings.
        """
        silent_s = (now_ns - self._since_ns) / 1e9
        if covered_ns > self._covered_ns:
            told, self._told = self._told, False
            self._covered_ns, self._since_ns = covered_ns, now_ns
            return f"readings again, after {silent_s:.0f} s" if told else ""
        if self._told or now_ns - self._since_ns < self._patience_ns:
            return ""
        self._told = True
        return (
            f"no readings for {silent_s:.0f} s; what is used meanwhile is in no budget, unless "
            "the sensors come back and have counted on"
        )
