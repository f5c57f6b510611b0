"""Differential evolution without generations, on the elite table (Storn & Price 1997).

A child is one of the best, some of whose genes are replaced by

    x + F (p - x) + F (a - b)       current-to-pbest/1 (JADE, Zhang & Sanderson 2009, eq. 6)
    a + F (b - c)                   rand/1

all among the elites; whoever is better than the last of the elites takes part in the next. F and
the share of genes CR are drawn for each child, since the good ones depend on the function.
"""

from __future__ import annotations

import numpy as np

from hpctrain.searching.breeding.initial import UniformSampling
from hpctrain.searching.breeding.unit import filled, reflect
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

DIFFERENTIAL = "differential"  # `made_by`
FEWEST_PARENTS = 5


class Differential:
    """Differences between the best, added to one of them.

    Args:
        space: what is searched.
        population: how many of the best take part; so many are drawn at first.
        to_best: the share of children that are drawn to one of the best, by the first formula.
        initial: makes the candidates without parents at the beginning.
    """

    def __init__(
        self,
        space: Space,
        population: int = 24,
        to_best: float = 0.5,
        initial: Propagator | None = None,
    ) -> None:
        self.space = space
        self.population = max(population, FEWEST_PARENTS)
        self.needs = Needs(elites=self.population)
        self.to_best = to_best
        self.initial = initial or UniformSampling(space)

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if population.num_known < self.population or len(population.elites) < FEWEST_PARENTS:
            return self.initial.breed(population, number, draws)
        elites = population.elites[: self.population]
        return self.space.first_valid(lambda: self._child(elites, draws), draws), DIFFERENTIAL

    def observe(self, record: Record, made_by: str) -> None:
        """All that matters is in the elite table."""

    def _child(self, elites: list[Record], draws: np.random.Generator) -> Genome:
        space, num = self.space, self.space.num_genes
        u = draws.random(6 + 2 * num).tolist()
        x, a, b, p = (space.to_unit(elites[i].genome) for i in _four(len(elites), u))
        f = 0.1 + 0.9 * u[4]
        share = (0.1, 0.5, 0.9)[int(3 * u[5])]
        sure = int(u[5] * 977 % 1.0 * num)
        towards = u[4] * 977 % 1.0 < self.to_best
        child = list(x)
        for i, v in enumerate(u[6 : 6 + num]):
            if i != sure and v >= share:
                continue
            if space.categorical[i]:
                child[i] = (p if towards else a)[i]
            elif towards:
                child[i] = reflect(x[i] + f * (p[i] - x[i]) + f * (a[i] - b[i]))
            else:
                child[i] = reflect(p[i] + f * (a[i] - b[i]))
        if space.has_conditions:
            child = filled(child, draws)
        return space.from_unit(child)


def _four(count: int, u: list[float]) -> list[int]:
    """Four different places: three anywhere, and one that favours the first."""
    chosen = [int(count * u[3] ** 2)]
    for v in u[:3]:
        place = int(v * (count - len(chosen)))
        for taken in sorted(chosen):
            place += place >= taken
        chosen.append(place)
    return [chosen[1], chosen[2], chosen[3], chosen[0]]
