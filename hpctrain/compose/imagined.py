"""The machine that a simulation imagines: its islands, their paces, and what things cost there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hpctrain.core.topology import Topology, plan_topology
from hpctrain.errors import ConfigError
from hpctrain.runtime.simulator import CostModel

if TYPE_CHECKING:
    from hpctrain.config import RunConfig


def imagined_topology(config: RunConfig, num_workers: int) -> Topology:
    islands = config.topology.islands
    by_number = isinstance(islands, int) and num_workers % islands == 0
    names = config.topology.names
    topology = plan_topology(
        ["simulated"] * num_workers,
        islands if by_number and isinstance(islands, int) else "rank",
        1,
    )
    if names and len(names) == len(topology.island_names):
        return replace(topology, island_names=tuple(names))
    return topology


def paces_of(config: RunConfig, topology: Topology) -> list[float]:
    factors = config.pace.factors
    if not factors:
        return [1.0] * len(topology.workers)
    if len(factors) != len(topology.island_names):
        raise ConfigError(
            f"{config.source}: pace.factors: {len(factors)} factors for "
            f"{len(topology.island_names)} simulated islands; give one for each"
        )
    return [factors[worker.island] for worker in topology.workers]


def costs_of(config: RunConfig, paces: list[float]) -> CostModel:
    asked = config.simulate
    step_s = asked.step_s
    if isinstance(step_s, tuple):
        if len(step_s) != len(paces):
            raise ConfigError(
                f"{config.source}: simulate.step_s: {len(step_s)} times for {len(paces)} workers; "
                "give one for each, or a single number"
            )
        seconds = list(step_s)
    else:
        base = config.pace.step_s if "step_s" not in asked.model_fields_set else step_s
        seconds = [(base or step_s) * pace for pace in paces]
    return CostModel(
        tuple(seconds),
        asked.jitter,
        asked.latency_s,
        asked.bandwidth_bytes_per_s,
        asked.merge_bytes_per_s,
        config.seed,
    )
