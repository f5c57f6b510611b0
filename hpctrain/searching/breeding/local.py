"""Small and large steps of a few genes from one of the best: coordinate search with heavy tails.

Where the genes act on the loss one by one, as most hyperparameters nearly do, changing one of them
keeps what is good about the others. Step lengths are spread evenly in the logarithm, because the
right one is not known and changes on the way (compare the breeder genetic algorithm, Mühlenbein &
Schlierkamp-Voosen 1993, section 4). Parents are crossed first, so that what workers found at the
same time in different genes comes together.
"""

from __future__ import annotations

from math import exp, log

import numpy as np

from hpctrain.searching.breeding.initial import UniformSampling
from hpctrain.searching.breeding.unit import Steps, crossed
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

LOCAL = "local"  # `made_by`


class FewGeneSteps:
    """One of the best, or two of them crossed, with one gene changed, seldom more.

    Args:
        space: what is searched.
        parents: the parents are among so many of the best; the best is the likeliest.
        crossover: probability of crossing two parents.
        reset: share of the changes that draw the gene anew.
        several: probability of changing more than one gene.
        shortest: the shortest step, as a share of the range; the longest is the range.
        initial: makes candidates while nothing is known.
    """

    def __init__(
        self,
        space: Space,
        parents: int = 8,
        crossover: float = 0.7,
        reset: float = 0.2,
        several: float = 0.35,
        shortest: float = 1e-5,
        initial: Propagator | None = None,
    ) -> None:
        self.space = space
        self.needs = Needs(elites=max(parents, 2))
        self.parents = parents
        self.crossover = crossover
        self.reset = reset
        self.several = several
        self.initial = initial or UniformSampling(space)
        self._log_shortest = log(shortest)
        self._steps = Steps(space)

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if len(population.elites) < 2:
            return self.initial.breed(population, number, draws)
        elites = population.elites[: self.parents]
        return self.space.first_valid(lambda: self._child(elites, draws), draws), LOCAL

    def observe(self, record: Record, made_by: str) -> None:
        """All that matters is in the elite table."""

    def _child(self, elites: list[Record], draws: np.random.Generator) -> Genome:
        u = draws.random(8 + self.space.num_genes).tolist()
        mother = elites[int(len(elites) * u[0] ** 3)].genome
        genes = list(mother)
        if u[1] < self.crossover:
            genes = crossed(mother, elites[int(len(elites) * u[2])].genome, u[8:])
        self._change(genes, u[3], u[4], u[5], u[6])
        if u[7] < self.several:
            self._change(genes, *draws.random(4).tolist())
            while draws.random() < 0.5:
                self._change(genes, *draws.random(4).tolist())
        return self._steps.finish(genes, draws)

    def _change(self, genes: list[float], which: float, kind: float, far: float, to: float) -> None:
        """Change one gene; all arguments are in 0..1."""
        i = int(which * len(genes))
        x = genes[i]
        if x != x:
            return
        if kind < self.reset:
            genes[i] = self._steps.drawn(i, x, to)
        else:
            length = exp(self._log_shortest * far)
            genes[i] = self._steps.moved(
                i, x, length if kind > 0.5 + self.reset / 2 else -length, to
            )
