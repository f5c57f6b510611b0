"""Any propagator of the `propulate` package, in our search."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hpctrain.adapters.propulate_limits import Limits, Translation
from hpctrain.errors import ConfigError
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

Make = Callable[[Limits, random.Random], Any]
"""Makes a propagator of propulate from limits and the generator that it is to draw from."""


class UpstreamPropagator:
    """`Propagator` that asks one of propulate's.

    It is shown the elite and the newest evaluations that are known here, as individuals, in the
    order in which they ended. Its generator is set from the candidate's number.

    Args:
        space: of the search.
        make: makes the propagator; None: propulate's default for `population`.
        population: how many of the best it sees.
        recent: how many of the newest it sees.
    """

    def __init__(
        self,
        space: Space,
        make: Make | None = None,
        population: int = 20,
        recent: int = 0,
    ) -> None:
        self.needs = Needs(population, recent)
        self._translation = Translation(space)
        self._random = random.Random()
        make = make or default(population)
        self._propagator = make(self._translation.limits, self._random)

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        self._random.seed(int(draws.integers(2**63)))
        known = {record.number: record for record in (*population.elites, *population.recent)}
        shown = [
            self._translation.individual(known[key], 0)
            for key in sorted(known)
            if known[key].usable
        ]
        with _global_draws(int(draws.integers(2**32))):
            bred = self._propagator(shown)
        if isinstance(bred, list):
            if len(bred) != 1:
                raise ConfigError(
                    f"search.options.make: the propagator gave {len(bred)} individuals; it must "
                    "give one"
                )
            bred = bred[0]
        return self._translation.genome(bred), "propulate"

    def observe(self, record: Record, made_by: str) -> None:
        """Upstream propagators keep no state that depends on this."""


@contextmanager
def _global_draws(seed: int) -> Iterator[None]:
    """Some of propulate draws from numpy's global generator: lend it one, and take it back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002, TID251
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def default(population: int) -> Make:
    """Propulate's own default propagator."""
    from propulate.utils import get_default_propagator

    def make(limits: Limits, rng: random.Random) -> Any:
        return get_default_propagator(population, limits, rng=rng)

    return make
