"""Candidates that depend on no population: drawn at random, or spread evenly over the space."""

from __future__ import annotations

import numpy as np

from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

UNIFORM, EVEN = "uniform", "even"  # `made_by`
MOST_SHIFTS = 2**31  # so that the number times a step keeps its fraction in a float64


class UniformSampling:
    """Random search: each candidate is drawn evenly from the space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.needs = Needs(elites=1)

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        return self.space.sample(draws), UNIFORM

    def observe(self, record: Record, made_by: str) -> None:
        """Nothing is learnt."""


class EvenSampling:
    """The additive recurrence R_d: candidate n is at `shift + n steps`, each modulo 1.

    The steps are powers of 1/phi_d, where phi_d is the root of x^(d+1) = x + 1 (Roberts 2018, "The
    unreasonable effectiveness of quasirandom sequences"): the golden ratio in one dimension. Any
    first n candidates are spread evenly. If a candidate is asked for once more, because it is
    forbidden or known already, it is drawn at random.
    """

    def __init__(self, space: Space, seed: int = 0) -> None:
        self.space = space
        self.needs = Needs(elites=1)
        root = _root(space.num_genes)
        self._steps = [root ** -(i + 1) for i in range(space.num_genes)]
        self._shift = np.random.Generator(np.random.Philox(seed)).random(space.num_genes).tolist()
        self._last = -1

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if number != self._last:
            self._last = number
            genome = self.at(number)
            if self.space.is_valid(genome):
                return genome, EVEN
        return self.space.sample(draws), EVEN

    def at(self, number: int) -> Genome:
        """The place of candidate `number`, whatever the constraint says."""
        n = number % MOST_SHIFTS
        unit = [(s + n * a) % 1.0 for s, a in zip(self._shift, self._steps, strict=True)]
        return self.space.from_unit(unit)

    def observe(self, record: Record, made_by: str) -> None:
        """Nothing is learnt."""


def _root(num_dims: int) -> float:
    """The positive root of x^(d+1) = x + 1, by fixed-point iteration."""
    x = 2.0
    for _ in range(64):
        x = (1.0 + x) ** (1.0 / (num_dims + 1))
    return x
