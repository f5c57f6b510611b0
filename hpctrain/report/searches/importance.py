"""How much each parameter matters, from the evaluations that there are.

A forest of random trees learns the rank of the loss from the parameters. Then each parameter in
turn is shuffled among the candidates to which it applies, and the loss is predicted again by the
trees that have not seen the candidate. Half of what the squared error grows by, as a share of the
variance, estimates the parameter's total effect (Jansen, Comput. Phys. Commun. 117, 1999): that of
the parameter alone and of all its interactions. Ranks, because losses span orders of magnitude.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.report.searches.forest import Forest, grow
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.searches.space import Parameter
from hpctrain.report.tables import Array

FEWEST = 30  # evaluations, and this many
FEWEST_PER_PARAMETER = 5
MOST = 1000  # evaluations that are looked at
MOST_OPTIONS = 20  # of a choice that are told apart
SHUFFLES = 5
LEAST_EXPLAINED = 0.1


@dataclass(frozen=True, slots=True)
class Importance:
    """What the parameters explain.

    Attributes:
        effects: total effect of each parameter, as a share of the variance of the ranks; empty if
            nothing can be said. What is below `noise` cannot be told from chance.
        noise: the effect that shuffling seems to have on nothing at all.
        explained: share of the variance that the trees predict of candidates they have not seen.
        evaluations: that it was computed from.
        of: how many there were.
        why_not: why nothing can be said.
    """

    effects: tuple[tuple[str, float], ...]
    noise: float
    explained: float
    evaluations: int
    of: int
    why_not: str = ""


def importance(records: SearchRecords, objective: int = 0) -> Importance:
    """The importance of every parameter for one objective; always the same for the same rows."""
    all_rows = np.flatnonzero(records.usable)
    genes = [records.parameters[name] for name in records.names]
    needed = max(FEWEST, FEWEST_PER_PARAMETER * len(genes))
    if len(all_rows) < needed or not genes:
        return _unknown(all_rows, 0.0, f"not enough evaluations: {len(all_rows)} of {needed}")
    rows = _some(all_rows)
    losses = records.losses[rows, objective]
    if losses.min() == losses.max():
        return _unknown(all_rows, 0.0, "all evaluations gave the same loss")
    x, owner = _columns(genes, records.genes[rows])
    return _measured(records.names, x, owner, _ranks(losses), len(all_rows))


def _measured(names: tuple[str, ...], x: Array, owner: Array, y: Array, of: int) -> Importance:
    draws = np.random.default_rng(0)
    noise = draws.random((len(y), 1))
    x, owner = np.hstack((x, noise)), np.append(owner, len(names))
    forest = grow(x, y, draws)
    error = float(np.mean((y - forest.predict(x)) ** 2))
    explained = float(1 - error / y.var())
    if explained < LEAST_EXPLAINED:
        why = (
            f"not enough evaluations for this function: from {len(y):,} of them the parameters "
            f"explain {max(explained, 0):.0%} of the others"
        )
        return Importance((), 0.0, explained, len(y), of, why)
    effects = [
        _effect(forest, x, np.flatnonzero(owner == gene), y, error, draws)
        for gene in range(len(names) + 1)
    ]
    found = sorted(zip(names, effects, strict=False), key=lambda pair: -pair[1])
    return Importance(tuple(found), effects[-1], explained, len(y), of)


def _effect(
    forest: Forest, x: Array, columns: Array, y: Array, error: float, draws: np.random.Generator
) -> float:
    """Half the growth of the squared error by shuffling `columns` together, per variance."""
    applies = np.flatnonzero(x[:, columns].max(axis=1) >= 0)
    grown = 0.0
    for _ in range(SHUFFLES):
        shuffled = x.copy()
        other = draws.permutation(applies)
        shuffled[applies[:, None], columns] = x[other[:, None], columns]
        grown += float(np.mean((y - forest.predict(shuffled)) ** 2)) - error
    return float(max(grown / SHUFFLES / 2 / y.var(), 0.0))


def _columns(genes: list[Parameter], values: Array) -> tuple[Array, Array]:
    """What the trees see, and the gene that each column is of.

    Numbers are in 0..1; a choice has a column of 0 and 1 per option; -1: it does not apply.
    """
    columns, owner = [], []
    for place, gene in enumerate(genes):
        mine = _of_choice(gene, values[:, place]) if gene.kind == "choice" else [
            gene.unit(values[:, place])
        ]  # fmt: skip
        columns += [np.nan_to_num(column, nan=-1.0) for column in mine]
        owner += [place] * len(mine)
    return np.stack(columns, axis=1), np.array(owner)


def _of_choice(gene: Parameter, values: Array) -> list[Array]:
    """The most frequent options, each against all others; two options need one column."""
    present, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    frequent = present[np.argsort(-counts, kind="stable")][:MOST_OPTIONS]
    told = frequent[:-1] if len(frequent) == len(present) == 2 else frequent
    lacking = np.isnan(values)
    return [np.where(lacking, np.nan, (values == option) * 1.0) for option in told]


def _ranks(losses: Array) -> Array:
    """Ranks in 0..1; equal losses have the mean of their ranks."""
    _, inverse, counts = np.unique(losses, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[inverse] / len(losses))


def _some(rows: Array) -> Array:
    if len(rows) <= MOST:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST, replace=False))


def _unknown(rows: Array, explained: float, why: str) -> Importance:
    return Importance((), 0.0, explained, len(rows), len(rows), why)
