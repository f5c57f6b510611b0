"""The one signature of everything that makes candidates: operators, mixes, and other people's."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Genome, Record


class Propagator(Protocol):
    """Makes the next candidate from what a worker knows.

    There is one object per worker; it may keep a state, which it can build again from the records
    that it observes. It draws from nothing but the generator it is given, which is keyed by the
    candidate's number: so a candidate that depends on no population is the same at any number of
    workers.

    Attributes:
        needs: how much of the population it looks at.
    """

    needs: Needs

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        """The genome of candidate `number`, within the space, and who made it (for the record)."""
        ...

    def observe(self, record: Record, made_by: str) -> None:
        """A finished evaluation became known; `made_by` is empty if another worker made it."""
        ...
