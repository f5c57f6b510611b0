"""Who computes together: ranks form workers, workers form islands.

A worker is one or more ranks in lockstep (one model replica). An island is one or more workers
that share a domain of data and a speed; islands merge lazily.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain
from hpctrain.errors import ConfigError

IslandsBy = Literal["auto", "rank", "host", "switch", "gpu"] | int | Sequence[Sequence[int]]

# What to do when a rank has no label of that kind.
_WITHOUT_LABEL = {
    "switch": "Slurm names it in SLURM_TOPOLOGY_ADDR where it was told the network (topology/tree, "
    'topology/block); give "host", or lists of ranks',
    "gpu": 'give "host", or lists of ranks',
}


@plain
@dataclass(frozen=True, slots=True)
class Worker:
    """One model replica; its first rank, the leader, speaks for it."""

    id: WorkerId
    island: int
    ranks: tuple[int, ...]


@plain
@dataclass(frozen=True, slots=True)
class Topology:
    """All workers of a run, numbered from 0, and the names of the islands."""

    workers: tuple[Worker, ...]
    island_names: tuple[str, ...]

    @property
    def num_ranks(self) -> int:
        return sum(len(worker.ranks) for worker in self.workers)

    def worker_of(self, rank: int) -> Worker:
        """The worker that `rank` belongs to."""
        for worker in self.workers:
            if rank in worker.ranks:
                return worker
        raise ValueError(f"rank {rank} belongs to no worker; there are {self.num_ranks} ranks")

    def island_name(self, worker: WorkerId) -> str:
        return self.island_names[self.workers[worker].island]


def plan_topology(
    hosts: Sequence[str],
    islands: IslandsBy = "auto",
    ranks_per_worker: Literal["all"] | int = "all",
    names: Sequence[str] = (),
    labels: Sequence[str | None] = (),
) -> Topology:
    """Divide the ranks of a run into islands and the islands into workers.

    Args:
        hosts: the host name of every rank, in the order of ranks.
        islands: `"rank"`: every rank an island; `"host"`: the ranks of a host; `"switch"`, `"gpu"`:
            the ranks of equal `labels`; a number: as many islands of neighbouring ranks; lists of
            ranks: just those; `"auto"`: by host if there are several hosts, else by rank.
        ranks_per_worker: ranks in lockstep; `"all"`: the whole island is one worker.
        names: one per island; without them `island-0`, `island-1`, ..., the hosts' names, or the
            labels.
        labels: of every rank, for `"switch"` and `"gpu"`; None: it has none.

    Raises:
        ConfigError: if the ranks cannot be divided as asked.
    """
    if islands == "auto":
        islands = "host" if len(set(hosts)) > 1 else "rank"
    marks = _marks(hosts, islands, labels)
    groups = _groups(len(hosts), islands) if marks is None else _alike(marks)
    workers: list[Worker] = []
    for island, ranks in enumerate(groups):
        size = len(ranks) if ranks_per_worker == "all" else ranks_per_worker
        if len(ranks) % size:
            raise ConfigError(
                f"topology.ranks_per_worker: {size} does not divide the {len(ranks)} ranks of "
                f"island {island}; give a divisor of {len(ranks)}"
            )
        for first in range(0, len(ranks), size):
            workers.append(Worker(len(workers), island, tuple(ranks[first : first + size])))
    return Topology(tuple(workers), _names(groups, marks, names))


def _marks(
    hosts: Sequence[str], islands: IslandsBy, labels: Sequence[str | None]
) -> Sequence[str] | None:
    """What the ranks of an island have in common, of every rank; None: nothing but their number."""
    if islands == "host":
        return hosts
    if islands not in ("switch", "gpu"):
        return None
    missing = [rank for rank in range(len(hosts)) if rank >= len(labels) or labels[rank] is None]
    if missing:
        raise ConfigError(
            f'topology.islands: "{islands}" needs the {islands} of every rank, but {len(missing)} '
            f"of {len(hosts)} know none (first is rank {missing[0]}): {_WITHOUT_LABEL[islands]}"
        )
    return [str(label) for label in labels]


def _alike(marks: Sequence[str]) -> list[list[int]]:
    return [[r for r, mark in enumerate(marks) if mark == one] for one in dict.fromkeys(marks)]


def _groups(num_ranks: int, islands: IslandsBy) -> list[list[int]]:
    ranks = range(num_ranks)
    if islands == "rank":
        return [[rank] for rank in ranks]
    if isinstance(islands, int):
        return _neighbours(num_ranks, islands)
    if isinstance(islands, str):
        raise ConfigError(
            f"topology.islands: {islands!r} is not one of auto, rank, host, switch, gpu"
        )
    named = sorted(rank for group in islands for rank in group)
    if named != list(ranks):
        raise ConfigError(
            f"topology.islands: {list(map(list, islands))} must name each of the ranks "
            f"0..{num_ranks - 1} exactly once"
        )
    for island, group in enumerate(islands):
        if not group:
            raise ConfigError(f"topology.islands: island {island} has no ranks; leave it out")
    return [list(group) for group in islands]


def _neighbours(num_ranks: int, num_islands: int) -> list[list[int]]:
    if not 1 <= num_islands <= num_ranks:
        raise ConfigError(
            f"topology.islands: {num_islands} islands need at least as many ranks, but the run has "
            f"{num_ranks}; give 1..{num_ranks} or start more ranks"
        )
    cuts = [num_ranks * i // num_islands for i in range(num_islands + 1)]
    return [list(range(a, b)) for a, b in pairwise(cuts)]


def _names(
    groups: list[list[int]], marks: Sequence[str] | None, names: Sequence[str]
) -> tuple[str, ...]:
    if names:
        if len(names) != len(groups):
            raise ConfigError(
                f"topology.names: {len(names)} names for {len(groups)} islands; give one for each"
            )
        return tuple(names)
    if marks is not None:
        return tuple(marks[group[0]] for group in groups)
    return tuple(f"island-{i}" for i in range(len(groups)))
