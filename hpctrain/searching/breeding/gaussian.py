"""Bayesian optimisation without batches: the expected improvement under a Gaussian process.

For evaluations that are dear: a candidate costs tens of milliseconds. Candidates that other workers
are evaluating count as evaluations with an average result (constant liar, Ginsbourger et al. 2010),
so that workers do not all try the same. Several objectives are weighted anew for each candidate
(ParEGO, Knowles 2006).
"""

from __future__ import annotations

from math import erf, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from hpctrain.searching.breeding.initial import EvenSampling
from hpctrain.searching.breeding.surrogate import (
    Hyperparameters,
    Process,
    default_hyperparameters,
    fitted,
)
from hpctrain.searching.breeding.unit import filled, reflect
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

Array = NDArray[np.float64]

GAUSSIAN = "gaussian"  # `made_by`
MOST_FITTED = 120  # points that the hyperparameters are fitted to
MOST_PENDING = 64
GROWTH = 1.25  # of the number of points, until the hyperparameters are fitted again
NUM_RANDOM, NUM_LOCAL, NUM_ROUNDS = 400, 200, 3  # candidates that are compared
PARENTS = 6


class GaussianProcess:
    """Candidates of large expected improvement.

    Args:
        space: what is searched.
        num_initial: evaluations before the process is used; two per gene if 0, at least 6.
        best: how many of the best points are used.
        newest: how many of the newest points are used.
        initial: makes the first candidates.
    """

    def __init__(
        self,
        space: Space,
        num_initial: int = 0,
        best: int = 150,
        newest: int = 150,
        initial: Propagator | None = None,
    ) -> None:
        self.space = space
        self.needs = Needs(elites=best, recent=newest, pending=True)
        self.num_initial = num_initial or max(6, 2 * space.num_genes)
        self.initial = initial or EvenSampling(space)
        self._features = _Features(space)
        self._hyper = default_hyperparameters(space.num_genes)
        self._num_fitted = 0

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if population.num_known < self.num_initial or len(population.elites) < 2:
            return self.initial.breed(population, number, draws)
        known = {record.number: record for record in (*population.elites, *population.recent)}
        records = list(known.values())
        x = self._features.of([record.genome for record in records])
        y = _standard(_scalar(records, draws))
        self._fit(x, y, draws)
        pending = [g for n, g in population.pending.items() if n != number][-MOST_PENDING:]
        if pending:
            x = np.vstack([x, self._features.of(pending)])
            y = np.append(y, np.zeros(len(pending)))
        process = Process(x, y, self._features.groups, self._hyper)
        parents = [records[i].genome for i in np.argsort(y[: len(records)])[:PARENTS]]
        return self._best_of(process, float(y.min()), parents, draws), GAUSSIAN

    def observe(self, record: Record, made_by: str) -> None:
        """All that matters is in the population."""

    def _fit(self, x: Array, y: Array, draws: np.random.Generator) -> None:
        """Fit the hyperparameters again if there are a quarter more points."""
        if len(y) < GROWTH * self._num_fitted:
            return
        self._num_fitted = len(y)
        chosen = np.argsort(y)[: MOST_FITTED // 2]
        if len(y) > len(chosen):
            rest = np.setdiff1d(np.arange(len(y)), chosen)
            chosen = np.append(chosen, draws.permutation(rest)[: MOST_FITTED - len(chosen)])
        other = default_hyperparameters(self.space.num_genes)
        starts = [self._hyper, Hyperparameters(other.lengths - 1.0, other.noise)]
        self._hyper = fitted(x[chosen], y[chosen], self._features.groups, starts)

    def _best_of(
        self, process: Process, least: float, parents: list[Genome], draws: np.random.Generator
    ) -> Genome:
        """The largest expected improvement among random ones, then among those near the best."""
        num_genes = self.space.num_genes
        found = [self.space.from_unit(u) for u in draws.random((NUM_RANDOM, num_genes)).tolist()]
        found += self._near(parents, NUM_LOCAL, draws)
        ranked: list[tuple[float, Genome]] = []
        for _ in range(NUM_ROUNDS):
            mean, deviation = process.predict(self._features.of(found))
            ranked += zip(_improvement(least, mean, deviation).tolist(), found, strict=True)
            ranked.sort(key=lambda pair: -pair[0])
            found = self._near([genome for _, genome in ranked[:PARENTS]], NUM_LOCAL, draws)
        allowed = (genome for _, genome in ranked if self.space.is_valid(genome))
        return next(allowed, None) or self.space.sample(draws)

    def _near(self, parents: list[Genome], count: int, draws: np.random.Generator) -> list[Genome]:
        """Children of the parents: some genes moved by steps of several lengths, options drawn."""
        num_genes = self.space.num_genes
        normal = draws.standard_normal((count, num_genes))
        normal *= 10.0 ** draws.uniform(-3.5, -0.5, (count, 1))
        normal *= draws.random((count, num_genes)) < draws.random((count, 1)) + 1.0 / num_genes
        other = draws.random((count, num_genes))
        children = []
        for i, (step, u) in enumerate(zip(normal.tolist(), other.tolist(), strict=True)):
            parent = filled(self.space.to_unit(parents[i % len(parents)]), draws)
            unit = [
                v if is_choice and move else reflect(at + move)
                for at, move, v, is_choice in zip(
                    parent, step, u, self.space.categorical, strict=True
                )
            ]
            children.append(self.space.from_unit(unit))
        return children


class _Features:
    """What distances are measured in: unit coordinates, and one column per option of a choice."""

    def __init__(self, space: Space) -> None:
        self._space = space
        groups: list[int] = []
        for i, is_choice in enumerate(space.categorical):
            groups += [i] * ((space.counts[i] or 1) if is_choice else 1)
        self.groups = np.array(groups, np.int64)

    def of(self, genomes: list[Genome]) -> Array:
        """(n, F); a numeric gene that does not apply is in the middle, a choice is no option."""
        genes = np.array(genomes)
        unit = self._space.to_units(genomes)
        columns = []
        for i, is_choice in enumerate(self._space.categorical):
            if is_choice:
                options = np.arange(self._space.counts[i] or 1)
                columns.append(sqrt(0.5) * (genes[:, i, None] == options))
            else:
                columns.append(np.where(np.isnan(unit[:, i]), 0.5, unit[:, i])[:, None])
        return np.hstack(columns)


def _scalar(records: list[Record], draws: np.random.Generator) -> Array:
    """One loss for each record, (n,); what failed is as bad as the worst."""
    losses = np.array([record.losses for record in records])
    usable = np.isfinite(losses).all(axis=1)
    losses[~usable] = losses[usable].max(axis=0)
    if losses.shape[1] == 1:
        return np.asarray(losses[:, 0])
    span = np.ptp(losses, axis=0)
    scaled = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
    weights = draws.dirichlet(np.ones(losses.shape[1]))
    return np.asarray((scaled * weights).max(axis=1) + 0.05 * scaled @ weights)


def _standard(losses: Array) -> Array:
    """Mean 0 and variance 1, after a logarithm of the distance from the best.

    Losses have a long tail upwards; what is a hundred times worse than the median should not set
    the scale.
    """
    above = losses - losses.min()
    typical = float(np.median(above)) or float(above.max()) or 1.0
    y = np.log(above + 0.1 * typical)
    spread = float(y.std())
    return np.asarray((y - y.mean()) / (spread if spread > 0 else 1.0))


def _improvement(least: float, mean: Array, deviation: Array) -> Array:
    """Expected improvement below `least` (Jones et al. 1998, equation 15)."""
    z = (least - mean) / deviation
    density = np.exp(-0.5 * z * z) / sqrt(2 * pi)
    below = 0.5 * (1.0 + _erf(z / sqrt(2.0)))
    return np.asarray(deviation * (z * below + density))


def _erf(x: Array) -> Array:
    return np.array([erf(value) for value in x.tolist()])
