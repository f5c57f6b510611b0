"""Extremely randomised regression trees (Geurts, Ernst, Wehenkel, Machine Learning 63, 2006).

All trees grow at once, level by level, in a few numpy operations per level. Each tree learns from a
random part of the rows; predictions are made by the trees that did not learn from a row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.report.tables import Array

NUM_TREES = 48
LEARNED = 0.63  # share of the rows that a tree learns from
SMALLEST_LEAF = 3
MOST_LEVELS = 14


@dataclass(frozen=True, slots=True)
class Level:
    """The splits of all nodes of one level; nodes of all trees are numbered through.

    Attributes:
        column: that the node splits by; -1: it is a leaf.
        threshold: values above it go to the second child.
        child: number of the first child on the next level; the second one follows it.
        mean: of the targets in the node.
    """

    column: Array
    threshold: Array
    child: Array
    mean: Array


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees that have been grown, and which rows each of them learned from (trees, rows)."""

    levels: tuple[Level, ...]
    learned: Array

    def predict(self, x: Array) -> Array:
        """For each row (rows, columns) the mean of the trees that did not learn from it."""
        trees, rows = self.learned.shape
        node = np.repeat(np.arange(trees), rows)
        row = np.tile(np.arange(rows), trees)
        told = np.zeros(trees * rows)
        here = np.arange(trees * rows)
        for level in self.levels:
            told[here] = level.mean[node]
            inner = level.column[node] >= 0
            here, node, row = here[inner], node[inner], row[inner]
            above = x[row, level.column[node]] > level.threshold[node]
            node = level.child[node] + above
        apart = ~self.learned
        told_by = told.reshape(trees, rows) * apart
        return np.asarray(told_by.sum(axis=0) / np.maximum(apart.sum(axis=0), 1))


def grow(x: Array, y: Array, draws: np.random.Generator) -> Forest:
    """Grow the trees.

    Args:
        x: (rows, columns), finite.
        y: (rows,), finite.
        draws: decides what is left to chance.
    """
    learned = draws.random((NUM_TREES, len(y))) < LEARNED
    node, row = np.nonzero(learned)
    levels = []
    num_nodes = NUM_TREES
    for depth in range(MOST_LEVELS + 1):
        level = _split(x, y, node, row, num_nodes, draws, depth == MOST_LEVELS)
        levels.append(level)
        inner = level.column[node] >= 0
        node, row = node[inner], row[inner]
        num_nodes = 2 * int((level.column >= 0).sum())
        if not num_nodes:
            break
        node = level.child[node] + (x[row, level.column[node]] > level.threshold[node])
    return Forest(tuple(levels), learned)


def _split(
    x: Array, y: Array, node: Array, row: Array, num_nodes: int, draws: np.random.Generator,
    last: bool,
) -> Level:  # fmt: skip
    """The best of one random threshold per column, for all nodes of a level."""
    target = y[row]
    count = np.bincount(node, minlength=num_nodes)
    total = np.bincount(node, target, num_nodes)
    best = np.zeros(num_nodes)
    column, threshold = np.full(num_nodes, -1), np.zeros(num_nodes)
    for candidate in range(0 if last else x.shape[1]):
        values = x[row, candidate]
        cut = _random_cuts(values, node, num_nodes, draws)
        gain = _gain(values > cut[node], node, target, count, total, num_nodes)
        better = gain > best
        best[better], column[better], threshold[better] = gain[better], candidate, cut[better]
    inner = column >= 0
    child = np.where(inner, 2 * (np.cumsum(inner) - 1), -1)
    return Level(column, threshold, child, total / np.maximum(count, 1))


def _random_cuts(values: Array, node: Array, num_nodes: int, draws: np.random.Generator) -> Array:
    low, high = np.full(num_nodes, np.inf), np.full(num_nodes, -np.inf)
    np.minimum.at(low, node, values)
    np.maximum.at(high, node, values)
    spread = np.where(high > low, high - low, 0.0)
    return np.asarray(np.where(spread > 0, low, 0.0) + draws.random(num_nodes) * spread)


def _gain(
    above: Array, node: Array, target: Array, count: Array, total: Array, num_nodes: int
) -> Array:
    """The variance between the children, as a sum of squares; 0 if one would be too small."""
    num_above = np.bincount(node[above], minlength=num_nodes)
    num_below = count - num_above
    sum_above = np.bincount(node[above], target[above], num_nodes)
    sum_below = total - sum_above
    allowed = np.minimum(num_above, num_below) >= SMALLEST_LEAF
    gain = (
        sum_above**2 / np.maximum(num_above, 1)
        + sum_below**2 / np.maximum(num_below, 1)
        - total**2 / np.maximum(count, 1)
    )
    return np.where(allowed, np.maximum(gain, 1e-12), 0.0)
