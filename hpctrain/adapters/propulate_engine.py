"""`engine = "propulate"`: the upstream package runs the search, unmodified, for comparison.

Its candidates are evaluated as ours are, and land in our run store; everything else (population,
messages, checkpoints, when it ends) is propulate's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any

from propulate import Islands
from propulate.utils import get_default_propagator

from hpctrain.adapters.propulate_limits import Translation
from hpctrain.searching.messages import Evaluate, Evaluation
from hpctrain.searching.space import Space

Evaluated = Callable[[Evaluate], Evaluation]


def run_upstream(
    space: Space,
    evaluate: Evaluated,
    generations: int,
    rank: int,
    size: int,
    *,
    num_islands: int = 1,
    population: int = 20,
    migration_probability: float = 0.0,
    pollination: bool = True,
    seed: int = 0,
    checkpoints: Path,
) -> None:
    """Run propulate's `Islands` on all ranks until each has evaluated `generations` candidates.

    Args:
        space: of the search.
        evaluate: evaluates a candidate and writes its row.
        generations: per rank, as propulate counts.
        rank: of this process; its candidates are numbered rank, rank + size, ...
        size: ranks in all.
        num_islands: as in propulate, like the next three.
        population: individuals to breed from.
        migration_probability: per evaluation.
        pollination: copies go, not individuals.
        seed: of this rank's generator.
        checkpoints: where propulate writes its checkpoints.
    """
    translation = Translation(space)
    numbers = iter(range(rank, generations * size, size))

    def loss_of(individual: Any) -> float:
        number = next(numbers)
        genome = translation.genome(individual)
        evaluation = evaluate(Evaluate(number, genome, space.decode(genome)))
        return evaluation.losses[0] if evaluation.outcome == "done" else inf

    rng = random.Random(seed)
    propagator = get_default_propagator(population, translation.limits, rng=rng)
    islands = Islands(
        loss_fn=loss_of,
        propagator=propagator,
        rng=rng,
        generations=generations,
        num_islands=num_islands,
        migration_probability=migration_probability,
        pollination=pollination,
        checkpoint_path=checkpoints,
    )
    islands.propulate(logging_interval=10**9, debug=-1)
