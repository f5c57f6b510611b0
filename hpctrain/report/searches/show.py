"""`hpctrain show` of a search, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hpctrain.report.island_tables import plain_table
from hpctrain.report.searches.importance import importance
from hpctrain.report.searches.ranking import ranking
from hpctrain.report.searches.records import SearchRecords, read_search
from hpctrain.report.searches.standing import search_state
from hpctrain.report.searches.tally import failures, makers, tally
from hpctrain.report.searches.texts import (
    LONGEST_CELL,
    best_rows,
    best_title,
    column_chunks,
    constants_text,
    effects_by_parameter,
    headline,
    labelled,
    loss_names,
    methods_text,
)
from hpctrain.report.state import LifeSign
from hpctrain.report.tables import RunTables, num_rows
from hpctrain.report.words import count_text, share_text

MOST_FAILURES = 10
MOST_MAKERS = 12
MOST_OBJECTIVES = 3  # for which importances are shown
BAR = 20  # characters


def print_search_run(run: RunTables, life: LifeSign, console: Console, top: int) -> None:
    """Print what the search in `run` has found, with at most `top` candidates."""
    records = read_search(run)
    counts = tally(records)
    state = search_state(records, life)
    console.print(Text(headline(records), style="bold"), soft_wrap=True)
    console.print(_facts(labelled(run, records, counts, state)))
    if not num_rows(records.table):
        console.print("\nNo candidate has ended yet.")
        return
    _print_best(console, records, top)
    _print_importance(console, records)
    _print_makers(console, records)
    _print_failures(console, records)


def _facts(pairs: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in pairs:
        grid.add_row(f"  {label}", Text(value))
    return grid


def _print_best(console: Console, records: SearchRecords, top: int) -> None:
    best = ranking(records)
    if not len(best.rows):
        console.print("\nNo evaluation has given a usable loss.")
        return
    _section(console, best_title(records, best, top))
    heads, rows = best_rows(records, best, top)
    fixed = len(heads) - len(records.names)
    for chunk in column_chunks(heads, rows, fixed, console.width):
        console.print(_table([heads[c] for c in chunk], [[row[c] for c in chunk] for row in rows]))
    constants = constants_text(records)
    if constants:
        console.print(Text(f"All of them with {constants}."))


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = plain_table("candidate")
    for head in heads[1:]:
        table.add_column(
            escape(head), justify="right", no_wrap=True, overflow="ellipsis",
            max_width=LONGEST_CELL,
        )  # fmt: skip
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _print_importance(console: Console, records: SearchRecords) -> None:
    _section(console, "Which parameters matter")
    aims = min(records.num_objectives, MOST_OBJECTIVES)
    found = [importance(records, objective) for objective in range(aims)]
    if not any(item.effects for item in found):
        console.print(Text(methods_text(found)[0]))
        return
    several = aims > 1
    table = plain_table("parameter", *(loss_names(records)[:aims] if several else ["effect"]))
    if not several:
        table.add_column("")
    for name, effects in effects_by_parameter(found):
        cells = ["" if np.isnan(effect) else f"{effect:.0%}" for effect in effects]
        bar = [] if several else ["█" * round(BAR * min(effects[0], 1.0))]
        table.add_row(escape(name), *cells, *bar)
    console.print(table)
    for text in methods_text(found):
        console.print(Text(text))


def _print_makers(console: Console, records: SearchRecords) -> None:
    _section(console, "Who made the candidates")
    table = plain_table("operator", "made", "share", "usable", "improved", "best loss")
    found = makers(records)
    whole = sum(maker.made for maker in found)
    for maker in found[:MOST_MAKERS]:
        table.add_row(
            escape(maker.name), count_text(maker.made), share_text(maker.made, whole),
            count_text(maker.usable), count_text(maker.improved),
            "" if np.isnan(maker.best) else f"{maker.best:.6g}",
        )  # fmt: skip
    console.print(table)


def _print_failures(console: Console, records: SearchRecords) -> None:
    found = failures(records)
    if not found:
        return
    _section(console, "Why candidates failed (# is a number)")
    for failure in found[:MOST_FAILURES]:
        first = f"first: {failure.first}" if failure.count > 1 else f"candidate {failure.first}"
        console.print(Text(f"{failure.count:>7,}  {failure.reason} ({first})"))
    if len(found) > MOST_FAILURES:
        rest = sum(failure.count for failure in found[MOST_FAILURES:])
        console.print(Text(f"{rest:>7,}  for {len(found) - MOST_FAILURES} other reasons"))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))
