"""From settings to the objects of a search."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from hpctrain.config.rules import BUDGETS
from hpctrain.core.gate import ALWAYS_OPEN, Gate
from hpctrain.core.topology import Topology, plan_topology
from hpctrain.errors import ConfigError
from hpctrain.searching.breeding.make import make_propagator
from hpctrain.searching.fidelity import Fidelity, MedianRule, SuccessiveHalving
from hpctrain.searching.history import History
from hpctrain.searching.knowledge import SMALL_SPACE
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.space import Constraint, Space
from hpctrain.searching.stop import Stop
from hpctrain.searching.travel import Travel
from hpctrain.workloads.factory import resolve

if TYPE_CHECKING:
    from hpctrain.compose.energy_limits import EnergyLimits
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import World
    from hpctrain.workers.objective import Objective

OWN = "__main__:objective"  # given in Python


def search_config(
    space: Space, settings: Mapping[str, Any], objective: Objective | None = None
) -> RunConfig:
    """The keywords of `hpctrain.search` as the settings of a run; `objective` for its name.

    Raises:
        ConfigError: one line for everything that is not allowed.
    """
    from hpctrain.config import SearchConfig, build_config

    values: dict[str, Any] = {"run_dir": "runs/search", "name": "search"}
    search: dict[str, Any] = {"space": space.describe(), "objective": _name_of(objective)}
    for key, value in settings.items():
        if key == "resume":
            values["checkpoint"] = {**values.get("checkpoint", {}), "resume": value}
        elif key == "progress" and isinstance(value, str):
            values["progress"] = {"show": value}
        elif key == "stop":
            search["stop"] = _as_table(value)
        elif key in SearchConfig.model_fields:
            search[key] = value
        else:
            values[key] = value
    values["search"] = search
    return build_config(values, "hpctrain.search()")


def _name_of(objective: object) -> str:
    """For people and for `run.json`; a lambda has no name to speak of."""
    name = f"{getattr(objective, '__module__', '')}:{getattr(objective, '__qualname__', '')}"
    return name if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", name) else OWN


def objective_of(config: RunConfig, space: Space) -> Objective:
    """The objective that the settings name.

    Raises:
        ConfigError: if there is none of that name.
    """
    if config.search.objective == "train":
        from hpctrain.compose.search_train import training_objective

        return training_objective(config, space)
    return resolve(config.search.objective, "search.objective", config.source)


def search_topology(config: RunConfig, world: World) -> Topology:
    """Workers and islands of a search.

    Raises:
        ConfigError: if the ranks cannot be divided as asked.
    """
    search, size = config.search, world.size
    if size % search.ranks_per_worker:
        raise ConfigError(
            f"{config.source}: search.ranks_per_worker: {search.ranks_per_worker} does not divide "
            f"the {size} ranks that were started"
        )
    workers = size // search.ranks_per_worker
    if search.islands > workers:
        raise ConfigError(
            f"{config.source}: search.islands: {search.islands} islands need as many workers, but "
            f"{size} ranks make {workers}; give at most {workers}"
        )
    cuts = [workers * i // search.islands for i in range(search.islands + 1)]
    per = search.ranks_per_worker
    groups = [range(a * per, b * per) for a, b in pairwise(cuts)]
    return plan_topology(world.hosts(), [list(group) for group in groups], per)


def space_of(config: RunConfig) -> Space:
    """The space of `[search.space]`.

    Raises:
        ConfigError: with a line for each thing that is wrong in it.
    """
    search = config.search
    constraint = None
    if search.constraint is not None:
        constraint = cast(
            Constraint, resolve(search.constraint, "search.constraint", config.source)
        )
    return Space.from_table(search.space, f"{config.source}: search.space", constraint)


def check_end(config: RunConfig, space: Space, allocation_s: float) -> None:
    """Refuse a search that nothing ends.

    Raises:
        ConfigError: with what would end it.
    """
    search = config.search
    finite = space.num_allowed(SMALL_SPACE) is not None and search.duplicates == "reuse"
    ends = Stop(**search.stop.model_dump()).ends
    ends |= any(getattr(config.energy, key) is not None for key in BUDGETS)
    if allocation_s == inf and not finite and not ends:
        raise ConfigError(
            f"{config.source}: search.stop: nothing is sure to end this search; give evaluations, "
            "hours, patience or cost"
        )


def settings_of(
    config: RunConfig,
    space: Space,
    history: History,
    allocation_s: float,
    limits: EnergyLimits | None = None,
    gate: Gate = ALWAYS_OPEN,
) -> SearchSettings:
    """Everything that the algorithm is told.

    Raises:
        ConfigError: if a propagator, a candidate to begin with or the traffic makes no sense.
    """
    search = config.search
    make = _maker(config, space)
    make()  # what is wrong with it shows before the search begins
    space.sample(np.random.default_rng(config.seed))  # and what is wrong with a constraint
    travel = Travel(
        search.migration.pattern, search.migration.probability, search.migration.moves,
        search.migration.choice,
    )  # fmt: skip
    travel.counts(search.islands)
    stop = Stop(**search.stop.model_dump())
    if limits is not None:
        stop = replace(stop, energy=limits.limit, energy_unit=limits.shown_unit)
        history = replace(history, tally=replace(history.tally, spent=limits.before))
    return SearchSettings(
        space=space,
        make_propagator=make,
        stop=stop,
        seed=config.seed,
        num_objectives=search.objectives,
        travel=travel,
        duplicates=search.duplicates,
        fidelity=fidelity_of(config),
        given=tuple(_given(space, config)),
        history=history,
        allocation_s=allocation_s,
        gate=gate,
    )


def fidelity_of(config: RunConfig) -> Fidelity | None:
    """The rule that ends candidates early, if there is one."""
    asked = config.search.fidelity
    match asked.rule:
        case "asha":
            return SuccessiveHalving(asked.first_step, asked.factor)
        case "median":
            return MedianRule(asked.first_step, asked.at_least)
        case _:
            return None


def _maker(config: RunConfig, space: Space) -> Callable[[], Propagator]:
    name, options = config.search.propagator, dict(config.search.options)
    if name != "propulate":
        return lambda: make_propagator(name, space, config.seed, **options)
    UpstreamPropagator = upstream(config.source).UpstreamPropagator  # noqa: N806
    if "make" in options:
        options["make"] = resolve(options["make"], "search.options.make", config.source)
    return lambda: cast(Propagator, UpstreamPropagator(space, **options))


def upstream(source: str, module: str = "propulate_propagator") -> Any:
    """A door to the propulate package.

    Raises:
        ConfigError: if it is not installed.
    """
    from importlib import import_module

    try:
        return import_module(f"hpctrain.adapters.{module}")
    except ImportError as error:
        raise ConfigError(
            f"{source}: search: propulate cannot be imported ({error}); install hpctrain[propulate]"
            " into an environment of its own: it needs numpy below 2"
        ) from None


def _given(space: Space, config: RunConfig) -> list[tuple[float, ...]]:
    genomes = []
    for place, given in enumerate(config.search.initial):
        try:
            genomes.append(space.encode(given))
        except ConfigError as error:
            raise ConfigError(f"search.initial: candidate {place}: {error}") from None
    return genomes


def _as_table(stop: object) -> object:
    """What a script may say about the end: a number is one of evaluations."""
    if isinstance(stop, int):
        return {"evaluations": stop}
    if not isinstance(stop, Mapping | Stop):
        return stop  # the settings say what is allowed
    values = dict(stop) if isinstance(stop, Mapping) else asdict(stop)
    return {key: value for key, value in values.items() if value is not None}
