"""Tables about islands, for the end of a run and for `hpctrain show`; they fit 80 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.markup import escape
from rich.table import Table

from hpctrain.report.accounts import PHASES, IslandAccount
from hpctrain.report.words import bytes_text, count_text, pace_text, rate_text, share_text

MOST_ROWS = 40  # of the islands of a large run the first are shown, and the sum over all


@dataclass(frozen=True, slots=True)
class IslandRow:
    """What one island did, as both the summary and `show` know it.

    Attributes:
        seconds: that the steps took, for their rate.
        waited: share of the time in which the island had nothing to do; None: not known.
    """

    name: str
    pace: float
    rounds: int
    steps: int
    tokens: int
    seconds: float
    waited: float | None
    bytes_sent: int


def row_of(account: IslandAccount) -> IslandRow:
    """The row of an island of a recorded run."""
    spent_s = sum(account.phase_s.values())
    return IslandRow(
        name=account.name,
        pace=account.pace,
        rounds=account.rounds,
        steps=account.steps,
        tokens=account.tokens,
        seconds=account.seconds,
        waited=account.phase_s["wait"] / spent_s if spent_s else None,
        bytes_sent=account.bytes_sent,
    )


def work_table(rows: Sequence[IslandRow]) -> Table:
    """How far each island got, and all of them together."""
    paced = any(row.pace != 1 for row in rows)
    table = plain_table("island", *(("emulated",) if paced else ()), *_WORK)
    for row in rows[:MOST_ROWS]:
        table.add_row(escape(row.name), *([pace_text(row.pace)] if paced else []), *_work(row))
    if len(rows) > 1:
        all_rows = _sum_of(rows)
        table.add_section()
        table.add_row(_all(len(rows)), *([""] if paced else []), *_work(all_rows))
    return table


def time_table(accounts: Sequence[IslandAccount]) -> Table:
    """Where the time of each island went, in percent of what its rounds took."""
    table = plain_table("island", *PHASES)
    for account in accounts[:MOST_ROWS]:
        table.add_row(escape(account.name), *_shares([account]))
    if len(accounts) > 1:
        table.add_section()
        table.add_row(_all(len(accounts)), *_shares(accounts))
    return table


def merge_table(accounts: Sequence[IslandAccount]) -> Table:
    """How stale the pushes of each island were, and what was made of them."""
    corrected = any(a.merges.shrunk or a.merges.rotated for a in accounts)
    refused = any(a.merges.refused for a in accounts)
    names = ["merged", "stale mean", "max", "weight"]
    names += ["kept", "shrunk", "rotated"] if corrected else []
    table = plain_table("island", *names, *(["refused"] if refused else []))
    for account in accounts[:MOST_ROWS]:
        table.add_row(escape(account.name), *_merges(account, corrected, refused))
    return table


def plain_table(first: str, *others: str) -> Table:
    """An open table: the first column of text, the others of numbers."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(first, no_wrap=True, overflow="ellipsis", min_width=8)
    for name in others:
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    return table


_WORK = ("rounds", "steps", "steps/s", "tokens", "waiting", "sent")


def _work(row: IslandRow) -> Iterable[str]:
    yield count_text(row.rounds)
    yield count_text(row.steps)
    yield rate_text(row.steps, row.seconds)
    yield count_text(row.tokens)
    yield "" if row.waited is None else f"{row.waited:.1%}"
    yield bytes_text(row.bytes_sent)


def _sum_of(rows: Sequence[IslandRow]) -> IslandRow:
    return IslandRow(
        name="",
        pace=1.0,
        rounds=sum(row.rounds for row in rows),
        steps=sum(row.steps for row in rows),
        tokens=sum(row.tokens for row in rows),
        seconds=max(row.seconds for row in rows),
        waited=None,
        bytes_sent=sum(row.bytes_sent for row in rows),
    )


def _all(num_islands: int) -> str:
    hidden = num_islands - MOST_ROWS
    return f"all ({hidden} more)" if hidden > 0 else "all"


def _shares(accounts: Sequence[IslandAccount]) -> Iterable[str]:
    spent_s = sum(sum(account.phase_s.values()) for account in accounts)
    for phase in PHASES:
        yield share_text(sum(account.phase_s[phase] for account in accounts), spent_s)


def _merges(account: IslandAccount, corrected: bool, refused: bool) -> Iterable[str]:
    merges = account.merges
    yield count_text(merges.merged)
    yield f"{merges.staleness.mean():.1f}" if merges.merged else ""
    yield f"{merges.staleness.max()}" if merges.merged else ""
    yield f"{merges.weight:.3f}" if merges.merged else ""
    if corrected:
        yield from (count_text(n) for n in (merges.kept, merges.shrunk, merges.rotated))
    if refused:
        yield count_text(merges.refused)
