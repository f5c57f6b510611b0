"""The task of a run, made for one rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpctrain.core.topology import Topology
from hpctrain.errors import ConfigError
from hpctrain.workloads.factory import resolve_factory
from hpctrain.workloads.task import ChangesDomain, Task, TaskContext

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


def make_task(config: RunConfig, topology: Topology, rank: int, device: str) -> Task:
    """Make the task that `config` names.

    Raises:
        ConfigError: if it cannot be found, does not take its options, or cannot change its domain
            where it has to.
    """
    worker = topology.worker_of(rank)
    peers = [w.id for w in topology.workers if w.island == worker.island]
    # Workers of one island draw different batches of the same data: they count as its ranks.
    ranks = [r for w in topology.workers if w.island == worker.island for r in w.ranks]
    task = resolve_factory(config.task.factory, config.source)(
        TaskContext(
            seed=config.seed,
            island=worker.island,
            num_islands=len(topology.island_names),
            rank_in_worker=ranks.index(rank),
            worker_size=len(ranks) if len(peers) > 1 else len(worker.ranks),
            device=device,
            options=config.task.options,
            data=config.topology.data,
            source=config.source,
        )
    )
    if config.method.domains != "bound" and not isinstance(task, ChangesDomain):
        raise ConfigError(
            f'{config.source}: method.domains: "{config.method.domains}" needs a task with a method'
            f" train_on(domain), which that of {config.task.factory} has not"
        )
    return task


def num_domains_of(config: RunConfig, task: Task) -> int:
    """Among how many domains workers change; 0 if they stay with their own."""
    return 0 if config.method.domains == "bound" else len(task.domains)


def change_domain(task: Task, domain: int) -> None:
    """Train on the domain of this number from now on."""
    if isinstance(task, ChangesDomain) and task.domains[domain] != task.own_domain:
        task.train_on(task.domains[domain])


def island_names(config: RunConfig, topology: Topology, task: Task) -> tuple[str, ...]:
    """Names for people: as given, or after the domain that each island trains on."""
    if config.topology.names or config.topology.data != "own" or not task.own_domain:
        return topology.island_names
    domains = task.domains
    return tuple(domains[i % len(domains)] for i in range(len(topology.island_names)))
