"""What a user asks of a site, checked against what the site has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from hpctrain.cluster.jobs.site import Partition, Site, seconds_of, time_text
from hpctrain.errors import ConfigError

Kind = Literal[
    "run", "chain", "array", "preemptible", "heterogeneous", "restarting", "container", "calibrate"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
EARLY_S = 60  # Slurm may send a signal so much earlier than it is asked for

WHY: dict[Kind, str] = {
    "run": "one job, from start to end",
    "chain": "goes on after its wall-time: saves, requeues itself, resumes",
    "array": "the same run with other seeds, one per task of the array",
    "preemptible": "may be ended for a more important job at any time, and goes on later",
    "heterogeneous": "two kinds of hosts in one job, each kind an island of its own",
    "restarting": "starts mpirun again on the hosts that are left when one has died",
    "container": "ranks run in an Apptainer container",
    "calibrate": "measures idle and full-load watts of the hosts, for estimates",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be submitted.

    Attributes:
        kind: of the script.
        nodes: hosts.
        time: wall-time, as Slurm writes it.
        ranks_per_node: None: one per GPU, else one.
        partition: "": the site's.
        account: "": the user's.
        array: tasks of an array.
        second: of a heterogeneous job: partition of the second kind of hosts, and how many.
        image: of a container.
        margin_s: seconds before the wall-time at which the run is told to save.
    """

    kind: Kind
    nodes: int
    time: str
    ranks_per_node: int | None = None
    partition: str = ""
    account: str = ""
    array: int = 4
    second: tuple[str, int] = ("", 1)
    image: str = ""
    margin_s: int = 300


@dataclass(frozen=True, slots=True)
class Group:
    """Hosts of one kind in a job, checked."""

    partition: str
    nodes: int
    ranks_per_node: int
    cores_per_rank: int | None
    options: tuple[str, ...]
    has_gpus: bool = False

    @property
    def ranks(self) -> int:
        return self.nodes * self.ranks_per_node


def groups_of(request: Request, site: Site) -> tuple[Group, ...]:
    """The hosts of a request.

    Raises:
        ConfigError: if the site does not have them; with its limit.
    """
    _check_word("account", request.account)
    first = _group(request, site, request.partition or site.partition, request.nodes)
    if request.kind != "heterogeneous":
        return (first,)
    name, nodes = request.second
    return first, _group(request, site, name or request.partition or site.partition, nodes)


def _check_word(key: str, text: str) -> None:
    """What becomes part of a line of sbatch's own: bash's quotes mean nothing there."""
    if re.fullmatch(r"[\w.,@+-]*", text) is None:
        raise ConfigError(
            f"{key}: {text!r} is not allowed; give letters, digits, dots, dashes, underscores, and "
            "commas between several"
        )


def _group(request: Request, site: Site, name: str, nodes: int) -> Group:
    _check_word("partition", name)
    partition = _partition(site, name)
    where = f"site {site.name}" + (f", partition {name}" if name else "")
    if nodes < 1:
        raise ConfigError(f"nodes: {nodes} is not allowed; give at least 1")
    if partition.max_hosts is not None and nodes > partition.max_hosts:
        raise ConfigError(
            f"nodes: {nodes} are asked for, but {where} gives a job at most {partition.max_hosts}"
        )
    _check_time(request, partition, where)
    if partition.needs_account and not request.account:
        raise ConfigError(f"account: {where} needs one; give --account")
    ranks = request.ranks_per_node or max(1, partition.gpus_per_host)
    cores = partition.cores_per_host
    if cores is not None and ranks > cores:
        raise ConfigError(
            f"ranks-per-node: {ranks} are asked for, but a host of {where} has {cores} cores; give "
            f"at most {cores}"
        )
    if partition.gpus_per_host and ranks % partition.gpus_per_host and ranks > 1:
        raise ConfigError(
            f"ranks-per-node: {ranks} ranks cannot share the {partition.gpus_per_host} GPUs of a "
            f"host of {where} evenly; give {partition.gpus_per_host}"
        )
    gpus = tuple(line.format(n=partition.gpus_per_host) for line in partition.gpu_options)
    return Group(
        name, nodes, ranks, None if cores is None else cores // ranks, (*gpus, *partition.options),
        partition.gpus_per_host > 0,
    )  # fmt: skip


def _partition(site: Site, name: str) -> Partition:
    if not name:
        return Partition()
    if name in site.partitions:
        return site.partitions[name]
    if site.partitions:
        raise ConfigError(
            f"partition: {name!r} is none of site {site.name}; give one of "
            f"{', '.join(site.partitions)}"
        )
    return Partition()


def _check_time(request: Request, partition: Partition, where: str) -> None:
    asked_s = seconds_of(request.time)
    if asked_s <= 0:
        raise ConfigError(f"time: {request.time!r} is not allowed; give more than nothing")
    if partition.max_time is not None and asked_s > seconds_of(partition.max_time):
        raise ConfigError(
            f"time: {request.time} is asked for, but {where} allows {partition.max_time}; give at "
            "most that, and --kind chain to go on in further jobs"
        )
    least_s = request.margin_s + EARLY_S
    if request.kind != "calibrate" and asked_s <= least_s:
        raise ConfigError(
            f"time: {request.time} leaves no time to work: the run is told to save "
            f"{request.margin_s} s before the end, and Slurm may do so {EARLY_S} s early; give "
            f"more than {time_text(least_s)}, or a smaller --margin"
        )
