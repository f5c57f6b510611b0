"""Fronts of several objectives: who dominates whom, and who stands alone (NSGA-II, Deb 2002)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np

from hpctrain.searching.record import Record


def fronts(records: Sequence[Record]) -> list[list[Record]]:
    """Non-dominated sorting: the Pareto front, then the front of the rest, and so on."""
    if not records:
        return []
    losses = np.array([record.losses for record in records])
    no_worse = np.all(losses[:, None, :] <= losses[None, :, :], axis=2)
    better = np.any(losses[:, None, :] < losses[None, :, :], axis=2)
    dominates = np.asarray(no_worse & better)
    num_above = dominates.sum(axis=0)
    found: list[list[Record]] = []
    left = np.ones(len(records), bool)
    while left.any():
        front = np.flatnonzero(left & (num_above == 0)).tolist()
        found.append([records[i] for i in front])
        left[front] = False
        num_above = num_above - dominates[front].sum(axis=0)
    return found


def pareto_front(records: Sequence[Record]) -> list[Record]:
    """The records that no other one dominates, by the first objective."""
    return sorted(fronts(records)[0]) if records else []


def crowding(front: Sequence[Record]) -> list[float]:
    """The crowding distance of each record within its front; infinite at the ends."""
    losses = np.array([record.losses for record in front])
    distance = np.zeros(len(front))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[0]] = distance[order[-1]] = inf
        if span > 0 and len(front) > 2:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return [float(apart) for apart in distance]
