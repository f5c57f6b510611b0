"""`hpctrain show`: everything that a run says about itself, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpctrain.report.accounts import IslandAccount, island_accounts
from hpctrain.report.event_table import event_lines, num_resumes, refusal_lines
from hpctrain.report.facts import RunFacts, origin, read_facts
from hpctrain.report.island_tables import merge_table, row_of, time_table, work_table
from hpctrain.report.loss_table import curve_table, has_reports, report_table
from hpctrain.report.losses import held_out_curves, training_curves
from hpctrain.report.records import Records, read_records
from hpctrain.report.state import LifeSign, RunState, read_state
from hpctrain.report.tables import RunTables, num_rows
from hpctrain.report.words import count_text, plural, seconds_text

MOST_HOSTS = 4


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
    if records.is_synchronous:
        console.print(f"\n{_merges_text(records)}")
    elif num_rows(records.updates):
        _section(console, "How its pushes were merged (staleness in versions)")
        console.print(merge_table(accounts))
    for line in refusal_lines(records):
        console.print(Text(line))


def _merges_text(records: Records) -> str:
    """Of a run whose homes merged several pushes at once."""
    merges, stale = plural(num_rows(records.updates), "merge"), records.updates["staleness"]
    if not stale.any():
        return f"{merges}, each of all islands at once: nothing was stale."
    return (
        f"{merges}, each of several islands at once; the oldest push of each was stale by "
        f"{stale.mean():.1f} versions in the mean, {stale.max()} at most."
    )


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
