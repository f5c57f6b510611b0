"""A few workers that share everything after each round, to try propagators on small problems."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from hpctrain.searching.population import Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

Losses = Callable[[dict], float | tuple[float, ...]]


def draws_of(number: int, attempt: int = 0) -> np.random.Generator:
    """Draws keyed by the candidate's number, as in a search."""
    return np.random.Generator(np.random.Philox(key=7, counter=[0, attempt, number, 0]))


@dataclass
class Sharing:
    """Workers that take turns: all breed from what was known before the round."""

    space: Space
    make: Callable[[], Propagator]
    losses: Losses
    num_workers: int = 1
    makers: list[str] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workers = [self.make() for _ in range(self.num_workers)]
        self.population = Population(self.workers[0].needs)

    def search(self, evaluations: int) -> "Sharing":
        while len(self.records) < evaluations:
            self._share(list(self._bred()))
        return self

    @property
    def best(self) -> float:
        return min(record.loss for record in self.records)

    @property
    def genomes(self) -> list[Genome]:
        return [record.genome for record in self.records]

    def _bred(self) -> Iterator[tuple[Record, str]]:
        for number, worker in enumerate(self.workers, len(self.records)):
            genome, made_by = worker.breed(self.population, number, draws_of(number))
            self.population.pending[number] = genome
            losses = self.losses(self.space.decode(genome))
            first, *more = losses if isinstance(losses, tuple) else (losses,)
            yield Record(first, number, genome, tuple(more)), made_by

    def _share(self, news: list[tuple[Record, str]]) -> None:
        for place, (record, made_by) in enumerate(news):
            self.records.append(record)
            self.makers.append(made_by)
            self.population.add(record)
            for i, worker in enumerate(self.workers):
                worker.observe(record, made_by if i == place else "")
