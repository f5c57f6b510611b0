"""Where text goes: with colours to a terminal, without anywhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def seen_by(terminal: bool | None, launched: bool) -> bool | None:
    """Whether output ends in a terminal: True, False, or None to look.

    Ranks that a launcher started may not look: mpirun gives each a pseudo-terminal, whatever its
    own output is. So what the launcher does not say counts as no terminal.
    """
    return False if terminal is None and launched else terminal


def make_console(terminal: bool | None = None, *, stderr: bool = False) -> Console:
    """A console without ANSI codes where there is no terminal. `terminal`: see `seen_by`."""
    from rich.console import Console  # here: of many ranks only one prints

    return Console(stderr=stderr, force_terminal=terminal, highlight=False, emoji=False)
