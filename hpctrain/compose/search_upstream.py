"""A search by the upstream propulate package, with our evaluations and our run store."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.compose.clock import RunClock
from hpctrain.compose.search_outcome import Found, SearchResult
from hpctrain.compose.search_setup import search_topology, upstream
from hpctrain.compose.start import together
from hpctrain.compose.stores import TimedNotebook, open_store
from hpctrain.core.seeds import stream
from hpctrain.errors import ConfigError
from hpctrain.searching.algorithm import with_usable_losses
from hpctrain.searching.messages import Evaluate, Evaluation
from hpctrain.searching.record import Record
from hpctrain.searching.rows import candidate_row
from hpctrain.searching.space import Space
from hpctrain.workers.candidate import Candidate, Place
from hpctrain.workers.objective import Objective, evaluate

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import World

FINISHED = "every rank has done its share"


def search_upstream(
    config: RunConfig, space: Space, objective: Objective, world: World
) -> SearchResult:
    """Collective. Run propulate's own loop; see `hpctrain.adapters.propulate_engine`.

    Raises:
        ConfigError: if something is asked for that propulate cannot do.
    """
    topology = together(world, lambda: search_topology(config, world))
    engine = together(world, lambda: _engine(config))
    search = config.search
    facts = {
        "space": space.describe(),
        "num_objectives": 1,
        "objective": search.objective,
        "propagator": "propulate's default, run by propulate",
    }
    store = open_store(config, world, topology, search=facts)
    clock, island = RunClock(), topology.worker_of(world.rank).island
    notebook = TimedNotebook(store, clock, world.rank, island)
    place = Place(world.rank, island, 0, 1, Path(config.run_dir))
    mine: list[Record] = []
    failed = 0

    def evaluated(order: Evaluate) -> Evaluation:
        nonlocal failed
        began_s = clock.now_s()
        candidate = Candidate(
            order.config, order.number, config.seed, place, _unheard, _unheard_alone
        )
        evaluation = with_usable_losses(evaluate(objective, candidate, search.timeout_s), 1)
        row = candidate_row(order, evaluation, 1, island, "propulate", began_s)
        notebook.note("candidate", row)
        if evaluation.outcome == "done":
            mine.append(Record(evaluation.losses[0], order.number, order.genome))
        else:
            failed += 1
        return evaluation

    assert search.stop.evaluations is not None
    engine.run_upstream(
        space,
        evaluated,
        ceil(search.stop.evaluations / world.size),
        world.rank,
        world.size,
        num_islands=search.islands,
        migration_probability=search.migration.probability if search.islands > 1 else 0.0,
        pollination=not search.migration.moves,
        seed=stream(config.seed, world.rank, "propulate"),
        checkpoints=Path(config.run_dir) / "propulate",
    )
    everyone = world.gather((min(mine, default=None), len(mine), failed))
    store.close()
    best = min((record for record, _, _ in everyone if record is not None), default=None)
    front = () if best is None else (Found(space.decode(best.genome), best.losses, best.number),)
    done, bad = sum(item[1] for item in everyone), sum(item[2] for item in everyone)
    return SearchResult(
        front, done, bad, 0, 0, 0, 0.0, clock.now_s(), FINISHED, Path(config.run_dir)
    )


def _engine(config: RunConfig) -> Any:
    search = config.search
    stop = search.stop
    if (
        stop.evaluations is None
        or stop.hours
        or stop.patience
        or stop.cost
        or stop.target is not None
    ):
        raise ConfigError(
            f"{config.source}: search.stop: propulate ends after a fixed number of evaluations per "
            'rank; give evaluations and nothing else, or use engine = "hpctrain"'
        )
    for key, value, allowed in (
        ("ranks_per_worker", search.ranks_per_worker, 1),
        ("objectives", search.objectives, 1),
        ("fidelity.rule", search.fidelity.rule, "none"),
        ("duplicates", search.duplicates, "reuse"),
        ("initial", list(search.initial), []),
        ("warm_start", list(search.warm_start), []),
    ):
        if value != allowed:
            raise ConfigError(
                f'{config.source}: search.{key}: {value!r} is not allowed with engine = "propulate"'
                f'; give {allowed!r}, or use engine = "hpctrain"'
            )
    if config.checkpoint.resume:
        raise ConfigError(
            f'{config.source}: checkpoint.resume: true is not allowed with engine = "propulate"; '
            "choose another run_dir"
        )
    return upstream(config.source, "propulate_engine")


def _unheard(number: int, step: int, value: float) -> None:
    """Propulate's surrogates are not used: values on the way change nothing."""


def _unheard_alone(number: int, step: int, value: float) -> str | None:
    return None
