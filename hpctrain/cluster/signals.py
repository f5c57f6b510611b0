"""Signals that come before anybody can act on them: torch takes seconds to load."""

from __future__ import annotations

import signal

_early: list[str] = []


def remember(names: tuple[str, ...] = ("TERM", "USR1", "USR2")) -> None:
    """From now on remember these signals, where they would have ended the process."""
    for name in names:
        signal.signal(signal.Signals[f"SIG{name}"], lambda *_, name=name: _early.append(name))


def remembered(names: tuple[str, ...]) -> str | None:
    """The first of `names` that has come since `remember`, if any."""
    return next((name for name in _early if name in names), None)
