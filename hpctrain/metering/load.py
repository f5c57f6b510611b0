"""The load of a host's processors, from /proc/stat."""

from __future__ import annotations

import os
from pathlib import Path

_BUSY = (1, 2, 3, 6, 7)  # fields of the line "cpu": user nice system irq softirq; not steal
_TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")
_LONGEST = 2**16  # bytes; the lines of processors come first, up to 80 bytes for each


class ProcFile:
    """A file of /proc that is read again and again; it may come and go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def read(self) -> bytes | None:
        """Its beginning; None if it cannot be read."""
        try:
            if self._file < 0:
                self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._file, _LONGEST, 0)
        except OSError:
            self.close()
            return None

    def close(self) -> None:
        """Let go of it; harmless the second time."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


class Load(ProcFile):
    """What `/proc/stat` tells."""

    def busy(self) -> tuple[int, int] | None:
        """Nanoseconds of processor time that the host has used since it started; its processors.

        None if that cannot be read.
        """
        text = self.read()
        if text is None or not text.startswith(b"cpu "):
            return None
        words = text[: text.find(b"\n")].split()
        try:
            ticks = sum(int(words[place]) for place in _BUSY)
        except (ValueError, IndexError):
            return None
        cores = text.count(b"\ncpu")
        return (ticks * _TICK_NS, cores) if cores > 0 else None
