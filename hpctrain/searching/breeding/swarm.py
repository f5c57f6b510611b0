"""Particle swarm optimisation with constriction, in bounds (Clerc & Kennedy 2002).

    v = 0.7298 v + 1.4962 r_1 (own best - x) + 1.4962 r_2 (best of all - x)
    x = x + v

A worker moves a few particles in turn, the fewer the more workers there are; all of them follow the
best that any worker has found.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np

from hpctrain.searching.breeding.initial import UniformSampling
from hpctrain.searching.breeding.unit import filled, reflect
from hpctrain.searching.pareto import pareto_front
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

SWARM = "swarm"  # `made_by`
INERTIA, ATTRACTION = 0.7298, 1.4962
FEWEST = 2  # particles of a worker


@dataclass(slots=True)
class Particle:
    """Where it is and where to, in the unit cube, and the best that it has met."""

    x: list[float]
    v: list[float]
    best: Record | None = None
    best_x: list[float] | None = None


class Swarm:
    """A swarm of about `particles` particles in all workers together."""

    def __init__(
        self, space: Space, particles: int = 24, initial: Propagator | None = None
    ) -> None:
        self.space = space
        self.needs = Needs(elites=20)
        self.particles = particles
        self.initial = initial or UniformSampling(space)
        self._mine: list[Particle] = []
        self._turn = 0
        self._moved: tuple[int, Particle, Particle | None] | None = None
        self._num_own = 0
        self._num_all = 0

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if not population.elites or self._turn >= len(self._mine) < self._share():
            genome, made_by = self.initial.breed(population, number, draws)
            x = filled(self.space.to_unit(genome), draws)
            self._moved = (number, Particle(x, [u - 0.5 for u in _random(draws, len(x))]), None)
            return genome, made_by
        particle = self._mine[self._turn % len(self._mine)]
        guide = population.elites[0]
        if guide.more:
            guide = population.elites[int(draws.random() * len(population.elites))]

        target = filled(self.space.to_unit(guide.genome), draws)
        tried: list[Particle] = []

        def make() -> Genome:
            tried.append(_moved(particle, target, draws))
            return self.space.from_unit(tried[-1].x)

        genome = self.space.first_valid(make, draws)
        if self.space.constraint is not None:  # it may have been put elsewhere
            tried[-1].x = filled(self.space.to_unit(genome), draws)
        self._moved = (number, tried[-1], particle)
        return genome, SWARM

    def observe(self, record: Record, made_by: str) -> None:
        self._num_all += 1
        self._num_own += bool(made_by)
        if not made_by or self._moved is None or self._moved[0] != record.number:
            return
        _, particle, before = self._moved
        self._moved = None
        if record.usable and _as_good(record, particle.best):
            particle.best, particle.best_x = record, particle.x
        if before is None:
            self._mine.append(particle)
        else:
            self._mine[self._mine.index(before)] = particle
        self._turn += 1
        if self._turn >= len(self._mine) >= self._share():
            self._turn = 0

    def _share(self) -> int:
        """How many of the particles this worker moves."""
        part = self._num_own / self._num_all if self._num_all else 1.0
        return max(FEWEST, ceil(self.particles * part))


def _moved(particle: Particle, target: list[float], draws: np.random.Generator) -> Particle:
    """The particle after one step; at a wall it turns round."""
    num = len(particle.x)
    u = _random(draws, 2 * num)
    own = particle.best_x or particle.x
    x, v = [], []
    for i, (at, fast) in enumerate(zip(particle.x, particle.v, strict=True)):
        pull = u[i] * (own[i] - at) + u[num + i] * (target[i] - at)
        step = min(max(INERTIA * fast + ATTRACTION * pull, -1.0), 1.0)
        inside = 0.0 <= at + step <= 1.0
        x.append(reflect(at + step))
        v.append(step if inside else -step)
    return Particle(x, v, particle.best, particle.best_x)


def _as_good(record: Record, best: Record | None) -> bool:
    return best is None or record in pareto_front([record, best])


def _random(draws: np.random.Generator, count: int) -> list[float]:
    found: list[float] = draws.random(count).tolist()
    return found
