"""What the first rank shows while a run goes on: a live line, plain lines, or nothing."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Literal

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Show = Literal["auto", "live", "plain", "none"]

LIVE_EVERY_S = 0.25
PLAIN_EVERY_S = 10.0


class ProgressDisplay:
    """Shows steps of all islands, this island's rate and loss.

    Args:
        show: `auto` is live on a terminal and plain otherwise.
        total_steps: of all islands; None: not known.
        terminal: whether the output ends in a terminal; None: look.
    """

    def __init__(self, show: Show, total_steps: int | None, terminal: bool | None = None) -> None:
        if show == "auto":
            is_terminal = sys.stderr.isatty() if terminal is None else terminal
            show = "live" if is_terminal else "plain"
        self._show = show
        self._total = total_steps
        self._every_s = LIVE_EVERY_S if show == "live" else PLAIN_EVERY_S
        self._due_s = monotonic() + self._every_s
        self._console = Console(stderr=True, force_terminal=show == "live" or None, highlight=False)
        self._bar: Progress | None = None

    @property
    def due(self) -> bool:
        """Is it time for an update? Cheap enough to ask at every step."""
        return self._show != "none" and monotonic() >= self._due_s

    def update(self, steps: int, text: str) -> None:
        """Show that `steps` are done; `text` says the rest in a few words."""
        if self._show == "none":
            return
        self._due_s = monotonic() + self._every_s
        if self._show == "plain":
            of = f" of {self._total:,}" if self._total else ""
            self._console.print(f"{steps:,}{of} steps  {text}", soft_wrap=True)
            return
        bar = self._started()
        bar.update(bar.task_ids[0], completed=steps, text=text)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _started(self) -> Progress:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.completed:,} steps"),
                BarColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=self._console,
                transient=True,
            )
            self._bar.add_task("", total=self._total, text="")
            self._bar.start()
        return self._bar
