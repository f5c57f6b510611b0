"""The best candidates: by the loss, or the Pareto front; and which were improvements in their time.

All losses are minimised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.tables import Array


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates in the order of merit.

    Attributes:
        rows: of the table of candidates; one per configuration if evaluations are averaged.
        losses: (rows, objectives), means if evaluations are averaged.
        times: evaluations behind each.
    """

    rows: Array
    losses: Array
    times: Array


def ranking(records: SearchRecords) -> Ranking:
    """The usable candidates by loss; of several objectives the Pareto front by the first one."""
    rows = np.flatnonzero(records.usable)
    losses, times = records.losses[rows], np.ones(len(rows), np.int64)
    if records.averages and len(rows):
        rows, losses, times = _averaged(records.genes[rows], rows, losses)
    if records.num_objectives > 1:
        kept = pareto(losses)[1]
        rows, losses, times = rows[kept], losses[kept], times[kept]
    order = np.lexsort((records.table["number"][rows], *losses.T[::-1]))
    return Ranking(rows[order], losses[order], times[order])


def improvements(records: SearchRecords) -> Array:
    """Which rows were better than all that had ended before.

    With several objectives: which rows none of these dominated.
    """
    found = np.zeros(len(records.genes), bool)
    rows = np.flatnonzero(records.usable)
    if not len(rows):
        return found
    if records.num_objectives > 1:
        found[rows] = pareto(records.losses[rows])[0]
        return found
    losses = records.losses[rows, 0]
    before = np.concatenate(([np.inf], np.minimum.accumulate(losses)[:-1]))
    found[rows] = losses < before
    return found


def pareto(losses: Array) -> tuple[Array, Array]:
    """Which rows no earlier row dominates or equals, and the indices of those that no row does.

    Args:
        losses: (rows, objectives), finite.
    """
    entered = np.zeros(len(losses), bool)
    front, members = np.empty((0, losses.shape[1])), np.empty(0, np.int64)
    for row, mine in enumerate(losses):
        if (front <= mine).all(axis=1).any():
            continue
        entered[row] = True
        stay = ~(mine <= front).all(axis=1)
        front = np.vstack((front[stay], mine))
        members = np.append(members[stay], row)
    return entered, members


def _averaged(genes: Array, rows: Array, losses: Array) -> tuple[Array, Array, Array]:
    """One row, the last, for each configuration, with the mean of its losses."""
    keys = np.nan_to_num(genes, nan=-np.inf)  # NaN would differ from itself
    _, inverse, times = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    sums = np.zeros((len(times), losses.shape[1]))
    np.add.at(sums, inverse, losses)
    last = np.zeros(len(times), np.int64)
    last[inverse] = rows  # of equal indices the last assignment stays
    return last, sums / times[:, None], times
