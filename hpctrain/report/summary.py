"""The last words of a training run: what was trained, how well, how far it got, where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from hpctrain.report.console import make_console
from hpctrain.report.island_tables import IslandRow, work_table
from hpctrain.report.loss_table import final_table
from hpctrain.report.words import count_text, plural, seconds_text


@dataclass(frozen=True, slots=True)
class IslandSummary:
    """What one worker did."""

    worker: int
    island: str
    ranks: int
    pace: float
    rounds: int
    steps: int
    tokens: int
    seconds: float
    waited_s: float
    bytes_sent: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What all of them did."""

    title: str
    method: str
    parameters: int
    seconds: float
    workers: tuple[IslandSummary, ...]
    losses: Mapping[str, float]
    run_dir: Path
    energy: str = ""


def print_summary(
    summary: RunSummary, terminal: bool | None = None, console: Console | None = None
) -> None:
    """Print `summary` as two tables and a line.

    Args:
        summary: of the run that has ended.
        terminal: whether standard output ends in a terminal; see `console.seen_by`.
        console: where to print instead of standard output.
    """
    console = console or make_console(terminal)
    steps = sum(worker.steps for worker in summary.workers)
    console.print()
    console.print(
        Text(summary.title, style="bold"),
        Text(
            f"{count_text(summary.parameters)} parameters, {count_text(steps)} inner steps by "
            f"{plural(len(summary.workers), 'worker')} with {summary.method} "
            f"in {seconds_text(summary.seconds)}"
        ),
        sep=": ",
        soft_wrap=True,
    )
    console.print(Text("\nHow far each island got", style="bold"))
    console.print(work_table(_rows(summary.workers)))
    if summary.losses:
        console.print(Text("\nHeld-out loss of the merged model", style="bold"))
        console.print(final_table(summary.losses))
    if summary.energy:
        console.print(Text(f"\n{summary.energy}"), soft_wrap=True)
    console.print(Text(f"\nThe run lies in {summary.run_dir}"), soft_wrap=True)
    console.print(Text(f"More about it: hpctrain show {summary.run_dir}"), soft_wrap=True)


def _rows(workers: Sequence[IslandSummary]) -> list[IslandRow]:
    """One row per island, in the order in which they come."""
    islands: dict[str, list[IslandSummary]] = {}
    for worker in workers:
        islands.setdefault(worker.island, []).append(worker)
    return [_row(name, members) for name, members in islands.items()]


def _row(name: str, members: Sequence[IslandSummary]) -> IslandRow:
    spent_s = sum(member.seconds for member in members)
    return IslandRow(
        name=name,
        pace=members[0].pace,
        rounds=sum(member.rounds for member in members),
        steps=sum(member.steps for member in members),
        tokens=sum(member.tokens for member in members),
        seconds=max(member.seconds for member in members),
        waited=sum(member.waited_s for member in members) / spent_s if spent_s else None,
        bytes_sent=sum(member.bytes_sent for member in members),
    )
