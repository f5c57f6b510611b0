"""Signals that come before anybody can act on them: torch takes seconds to load."""

from __future__ import annotations

import atexit
import signal

HANDLED = ("TERM", "USR1", "USR2", "INT")

_early: list[str] = []
_deaf: list[bool] = []


def remember(names: tuple[str, ...] = ("TERM", "USR1", "USR2")) -> None:
    """From now on remember these signals, where they would have ended the process."""
    for name in names:
        signal.signal(signal.Signals[f"SIG{name}"], lambda *_, name=name: _early.append(name))


def deaf_at_exit() -> None:
    """When the process ends, handled signals have nothing more to say to it.

    Python takes its handlers back then, and a signal of a wall-time would end a run that has just
    finished as if it had failed.
    """
    if not _deaf:
        _deaf.append(True)
        atexit.register(_ignore_what_is_handled)


def _ignore_what_is_handled() -> None:
    for name in HANDLED:
        number = signal.Signals[f"SIG{name}"]
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN)


def remembered(names: tuple[str, ...]) -> str | None:
    """The first of `names` that has come since `remember`, if any."""
    return next((name for name in _early if name in names), None)
