"""Whose energy it is: from a host's devices to the ranks of the job. Pure.

- The energy of a GPU goes to the ranks that own it, in equal parts; one that nobody owns stays
  unattributed.
- Processors and memory take an idle part, whether anyone computes or not, and a dynamic part. The
  dynamic part goes by processor time: what other processes used stays unattributed. The idle part
  goes by a stated rule. Where no idle power is known, all is taken to be dynamic.
- What a node or module takes beyond its parts (fans, boards, network) stays unattributed. Where
  only the node has a sensor and no rank a GPU, it is treated like a processor.

Everything is whole microjoules, and every energy is cut into parts that add up to it:
`sum of ranks + unattributed == total`, exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hpctrain.metering.account import HostEnergy
from hpctrain.metering.reading import Component

IdleRule = Literal["cores", "ranks", "none"]


@dataclass(frozen=True, slots=True)
class RankUse:
    """What one rank had and used on its host in an interval.

    Attributes:
        rank: its number in the job.
        cpu_ns: processor time of it and its threads.
        num_cores: that it is bound to.
    """

    rank: int
    cpu_ns: int
    num_cores: int


@dataclass(frozen=True, slots=True)
class HostUse:
    """The host in that interval.

    Attributes:
        busy_ns: processor time of all its processes, in any job.
        num_cores: of the host.
        exclusive: whether the job has the host for itself: then all idle energy is the job's. On a
            shared host a rank is charged for its own cores at most.
        idle_w: power of a device that does nothing, by name; without an entry it is not known.
        owners: the ranks that a GPU belongs to, by name of the device.
    """

    busy_ns: int
    num_cores: int
    exclusive: bool
    idle_w: Mapping[str, float] = field(default_factory=dict)
    owners: Mapping[str, Sequence[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Microjoules by rank and component, and those of nobody.

    Attributes:
        ranks: all ranks of the job on the host.
        unattributed: by component; a node's has what its parts leave over.
        shared: other jobs may have run on the host: shares by processor time are then a guess at
            what the sensors saw of all of them.
    """

    ranks: dict[int, dict[Component, int]]
    unattributed: dict[Component, int]
    shared: bool

    def rank_uj(self, rank: int) -> int:
        return sum(self.ranks[rank].values())

    @property
    def total_uj(self) -> int:
        return sum(map(self.rank_uj, self.ranks)) + sum(self.unattributed.values())


def attribute(
    energy: HostEnergy, ranks: Sequence[RankUse], host: HostUse, idle: IdleRule = "cores"
) -> Attribution:
    """Cut the energy of a host among the ranks of the job.

    Args:
        energy: of the interval.
        ranks: of the job on this host.
        host: all of it.
        idle: "cores": the idle part by bound cores; "ranks": the same for every rank; "none": it
            stays unattributed.

    Raises:
        ValueError: if a rank is there twice.
    """
    shares: dict[int, dict[Component, int]] = {use.rank: {} for use in ranks}
    if len(shares) != len(ranks):
        raise ValueError(f"ranks {[use.rank for use in ranks]}: one of them is there twice")
    rest: dict[Component, int] = {}
    for part in _disjoint(energy):
        amounts = _cut(part, energy.duration_ns, ranks, host, idle)
        for use, amount in zip(ranks, amounts[:-1], strict=True):
            shares[use.rank][part.component] = shares[use.rank].get(part.component, 0) + amount
        rest[part.component] = rest.get(part.component, 0) + amounts[-1]
    return Attribution(shares, rest, not host.exclusive)


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Whole parts of `total` in proportion to `weights`, each within 1; they add up to it.

    All goes to the last part if every weight is 0.
    """
    whole = sum(weights)
    if whole == 0:
        return [0] * (len(weights) - 1) + [total]
    parts, seen, given = [], 0, 0
    for weight in weights:
        seen += weight
        upto = total * seen // whole
        parts.append(upto - given)
        given = upto
    return parts


@dataclass(frozen=True, slots=True)
class _Part:
    """Energy that is in no other part; `by_load`: of something that works for the ranks."""

    component: Component
    name: str
    energy_uj: int
    by_load: bool = True


def _disjoint(energy: HostEnergy) -> Iterator[_Part]:
    """The devices, and what node and module take beyond those in them; together the total.

    Parts may seem to take more than their whole, by the accuracy of sensors: they are then scaled
    down to it.
    """
    leaves = [used for used in energy.used if used.device.component not in ("module", "node")]
    amounts = [used.energy_uj for used in leaves]
    node_uj, module_uj = energy.component_uj("node"), energy.component_uj("module")
    if module_uj is not None:
        if node_uj is not None:
            module_uj = min(module_uj, node_uj)
        amounts = _fitted(amounts, module_uj)
        yield _Part("module", "", module_uj - sum(amounts), by_load=False)
    if node_uj is not None:
        inside_uj = module_uj
        if inside_uj is None:
            amounts = _fitted(amounts, node_uj)
            inside_uj = sum(amounts)
        alone = module_uj is None and not leaves
        yield _Part("node", _name(energy, "node"), node_uj - inside_uj, by_load=alone)
    for used, amount in zip(leaves, amounts, strict=True):
        yield _Part(used.device.component, used.device.name, amount)


def _fitted(amounts: list[int], limit: int) -> list[int]:
    return split(limit, amounts) if sum(amounts) > limit else amounts


def _name(energy: HostEnergy, component: Component) -> str:
    return next(u.device.name for u in energy.used if u.device.component == component)


def _cut(
    part: _Part, duration_ns: int, ranks: Sequence[RankUse], host: HostUse, idle: IdleRule
) -> list[int]:
    """The parts of all ranks, and then that of nobody."""
    if part.component == "gpu":
        owners = host.owners.get(part.name, ())
        mine = [int(use.rank in owners) for use in ranks]
        return split(part.energy_uj, [*mine, 0 if any(mine) else 1])
    if not part.by_load or (part.component == "node" and host.owners):
        return [0] * len(ranks) + [part.energy_uj]
    idle_w = host.idle_w.get(part.name, 0.0)
    idle_uj = min(part.energy_uj, round(idle_w * duration_ns / 1000))
    still = split(idle_uj, _idle_weights(ranks, host, idle))
    moving = split(part.energy_uj - idle_uj, _load_weights(ranks, host))
    return [a + b for a, b in zip(still, moving, strict=True)]


def _idle_weights(ranks: Sequence[RankUse], host: HostUse, idle: IdleRule) -> list[int]:
    cores = [use.num_cores for use in ranks]
    others = 0 if host.exclusive else max(0, host.num_cores - sum(cores))
    match idle:
        case "cores":
            return [*cores, others]
        case "ranks":
            return [sum(cores)] * len(ranks) + [others * len(ranks)]
        case "none":
            return [0] * len(ranks) + [1]


def _load_weights(ranks: Sequence[RankUse], host: HostUse) -> list[int]:
    mine = [use.cpu_ns for use in ranks]
    return [*mine, max(0, host.busy_ns - sum(mine))]
