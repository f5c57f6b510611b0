"""Tables about islands, for the end of a run and for `hpctrain show`; they fit 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from rich import box
from rich.markup import escape
from rich.table import Table

from hpctrain.report.accounts import PHASES, IslandAccount, Merges
from hpctrain.report.words import (
    bytes_text,
    count_text,
    mean_text,
    pace_text,
    rate_text,
    share_text,
)

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


def merge_table(accounts: Sequence[IslandAccount], in_time: bool = True) -> Table:
    """How stale the pushes of each island were, and what was made of them.

    Args:
        accounts: of all islands.
        in_time: whether all that an island pushed is in its account, so that the weight that it
            had in a second of the run can be told.
    """
    shown, compared = dict(_MERGED), is_compared(accounts)
    if compared and in_time:
        shown["weight/s"] = lambda did: f"{did.weight_per_s:.3f}"
    if corrects(accounts) and not compared:
        shown |= _COUNTED
    if any(account.merges.refused for account in accounts):
        shown["refused"] = lambda did: count_text(did.refused)
    return _table_of(accounts, shown)


def momentum_table(accounts: Sequence[IslandAccount]) -> Table:
    """How the pushes of each island met the outer momentum, and what was done about it."""
    return _table_of(accounts, _COMPARED | (_CORRECTED if corrects(accounts) else {}))


def is_compared(accounts: Sequence[IslandAccount]) -> bool:
    """Whether pushes met an outer momentum with which they could be compared."""
    return any(isfinite(account.merges.cosine) for account in accounts)


def corrects(accounts: Sequence[IslandAccount]) -> bool:
    """Whether a tensor was not merged as it came."""
    return any(account.merges.shrunk or account.merges.rotated for account in accounts)


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


def _with_domain(account: IslandAccount) -> str:
    """An island whose data have a name of their own is shown with it."""
    domain = account.domain
    return account.name if domain in ("", account.name) else f"{account.name}: {domain}"


def _table_of(accounts: Sequence[IslandAccount], shown: Mapping[str, Cell]) -> Table:
    table = plain_table("island", *shown)
    for account in accounts[:MOST_ROWS]:
        table.add_row(
            escape(_with_domain(account)), *(cell(account.merges) for cell in shown.values())
        )
    return table


def _percent(count: int, did: Merges) -> str:
    tensors = did.kept + did.shrunk + did.rotated
    return f"{count / tensors:.0%}" if tensors else ""


Cell = Callable[[Merges], str]
_MERGED: dict[str, Cell] = {
    "merged": lambda did: count_text(did.merged),
    "stale mean": lambda did: mean_text(did.stale_mean, 1),
    "max": lambda did: f"{did.staleness.max()}" if did.merged else "",
    "weight": lambda did: mean_text(did.weight, 3),
}
_COMPARED: dict[str, Cell] = {
    "cosine": lambda did: mean_text(did.cosine, 2),
    "gain": lambda did: mean_text(did.gain, 2),
}
_COUNTED: dict[str, Cell] = {
    "kept": lambda did: count_text(did.kept),
    "shrunk": lambda did: count_text(did.shrunk),
    "rotated": lambda did: count_text(did.rotated),
}
_CORRECTED: dict[str, Cell] = {
    "kept": lambda did: _percent(did.kept, did),
    "shrunk": lambda did: _percent(did.shrunk, did),
    "rotated": lambda did: _percent(did.rotated, did),
}
