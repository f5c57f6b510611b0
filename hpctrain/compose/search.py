"""A search on the ranks that were started: `hpctrain.search`, `hpctrain search`, ask and tell."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from hpctrain.compose.ask_tell import Search
from hpctrain.compose.search_outcome import SearchResult
from hpctrain.compose.search_run import SearchRun
from hpctrain.compose.search_setup import (
    check_end,
    objective_of,
    search_config,
    space_of,
)
from hpctrain.compose.start import connect, or_exit, seconds_left, together
from hpctrain.config.rules import BUDGETS
from hpctrain.errors import ConfigError
from hpctrain.report.console import seen_by
from hpctrain.searching.space import Space
from hpctrain.workers.objective import Objective

if TYPE_CHECKING:
    from hpctrain.cluster.launcher import Launcher
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import World

logger = logging.getLogger(__name__)


def search_with(
    objective: Objective, space: Space | Mapping[str, Any], settings: Mapping[str, Any]
) -> SearchResult:
    """See `hpctrain.search`."""
    checked, config = or_exit(lambda: _checked(space, settings, objective))
    world, launcher = or_exit(connect)
    return or_exit(lambda: _run(config, checked, objective, world, launcher))[0]


def ask_and_tell(space: Space | Mapping[str, Any], settings: Mapping[str, Any]) -> Search:
    """See `hpctrain.Search`."""
    checked, config = or_exit(lambda: _checked(space, settings))
    or_exit(lambda: _check_energy(config))
    return Search(or_exit(lambda: SearchRun(config, checked)))


def _check_energy(config: RunConfig) -> None:
    """Ranks of a worker whose loop is the user's do not meet at the end of a candidate."""
    budgets = any(getattr(config.energy, key) is not None for key in BUDGETS)
    if config.search.ranks_per_worker > 1 and (budgets or config.search.energy_objective):
        raise ConfigError(
            f"{config.source}: search.ranks_per_worker: {config.search.ranks_per_worker} is not "
            "allowed with ask and tell and a budget of energy, or energy as an objective; give 1, "
            "or let hpctrain.search() call the objective"
        )


def search_file(config: RunConfig) -> int:
    """`hpctrain search`: returns the exit code.

    Raises:
        HpctrainError: on all ranks alike, before the first evaluation, if a setting is wrong.
    """
    world, launcher = connect()
    space = together(world, lambda: space_of(config))
    objective = together(world, lambda: objective_of(config, space))
    result, terminal = _run(config, space, objective, world, launcher)
    best = None
    if world.rank == 0 and result.found and config.search.objective == "train":
        from hpctrain.compose.search_train import save_best

        best = save_best(config, result.best.config)
    if world.rank == 0 and config.progress.show != "none":
        from hpctrain.report.search_summary import print_search

        print_search(result, best, terminal)
    return 0 if result.found else 1


def _checked(
    space: Space | Mapping[str, Any],
    settings: Mapping[str, Any],
    objective: Objective | None = None,
) -> tuple[Space, RunConfig]:
    if objective is not None and not callable(objective):
        raise ConfigError(
            f"hpctrain.search(): objective: {objective!r} is not allowed; give a function of a "
            "candidate"
        )
    checked = space if isinstance(space, Space) else Space(space)
    return checked, search_config(checked, settings, objective)


def _run(
    config: RunConfig, space: Space, objective: Objective, world: World, launcher: Launcher
) -> tuple[SearchResult, bool | None]:
    """Search with the engine that is asked for; the outcome, and whether a terminal sees it."""
    if config.search.engine == "propulate":
        from hpctrain.compose.search_upstream import search_upstream

        terminal = seen_by(launcher.terminal, launcher.is_rank)
        return search_upstream(config, space, objective, world), terminal
    left_s = seconds_left(launcher, config.checkpoint.margin_s)
    together(world, lambda: check_end(config, space, inf if left_s is None else left_s))
    run = SearchRun(config, space, world, launcher)
    return run.run(objective), run.terminal
