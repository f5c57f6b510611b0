"""What the first rank shows while a run goes on: a live line, plain lines, or nothing."""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Literal

from hpctrain.report.console import make_console
from hpctrain.report.words import seconds_text

if TYPE_CHECKING:
    from rich.progress import Progress

Show = Literal["auto", "live", "plain", "none"]

LIVE_EVERY_S = 0.25
PLAIN_EVERY_S = 10.0
RATE_OVER_S = 30.0  # long enough for rounds of slow islands to even out


class Rate:
    """Steps per second over the last half minute, and how long the rest will take."""

    def __init__(self, total: int | None, unit: str = "steps") -> None:
        self._total = total
        self._unit = unit
        self._seen: deque[tuple[float, int]] = deque()

    def see(self, now_s: float, steps: int) -> None:
        """At `now_s` so many steps were done; the first call is where counting starts."""
        self._seen.append((now_s, steps))
        while len(self._seen) > 2 and self._seen[1][0] <= now_s - RATE_OVER_S:
            self._seen.popleft()

    @property
    def begun(self) -> bool:
        """Whether anything was seen yet."""
        return len(self._seen) > 0

    @property
    def steps_per_s(self) -> float | None:
        """None as long as nothing has moved."""
        if len(self._seen) < 2:
            return None
        (began_s, before), (now_s, steps) = self._seen[0], self._seen[-1]
        return (steps - before) / (now_s - began_s) if now_s > began_s and steps > before else None

    @property
    def text(self) -> str:
        """Rate and time left in a few words; empty as long as they are not known."""
        rate = self.steps_per_s
        if rate is None:
            return ""
        left = None if self._total is None else max(self._total - self._seen[-1][1], 0)
        return f"{rate:.1f} {self._unit}/s" + (
            f"  {seconds_text(left / rate)} left" if left else ""
        )


class ProgressDisplay:
    """Shows steps of all islands, their rate, the time left, and what the caller adds.

    Args:
        show: `auto` is live on a terminal and plain otherwise.
        total_steps: of all islands; None: not known.
        terminal: whether the output ends in a terminal; None: look. See `console.seen_by`.
        unit: what is counted.
    """

    def __init__(
        self,
        show: Show,
        total_steps: int | None,
        terminal: bool | None = None,
        unit: str = "steps",
    ) -> None:
        if show != "none":  # all ranks but one
            live = True if show == "live" else terminal
            self._console = make_console(live, stderr=True)
            if show == "auto":
                show = "live" if self._console.is_terminal else "plain"
        self._show = show
        self._total = total_steps
        self._rate = Rate(total_steps, unit)
        self._unit = unit
        self._every_s = LIVE_EVERY_S if show == "live" else PLAIN_EVERY_S
        self._due_s = monotonic()  # the first update only tells where counting starts
        self._bar: Progress | None = None

    @property
    def due(self) -> bool:
        """Is it time for an update? Cheap enough to ask at every step."""
        return self._show != "none" and monotonic() >= self._due_s

    def update(self, steps: int, text: str) -> None:
        """Show that `steps` are done; `text` says the rest, such as losses, in a few words."""
        if self._show == "none":
            return
        now_s = monotonic()
        self._due_s = now_s + self._every_s
        first = not self._rate.begun
        self._rate.see(now_s, steps)
        if self._show == "plain" and first:
            return
        if self._show == "plain":
            self._console.print(self._line(steps, text), soft_wrap=True, markup=False)
            return
        from rich.markup import escape

        bar = self._started()
        bar.update(bar.task_ids[0], completed=steps, line=escape(self._line(steps, text)))

    def close(self) -> None:
        """Leave the live line as it is.

        It is not taken away: launchers forward standard error later than standard output, so
        that would take a line of what is printed next.
        """
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _line(self, steps: int, text: str) -> str:
        of = f" of {self._total:,}" if self._total else ""
        return "  ".join(
            part for part in (f"{steps:,}{of} {self._unit}", self._rate.text, text) if part
        )

    def _started(self) -> Progress:
        from rich.progress import BarColumn, Progress, TextColumn

        if self._bar is None:
            self._bar = Progress(
                BarColumn(bar_width=20),
                TextColumn("{task.fields[line]}"),
                console=self._console,
            )
            self._bar.add_task("", total=self._total, line="")
            self._bar.start()
        return self._bar
