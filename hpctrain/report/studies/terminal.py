"""A study in the terminal: one table for each place, and what was tuned how."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hpctrain.config.study import Cell, made_as, range_of
from hpctrain.report.studies.records import Spread, StudyRecords
from hpctrain.report.words import bytes_text, count_text, seconds_text

FILE_WIDTH = 140  # of a table that goes into a file
HEADS = (
    "method", "tuned", "loss", "sd", "difference", "95 % interval", "steps", "time", "sent",
    "idle", "stale",
)  # fmt: skip


def print_study(records: StudyRecords, console: Console) -> None:
    """All tables; the best mean of each place first."""
    if not console.is_terminal:
        console.width = max(console.width, FILE_WIDTH)
    for line in about(records):
        console.print(line, soft_wrap=True, markup=False)
    for group in records.places():
        title = escape(title_of(records, group[0]))
        table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
        for number, head in enumerate(HEADS):
            table.add_column(head, justify="left" if number == 0 else "right", no_wrap=True)
        for row in rows_of(records, group):
            table.add_row(*map(escape, row))
        console.print()
        console.print(table)


def about(records: StudyRecords) -> Iterator[str]:
    """How it was made: what a reader has to know to believe the tables."""
    study = records.study
    untuned = [method for method in study.methods if range_of(study, method) is None]
    seeds = f"{study.name}: {len(study.seeds)} seeds"
    if len(untuned) < len(study.methods):
        yield (
            f"{seeds}; {study.tune.key} tuned for each method and place by {study.tune.trials} "
            f"trials on seeds {', '.join(map(str, study.tune.seeds))}, which the tables do not use"
            + (f"; not tuned: {', '.join(untuned)}" if untuned else "")
        )
    else:
        yield f"{seeds}; nothing was tuned"
    yield (
        f"Loss: mean over domains, nats per token; difference: to {records.reference}, paired by "
        "seed, below zero is better"
    )
    if study.same:
        yield (
            "=: the runs of another budget, which this method spends alike; see its steps and time"
        )
    edges = [c for c in records.tuned if records.tuned[c].at_edge]
    if edges:
        names = ", ".join(f"{cell.method} ({cell.profile}, {cell.budget})" for cell in edges)
        yield f"Best at the edge of what was tried, so maybe not at its best: {names}"


def title_of(records: StudyRecords, cell: Cell) -> str:
    """The names of a place; the only data of a study goes without saying."""
    parts = (cell.profile, cell.data if len(records.study.data) > 1 else "", cell.budget)
    return ", ".join(part for part in parts if part)


def rows_of(records: StudyRecords, group: list[Cell]) -> Iterator[tuple[str, ...]]:
    """A row for each method, the best first."""
    reference = next(cell for cell in group if cell.method == records.reference)
    spreads = {cell: records.spread(cell) for cell in group}
    for cell in sorted(group, key=lambda cell: _rank(spreads[cell])):
        own = spreads[cell]
        against = records.against(cell, reference)
        same = cell == reference
        bad = "failed" if records.failed(cell) else "diverged"
        yield (
            cell.method + (" =" if made_as(records.study, cell) != cell else ""),
            value_text(records, cell),
            bad if math.isinf(own.mean) else f"{own.mean:.4f}",
            "" if math.isnan(own.deviation) else f"{own.deviation:.4f}",
            "" if same or not math.isfinite(against.mean) else f"{against.mean:+.2f} %",
            "" if same else interval_text(against),
            _known_text(records.mean_of(cell, "steps"), lambda steps: count_text(round(steps))),
            _known_text(records.mean_of(cell, "virtual_s"), seconds_text),
            _known_text(records.mean_of(cell, "bytes"), bytes_text),
            _mean_text(records.by_worker(cell, "idle"), "{:.0%}"),
            _mean_text(records.by_worker(cell, "staleness"), "{:.1f}"),
        )


def value_text(records: StudyRecords, cell: Cell) -> str:
    """The tuned value; an arrow where it is the least or the largest that was tried."""
    tuned = records.tuned[cell]
    if tuned.value is None:
        return ""
    return f"{tuned.value:.3g}" + ("*" if tuned.at_edge else "")


def interval_text(spread: Spread) -> str:
    if not (math.isfinite(spread.low) and math.isfinite(spread.high)):
        return ""
    return f"{spread.low:+.2f} .. {spread.high:+.2f}" + ("" if spread.excludes_zero else " ?")


def _rank(spread: Spread) -> float:
    return math.inf if math.isnan(spread.mean) else spread.mean


def _known_text(value: float, text: Callable[[float], str]) -> str:
    return text(value) if math.isfinite(value) else ""


def _mean_text(values: list[float], form: str) -> str:
    known = [value for value in values if math.isfinite(value)]
    return form.format(sum(known) / len(known)) if known else ""
