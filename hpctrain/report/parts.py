"""Which rows of a resumed run stand, so that nothing is counted twice.

A run that was killed goes on from its newest checkpoint, and does again what it had done after it.
Rows are only ever appended, so the work of that time is in the tables twice. The rule, for every
kind of row that has a counter (the number of a round, the version of a fragment, ...):

    a row stands if no later row of the same worker has the same count, or a lower one.

Times cannot tell it: the workers save themselves at different moments, so a row may carry a time
before that of the checkpoint and be redone all the same. Counts can: a worker that goes on from a
checkpoint goes on with the counts it had when it was saved.

Reports may share a step, so there only a lower count undoes. A refused push leaves the version of
its fragment as it was: it undoes nothing, and is undone with the versions around it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.report.tables import Array, Table, chosen, column, num_rows, total


@dataclass(frozen=True, slots=True)
class Count:
    """How rows of one kind are counted: `by` names the columns of rows that share a counter."""

    by: tuple[str, ...]
    counter: str
    ties: bool = False


COUNTS = {
    "round": Count(("worker",), "round"),
    "outer_update": Count(("worker", "fragment"), "version"),
    "correction": Count(("worker", "fragment", "tensor"), "version"),
    "evaluation": Count(("worker", "domain"), "round"),
    "report": Count(("worker", "name"), "step", ties=True),
    "report_text": Count(("worker", "name"), "step", ties=True),
}


@dataclass(frozen=True, slots=True)
class Redone:
    """Work that is in the tables and was lost: rounds that ended after the checkpoint."""

    rounds: int
    steps: int
    tokens: int


def standing(kind: str, table: Table) -> Table:
    """The rows of `table` that stand; all rows of a kind that has no counter."""
    return chosen(table, stands(kind, table)) if kind in COUNTS else table


def redone_work(rounds: Table) -> Redone:
    """What was done once more, from all rows of kind `round`."""
    lost = chosen(rounds, ~stands("round", rounds))
    return Redone(num_rows(lost), int(total(lost, "steps")), int(total(lost, "tokens")))


def stands(kind: str, table: Table) -> Array:
    """Mask of (rows,): does the row stand?"""
    count = COUNTS[kind]
    counter = column(table, count.counter)
    undoing = counter.copy()
    if "refused" in table:
        undoing[table["refused"] == 1] = np.inf
    mask = np.ones(num_rows(table), dtype=bool)
    for rows in _groups(table, count.by):
        lowest_later = _lowest_later(undoing[rows])
        here = counter[rows]
        mask[rows] = here <= lowest_later if count.ties else here < lowest_later
    return mask


def _lowest_later(counts: Array) -> Array:
    """For each row the minimum over the rows after it; infinite for the last."""
    shifted = np.append(counts[1:], np.inf)
    lowest: Array = np.minimum.accumulate(shifted[::-1])[::-1]
    return lowest


def _groups(table: Table, by: tuple[str, ...]) -> list[Array]:
    """Indices of the rows of every group, each in the order of writing."""
    if not num_rows(table):
        return []
    codes = np.stack([np.unique(table[name], return_inverse=True)[1] for name in by])
    group = np.unique(codes, axis=1, return_inverse=True)[1].ravel()
    order = np.argsort(group, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
