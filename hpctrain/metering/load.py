"""The load of a host's processors, from /proc/stat."""

from __future__ import annotations

import os
from pathlib import Path

_BUSY = (1, 2, 3, 6, 7)  # fields of the line "cpu": user nice system irq softirq; not steal
_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def read_load(stat: Path) -> tuple[int, int] | None:
    """Nanoseconds of processor time that the host has used since it started, and its processors.

    None if `stat` cannot be read.
    """
    try:
        lines = stat.read_text(encoding="ascii").splitlines()
        words = next(line for line in lines if line.startswith("cpu ")).split()
        ticks = sum(int(words[place]) for place in _BUSY)
    except (OSError, ValueError, IndexError, StopIteration):
        return None
    cores = sum(line.startswith("cpu") for line in lines) - 1
    return (ticks * _TICK_NS, cores) if cores > 0 else None
