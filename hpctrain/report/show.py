"""`hpctrain show`: everything that a run says about itself, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpctrain.report.accounts import IslandAccount, island_accounts
from hpctrain.report.event_table import event_lines, num_resumes, refusal_lines
from hpctrain.report.facts import RunFacts, origin, read_facts
from hpctrain.report.groups import Groups, groups_text, read_groups
from hpctrain.report.island_tables import (
    corrects,
    is_compared,
    merge_table,
    momentum_table,
    row_of,
    time_table,
    work_table,
)
from hpctrain.report.loss_table import curve_table, has_reports, report_table
from hpctrain.report.losses import held_out_curves, training_curves
from hpctrain.report.records import Records, read_records
from hpctrain.report.state import LifeSign, RunState, read_state
from hpctrain.report.tables import RunTables, num_rows
from hpctrain.report.words import count_text, plural, seconds_text

MOST_HOSTS = 4
CORRECTIONS = "Corrections (cosine to the outer momentum; percent of tensors)"
NOT_CORRECTED = "Against the outer momentum (means)"


def print_run(run: RunTables, life: LifeSign, console: Console) -> None:
    """Print what `run` recorded; `life` tells a run that goes on from one that was killed."""
    facts, records = read_facts(run), read_records(run)
    accounts = island_accounts(facts, records)
    state = read_state(records.events, life)
    console.print(Text(f"{facts.name}: {headline(facts)}", style="bold"), soft_wrap=True)
    console.print(_facts(_labelled(run, facts, records, state)))
    _print_islands(console, accounts, records)
    _print_losses(console, facts, records)
    if has_reports(records):
        _section(console, "Reported by the script")
        console.print(report_table(records))
    _print_lines(console, "Events", event_lines(records))


def headline(facts: RunFacts) -> str:
    """The method and the islands in half a line."""
    islands = plural(max(len(facts.islands), 1), "island")
    pace = " of unequal pace (emulated)" if facts.is_paced else ""
    return f"{facts.method or 'no method'} on {islands}{pace}"


def _labelled(
    run: RunTables, facts: RunFacts, records: Records, state: RunState
) -> Iterator[tuple[str, str]]:
    """What is known about the run as a whole, by label."""
    yield "state", f"{state.standing}: {state.text}" if state.text else state.standing
    yield "ran for", _duration(records)
    if facts.started:
        yield "started", facts.started
    yield "on", _places(run, facts)
    if facts.task:
        yield "task", facts.task
    if facts.parameters:
        yield "parameters", count_text(facts.parameters)
    yield from origin(facts, run.run_dir)


def _duration(records: Records) -> str:
    text = seconds_text(records.elapsed_s)
    times, redone = num_resumes(records), records.redone
    if times:
        text += f", resumed {'once' if times == 1 else f'{times} times'}"
    if redone.rounds:
        text += f"; {plural(redone.rounds, 'round')} ({count_text(redone.steps)} steps) redone"
    return text


def _places(run: RunTables, facts: RunFacts) -> str:
    hosts = ", ".join(facts.hosts[:MOST_HOSTS])
    more = len(facts.hosts) - MOST_HOSTS
    where = f"{hosts} and {more} more" if more > 0 else hosts
    ranks = plural(len(run.ranks), "rank")
    if facts.num_workers != len(run.ranks):
        ranks += f" ({plural(facts.num_workers, 'worker')})"
    return f"{ranks}{f' on {where}' if where else ''}"


def _facts(pairs: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, value in pairs:
        grid.add_row(f"  {label}", Text(value))
    return grid


def _print_islands(console: Console, accounts: Sequence[IslandAccount], records: Records) -> None:
    if not num_rows(records.rounds):
        console.print("\nNo round has ended yet.")
        return
    _section(console, "What each island did")
    console.print(work_table([row_of(account) for account in accounts]))
    _section(console, "Where its time went")
    console.print(time_table(accounts))
    _print_merges(console, accounts, read_groups(records.updates))
    for line in refusal_lines(records):
        console.print(Text(line))
    if is_compared(accounts):
        _section(
            console, CORRECTIONS if corrects(accounts) else "Against the outer momentum (means)"
        )
        console.print(momentum_table(accounts))


def _print_merges(
    console: Console, accounts: Sequence[IslandAccount], groups: Groups | None
) -> None:
    """Groups in a line, for they are of all islands; single pushes by island."""
    if groups is not None:
        _section(console, "How its pushes were merged: in groups (means; staleness in versions)")
        console.print(Text(groups_text(groups)))
    if not any(account.merges.merged or account.merges.refused for account in accounts):
        return
    single = "single " if groups else ""
    _section(console, f"How its {single}pushes were merged (staleness in versions)")
    console.print(merge_table(accounts, in_time=groups is None))
    if is_compared(accounts) and groups is None:
        of_domain = " and its domain" if all(account.domain for account in accounts) else ""
        console.print(f"weight/s: what an island{of_domain} weighed per second, in fragment 0")


def _print_losses(console: Console, facts: RunFacts, records: Records) -> None:
    curves, title = held_out_curves(facts, records), "Held-out loss"
    if not curves:
        curves, title = training_curves(facts, records), "Training loss (nothing was held out)"
    if any(len(curve.loss) for curve in curves):
        _section(console, title)
        console.print(curve_table(curves))


def _print_lines(console: Console, title: str, lines: Iterable[str]) -> None:
    found = list(lines)
    if found:
        _section(console, title)
    for line in found:
        console.print(Text(line))


def _section(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold"))
