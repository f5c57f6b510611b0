"""The genetic operators of Propulate's default, on the elite table (arXiv 2301.08713, section 3).

Differences on purpose: the crossover probability is one, choices mutate to any other option,
everything stays in bounds, and steps are taken on the scale of the parameter (log or linear).
"""

from __future__ import annotations

import numpy as np

from hpctrain.searching.breeding.initial import UNIFORM, UniformSampling
from hpctrain.searching.breeding.unit import Steps, crossed
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

GENETIC = "genetic"  # `made_by`


class Genetic:
    """Two of the best `population`, crossed, mutated at a point, and moved a little.

    Args:
        space: what is searched.
        population: how many of the best may become parents; so many are drawn at first.
        crossover: probability of taking each gene from either parent, else all from the first.
        mutation: probability that one gene is drawn anew.
        random_init: probability of a candidate that has no parents.
        sigma: standard deviation of the step of one numeric gene, as a share of its range.
        initial: makes the candidates without parents at the beginning.
    """

    def __init__(
        self,
        space: Space,
        population: int = 20,
        crossover: float = 0.7,
        mutation: float = 0.4,
        random_init: float = 0.1,
        sigma: float = 0.05,
        initial: Propagator | None = None,
    ) -> None:
        self.space = space
        self.needs = Needs(elites=population)
        self.population = population
        self.crossover = crossover
        self.mutation = mutation
        self.random_init = random_init
        self.sigma = sigma
        self.initial = initial or UniformSampling(space)
        self._steps = Steps(space)
        self._may_stay = bool(self._steps.numeric)

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if population.num_known < self.population or len(population.elites) < 2:
            return self.initial.breed(population, number, draws)
        if draws.random() < self.random_init:
            return self.space.sample(draws), UNIFORM
        elites = population.elites[: self.population]
        return self.space.first_valid(lambda: self._child(elites, draws), draws), GENETIC

    def observe(self, record: Record, made_by: str) -> None:
        """All that matters is in the elite table."""

    def _child(self, elites: list[Record], draws: np.random.Generator) -> Genome:
        steps, num_genes = self._steps, self.space.num_genes
        u = draws.random(8 + num_genes).tolist()
        mother, father = two_of(elites, u[0], u[1])
        genes = list(mother.genome)
        if u[2] < self.crossover:
            genes = crossed(mother.genome, father.genome, u[8:])
        if u[3] < self.mutation or not self._may_stay:
            i = int(u[4] * num_genes)
            if genes[i] == genes[i]:
                genes[i] = steps.drawn(i, genes[i], u[5])
        if steps.numeric:
            i = steps.numeric[int(u[6] * len(steps.numeric))]
            if genes[i] == genes[i]:
                genes[i] = steps.moved(i, genes[i], self.sigma * draws.standard_normal(), u[7])
        return steps.finish(genes, draws)


def two_of(records: list[Record], u: float, v: float) -> tuple[Record, Record]:
    """Two different records, each pair as likely, by `u` and `v` in 0..1."""
    first = int(u * len(records))
    second = int(v * (len(records) - 1))
    return records[first], records[second + (second >= first)]
