"""Reading a number from a file of sysfs again and again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

Clock = Callable[[], int]  # nanoseconds of the host's monotonic clock

_LONGEST = 256  # bytes; sysfs attributes with one number are far shorter


class NumberFile:
    """An open file of sysfs that shows a number; the kernel makes it anew at every read."""

    def __init__(self, path: Path) -> None:
        """Open `path`.

        Raises:
            OSError: if it cannot be opened.
        """
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> int | None:
        """The number, or None if there is none now."""
        try:
            return int(os.pread(self._file, _LONGEST, 0))
        except (OSError, ValueError):
            return None

    def text(self) -> str | None:
        try:
            return os.pread(self._file, _LONGEST, 0).decode("ascii", "replace").strip()
        except OSError:
            return None

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def timed(
    read: Callable[[], int | None], clock: Clock = time.monotonic_ns
) -> tuple[int, int | None]:
    """The middle of the time that `read` took, and what it gave."""
    before_ns = clock()
    value = read()
    return (before_ns + clock()) // 2, value


def word(path: Path) -> str:
    """The text of a small file without white space around it; "" if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def number(path: Path) -> int | None:
    """The number in a small file; None if there is none."""
    try:
        return int(word(path))
    except ValueError:
        return None
