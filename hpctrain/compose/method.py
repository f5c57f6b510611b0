"""From settings to a method."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from hpctrain.errors import ConfigError
from hpctrain.training.domains import Domains
from hpctrain.training.guard import Guard
from hpctrain.training.local_steps import LocalSteps
from hpctrain.training.methods import Method, Waiting, make_method
from hpctrain.training.rules.age_adam import AgeAdam
from hpctrain.training.rules.co2 import Co2
from hpctrain.training.rules.heloco import Correction
from hpctrain.training.weights import Weighing

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.core.topology import Topology

GROUPS_SPAN = 5  # FedCompass: the longest round has at most so many times the steps of the shortest


def method_of(config: RunConfig, topology: Topology | None = None, num_domains: int = 0) -> Method:
    """The training method that `config` asks for.

    Args:
        config: of the run.
        topology: matters only to shares of islands, and to domains that workers change.
        num_domains: of the task, where workers change theirs; see `num_domains_of`.

    Raises:
        ConfigError: for a quorum of more workers than there are, or a budget of bytes for one.
    """
    _check_quorum(config, topology)
    _check_bytes(config, topology)
    asked, heloco = config.method, config.method.heloco
    lr, mu = asked.outer_lr, asked.outer_momentum
    return make_method(
        asked.name,
        sync_every=asked.sync_every,
        outer_lr=lr,
        outer_momentum=mu,
        overlap=asked.overlap,
        weighing=Weighing(
            asked.arrival_weight,
            asked.staleness_power,
            asked.weight_cap,
            shares_of_workers(asked.shares, topology),
            asked.token_power,
        ),
        dispatch_lookahead=asked.dispatch_lookahead,
        correction=Correction(
            c_ok=heloco.c_ok,
            k_s=heloco.k_s,
            beta_max=heloco.beta_max,
            k_d=heloco.k_d,
            kappa=heloco.kappa,
            eps=heloco.eps,
            lambda_mode=heloco.lambda_mode,
            c_bad=heloco.c_bad,
            weight_first=heloco.weight_first,
        ),
        corrected=heloco.correction,
        whole_fragment=heloco.scope == "whole",
        buffer_size=0 if asked.buffer_size == "auto" else asked.buffer_size,
        momentum_share=asked.momentum_share,
        co2=Co2(lr, mu, asked.co2.gap_penalty, asked.co2.clip_threshold or inf),
        age_adam=_age_adam(config),
        waiting=Waiting(
            None if asked.grace_s == "auto" else asked.grace_s, asked.group, asked.quorum
        ),
        local_steps=LocalSteps(
            asked.local_steps, _min_steps(config), asked.local_steps_mean, asked.speed_reference
        ),
        guard=Guard(asked.guard_factor),
        diagnostics=asked.diagnostics,
        domains=_domains(num_domains, topology),
        directional=asked.mean == "rda",
    )


def shares_of_workers(shares: Sequence[float], topology: Topology | None) -> tuple[float, ...]:
    """The shares of islands, divided among the workers of each."""
    if not shares or topology is None:
        return tuple(shares)
    islands = [worker.island for worker in topology.workers]
    return tuple(shares[island] / islands.count(island) for island in islands)


def num_fragments_of(config: RunConfig) -> int | None:
    """How many fragments to cut; a correction of the whole gradient needs it in one piece."""
    asked = config.method.num_fragments
    if asked != "auto":
        return asked
    whole = config.method.name == "heloco" and config.method.heloco.scope == "whole"
    return 1 if whole else None


def _check_quorum(config: RunConfig, topology: Topology | None) -> None:
    quorum = config.method.quorum
    if topology is None or not isinstance(quorum, int):
        return
    there = len(topology.workers)
    if quorum > there:
        raise ConfigError(
            f"{config.source}: method.quorum: {quorum} is more than the {there} workers of this"
            f" run; give at most {there}, or a part of them such as 0.75"
        )


def _check_bytes(config: RunConfig, topology: Topology | None) -> None:
    stop = config.stop
    if topology is None or len(topology.workers) > 1 or stop.gigabytes is None:
        return
    if stop.steps is None and stop.minutes is None:
        raise ConfigError(
            f"{config.source}: stop.gigabytes: {stop.gigabytes:g} would never be spent, for the one"
            " worker of this run sends nothing; give stop.steps or stop.minutes, or start more"
        )


def _domains(num_domains: int, topology: Topology | None) -> Domains:
    if not num_domains or topology is None:
        return Domains()
    return Domains(num_domains, tuple(w.island % num_domains for w in topology.workers))


def _age_adam(config: RunConfig) -> AgeAdam:
    asked = config.method.age_adam
    return AgeAdam(
        config.method.outer_lr,
        config.method.outer_momentum,
        asked.beta2,
        asked.eps,
        asked.alpha,
        0.0 if asked.cutoff == "auto" else asked.cutoff,
    )


def _min_steps(config: RunConfig) -> int:
    asked = config.method
    if asked.min_steps != "auto":
        return asked.min_steps
    return -(-asked.sync_every // GROUPS_SPAN) if asked.local_steps == "groups" else 1
