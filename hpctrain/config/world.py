"""Checks that need the number of ranks, which is known once they have started."""

from collections.abc import Iterator

from hpctrain.config.models import RunConfig, TopologyConfig
from hpctrain.config.rules import Problem, wrong_counts
from hpctrain.errors import ConfigError


def check_against_world(
    config: RunConfig,
    num_ranks: int,
    num_hosts: int | None = None,
    num_labels: int | None = None,
) -> None:
    """Refuses settings that do not fit the ranks that were started.

    Args:
        config: valid by itself.
        num_ranks: ranks of the job, at least one.
        num_hosts: hosts of the job; None leaves out what depends on it.
        num_labels: different switches or GPUs, if they make the islands; None likewise.

    Raises:
        ConfigError: one line for everything that does not fit.
    """
    problems = list(_islands(config.topology, num_ranks)) or list(
        _workers(config.topology, num_ranks)
    )
    count = num_islands(config.topology, num_ranks, num_hosts, num_labels)
    if count is not None and not problems:
        problems += wrong_counts(config, count)
    if problems:
        raise ConfigError("\n".join(f"{config.source}: {key}: {text}" for key, text in problems))


def num_islands(
    topology: TopologyConfig,
    num_ranks: int,
    num_hosts: int | None = None,
    num_labels: int | None = None,
) -> int | None:
    """How many islands `topology` makes of the ranks; None where what is not known decides."""
    match topology.islands:
        case "rank":
            return num_ranks
        case "host":
            return num_hosts
        case "switch" | "gpu":
            return num_labels
        case "auto":  # by host if there are several, else by rank
            return num_ranks if num_hosts == 1 else num_hosts
        case int(count):
            return count
        case lists:
            return len(lists)


def simulated_workers(config: RunConfig) -> int:
    """How many workers a simulation of `config` has.

    Raises:
        ConfigError: if neither `simulate` nor the topology says it.
    """
    simulate, islands = config.simulate, config.topology.islands
    if simulate.workers is not None:
        return simulate.workers
    if isinstance(simulate.step_s, tuple):
        return len(simulate.step_s)
    if isinstance(islands, int):
        return islands
    if isinstance(islands, tuple):
        return len(islands)
    raise ConfigError(
        f"{config.source}: simulate.workers: is missing, and topology.islands ="
        f' "{islands}" does not say it; give --workers N'
    )


def _islands(topology: TopologyConfig, num_ranks: int) -> Iterator[Problem]:
    islands = topology.islands
    if isinstance(islands, int):
        yield from _equal_islands(islands, num_ranks)
    if isinstance(islands, tuple):
        yield from _listed_islands(islands, num_ranks)


def _equal_islands(count: int, num_ranks: int) -> Iterator[Problem]:
    if count > num_ranks:
        yield (
            "topology.islands",
            f"{count} islands need at least {count} ranks, but {num_ranks} were started",
        )
    elif num_ranks % count:
        yield (
            "topology.islands",
            f"{num_ranks} ranks do not divide into {count} islands of equal size; start a"
            f" multiple of {count} ranks, or list each island's ranks",
        )


def _listed_islands(islands: tuple[tuple[int, ...], ...], num_ranks: int) -> Iterator[Problem]:
    named = {rank for ranks in islands for rank in ranks}
    beyond = sorted(rank for rank in named if rank >= num_ranks)
    idle = sorted(set(range(num_ranks)) - named)
    if beyond:
        yield (
            "topology.islands",
            f"names rank {_listed(beyond)}, but the ranks are 0..{num_ranks - 1}",
        )
    if idle:
        yield (
            "topology.islands",
            f"leaves out rank {_listed(idle)} of the {num_ranks} that were started; put every"
            " rank into an island, or start fewer",
        )


def _workers(topology: TopologyConfig, num_ranks: int) -> Iterator[Problem]:
    size = topology.ranks_per_worker
    if size == "all" or isinstance(topology.islands, tuple):
        return
    per_island = num_ranks // topology.islands if isinstance(topology.islands, int) else num_ranks
    if per_island % size:
        where = "ranks of an island" if isinstance(topology.islands, int) else "ranks"
        yield "topology.ranks_per_worker", f"{size} does not divide the {per_island} {where}"


def _listed(ranks: list[int], at_most: int = 8) -> str:
    text = ", ".join(map(str, ranks[:at_most]))
    return text if len(ranks) <= at_most else f"{text}, ..."
