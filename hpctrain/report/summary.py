"""The last words of a training run: what was trained, how well, how far each island got, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


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


def print_summary(summary: RunSummary, console: Console | None = None) -> None:
    """Print `summary` as two tables and a line."""
    console = console or Console(highlight=False)
    steps = sum(worker.steps for worker in summary.workers)
    console.print(
        f"\n[bold]{summary.title}[/bold]: {summary.parameters:,} parameters, {steps:,} inner steps by "
        f"{len(summary.workers)} workers with {summary.method} in {summary.seconds:.1f} s",
        soft_wrap=True,
    )
    console.print(_workers(summary.workers))
    if summary.losses:
        console.print(_losses(summary.losses))
    console.print(f"The run lies in [bold]{summary.run_dir}[/bold]", soft_wrap=True)


def _workers(workers: Sequence[IslandSummary]) -> Table:
    emulated = any(worker.pace != 1 for worker in workers)
    table = Table("island", title="How far each island got", title_justify="left")
    if emulated:
        table.add_column("pace (emulated)", justify="right")
    for name in ("rounds", "steps", "steps/s", "tokens", "waiting", "sent"):
        table.add_column(name, justify="right")
    for worker in workers:
        share = worker.waited_s / worker.seconds if worker.seconds else 0.0
        pace = [f"{worker.pace:g}x slower" if worker.pace != 1 else "1"] if emulated else []
        table.add_row(
            worker.island,
            *pace,
            f"{worker.rounds:,}",
            f"{worker.steps:,}",
            f"{worker.steps / worker.seconds:.1f}" if worker.seconds else "",
            f"{worker.tokens:,}",
            f"{share:.1%}",
            bytes_text(worker.bytes_sent),
        )
    return table


def _losses(losses: Mapping[str, float]) -> Table:
    table = Table("domain", title="Held-out loss of the merged model", title_justify="left")
    table.add_column("loss", justify="right")
    for domain, loss in losses.items():
        table.add_row(domain, f"{loss:.3f}")
    table.add_section()
    table.add_row("mean", f"{sum(losses.values()) / len(losses):.3f}")
    return table


def bytes_text(count: float) -> str:
    """`count` bytes as an engineer writes them: 1.23 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(count) < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError("unreachable")
