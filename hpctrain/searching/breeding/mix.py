"""Several propagators at once: the one whose children did well lately gets the next candidate.

What works depends on the function and changes during a search: samplers find the valley,
differences and covariances follow it. Each worker learns from its own candidates alone, so workers
may come to different mixes, and the island is the more varied for it (compare probability matching
in adaptive operator selection, Thierens 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import numpy as np

from hpctrain.errors import ConfigError
from hpctrain.searching.population import Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record

POWER = 2.0  # of the mean credit; more of it goes to the best propagator the larger this is
MEMORY = 0.95  # of a propagator's credit, per candidate of its own
PRIOR = 0.5  # credit of a propagator that has not been tried, and what one candidate counts


class Mix:
    """A portfolio of propagators.

    The credit of a propagator is the mean place of its late children among the elites. One that
    pays off late may have an attribute `claim`: the share that it asks for besides.

    Args:
        propagators: each is asked in the share that its credit gives it.
        initial: makes the first candidates.
        num_initial: how many evaluations must be known before the propagators are asked.
        floor: the least share of each, so that none starves.
    """

    def __init__(
        self,
        propagators: Sequence[Propagator],
        initial: Propagator | None = None,
        num_initial: int = 0,
        floor: float = 0.1,
    ) -> None:
        if not propagators:
            raise ConfigError("a mix of no propagators; name at least one")
        if not 0 <= floor * len(propagators) <= 1:
            raise ConfigError(
                f"floor is {floor}, but {len(propagators)} propagators leave at most "
                f"{1 / len(propagators):.2f} for each"
            )
        self.propagators = tuple(propagators)
        self.initial = initial or propagators[0]
        self.num_initial = num_initial
        self.floor = floor
        self.needs = reduce(or_, (p.needs for p in (*propagators, self.initial)))
        self._observers = [propagator.observe for propagator in self.propagators]
        self._credit = [PRIOR] * len(propagators)
        self._weight = [1.0] * len(propagators)
        self._asked: dict[int, int] = {}
        self._finished: list[tuple[int, int]] = []

    @property
    def shares(self) -> list[float]:
        """The probability of each propagator to be asked next; their sum is 1."""
        merits = [(c / w) ** POWER for c, w in zip(self._credit, self._weight, strict=True)]
        claims = [getattr(propagator, "claim", 0.0) for propagator in self.propagators]
        claimed = sum(claims)
        if claimed > 1.0:
            claims = [claim / claimed for claim in claims]
        by_merit = max(1.0 - claimed, 0.0) / sum(merits)
        free = 1.0 - self.floor * len(merits)
        return [
            self.floor + free * (claim + merit * by_merit)
            for merit, claim in zip(merits, claims, strict=True)
        ]

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if number < self.num_initial or population.num_known < self.num_initial:
            return self.initial.breed(population, number, draws)
        for finished, chosen in self._finished:
            self._reward(chosen, _merit(population.elites, finished))
        self._finished.clear()
        chosen = self._choose(draws.random())
        self._asked.clear()  # a worker has one candidate at a time
        self._asked[number] = chosen
        return self.propagators[chosen].breed(population, number, draws)

    def observe(self, record: Record, made_by: str) -> None:
        for observe in self._observers:
            observe(record, made_by)
        if made_by and record.number in self._asked:
            self._finished.append((record.number, self._asked.pop(record.number)))

    def _choose(self, u: float) -> int:
        for i, share in enumerate(self.shares):
            u -= share
            if u < 0:
                return i
        return len(self.propagators) - 1

    def _reward(self, chosen: int, merit: float) -> None:
        self._credit[chosen] = MEMORY * self._credit[chosen] + merit
        self._weight[chosen] = MEMORY * self._weight[chosen] + 1.0


def _merit(elites: Sequence[Record], number: int) -> float:
    """1 for the best of all, falling to 0 for one that is not among the elites."""
    for place, record in enumerate(elites):
        if record.number == number:
            return (1.0 - place / len(elites)) ** 2 + 1e-9
    return 1e-9
