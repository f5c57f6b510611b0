"""Energy of a run: a sampler on the first rank of each host, and a ledger on every rank."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING

from hpctrain.compose.gpus import named_as
from hpctrain.compose.rank_meter import RankMeter
from hpctrain.compose.start import together
from hpctrain.config.rules import BUDGETS
from hpctrain.errors import ConfigError
from hpctrain.metering.crew import Member, this_member
from hpctrain.metering.discovery import Found, find_sources
from hpctrain.metering.model import Profile, read_profile
from hpctrain.metering.money import Terms
from hpctrain.metering.shares import Sharing
from hpctrain.metering.terms import read_terms
from hpctrain.report.energy_line import energy_line

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import Clock, Notebook, World

SHARED_MEMORY = Path("/dev/shm")


def start_metering(
    config: RunConfig,
    world: World,
    run_id: str,
    notebook: Notebook,
    clock: Clock,
    gpus: Sequence[str] = (),
) -> RankMeter:
    """Collective. The meter of this rank, running.

    Args:
        config: of the run.
        world: of the run.
        run_id: names the file in shared memory.
        notebook: for rows; the sampler's thread writes into it too.
        clock: of the run.
        gpus: names of the energy devices that are this rank's own.

    Raises:
        HpctrainError: on all ranks, if a profile or a series cannot be used, or a budget is to be
            kept and a host has no readings.
    """
    hosts = world.hosts()
    host = hosts[world.rank]
    off = config.energy.meter == "off"
    meter = RankMeter(notebook, clock, host, world.rank, off)
    terms = together(world, lambda: terms_of(config))
    leads = hosts.index(host) == world.rank
    found = together(world, lambda: sources_of(config) if leads else None)
    crew = [member for member in world.gather(this_member(world.rank, host, gpus))
            if member.host == host]  # fmt: skip
    path = None
    if found is not None and not off:
        if not found.sources:
            text = f"no energy readings on {host}: {'; '.join(found.notes)}"
            notebook.note("event", {"kind": "energy", "text": text})
        crew = [named_as(found.devices, member) for member in crew]
        sharing = _sharing(config, crew)
        name = f"hpctrain-{os.getuid()}-{run_id}-{world.rank}.energy"
        places = [place / name for place in (SHARED_MEMORY, Path(config.run_dir))]
        budgets = {key: limit for key in BUDGETS if (limit := getattr(config.energy, key))}
        path = meter.start_sampler(found, places, config.energy.rate_hz, sharing, budgets)
    paths = world.gather(path)
    meter.counts = any(other is not None for other in paths)
    told = {one for one, path in zip(hosts, paths, strict=True) if path is not None}
    together(world, lambda: check_told(config, hosts, told))
    mine = paths[hosts.index(host)]
    if mine is not None:
        _open(meter, mine, terms, notebook)
    return meter


def energy_used(meter: RankMeter, world: World) -> tuple[str, float | None]:
    """Collective. Ends the meters; the line of the summary, and joules of all hosts.

    The line is "" if the user wants none; the joules are None without readings.
    """
    world.gather(None)  # whatever is metered has ended on all ranks
    meter.stop_sampler()
    world.gather(None)  # the last looks have been taken
    totals = world.gather(meter.close())
    hosts = set(world.hosts())
    told = [total for total in totals if total is not None and total.quality != "none"]
    joules = sum(total.joules for total in told) if told else None
    return ("" if meter.off else energy_line(told, len(hosts))), joules


def terms_of(config: RunConfig) -> Terms:
    """Prices and intensities of the settings.

    Raises:
        HpctrainError: if a file cannot be used.
    """
    energy = config.energy
    return read_terms(
        energy.tariff, energy.currency, energy.carbon, energy.carbon_market, energy.pue
    )


def must_be_told(config: RunConfig) -> str | None:
    """The setting that needs readings on every host: a budget, or energy as an objective."""
    energy = config.energy
    key = next((f"energy.{key}" for key in BUDGETS if getattr(energy, key) is not None), None)
    if config.search.energy_objective:
        key = "search.energy_objective"
    return key


def check_told(config: RunConfig, hosts: Sequence[str], told: Set[str]) -> None:
    """A budget can be kept only where everything is counted.

    Raises:
        ConfigError: if it is not.
    """
    key = must_be_told(config)
    silent = sorted(set(hosts) - told)
    if key is not None and silent:
        raise ConfigError(
            f"{config.source}: {key}: needs readings of energy on every host, and "
            f"{', '.join(silent)} has none; see `hpctrain doctor`, give energy.profile for an "
            "estimate, or leave it out"
        )


def _open(meter: RankMeter, path: Path, terms: Terms, notebook: Notebook) -> None:
    try:
        meter.open_ledger(path, terms)
    except OSError as error:
        text = f"this rank cannot read {path}, and books no energy: {error}"
        notebook.note("event", {"kind": "energy", "text": text})


def sources_of(config: RunConfig) -> Found:
    """What the settings find on this host."""
    energy = config.energy
    if energy.meter == "perun":
        from hpctrain.adapters.perun_source import perun_sources

        return perun_sources()
    return find_sources(Path(energy.sysfs_root), energy.meter, _profile(config))


def _profile(config: RunConfig) -> Profile | None:
    path = config.energy.profile
    return None if path is None else read_profile(Path(path))


def _sharing(config: RunConfig, crew: Sequence[Member]) -> Sharing:
    profile = _profile(config)
    idle_w = {} if profile is None else profile.idle_by_component()
    exclusive = has_host_alone(config.energy.hosts, os.environ)
    return Sharing(tuple(crew), exclusive, config.energy.idle, idle_w)


def has_host_alone(setting: str, environ: Mapping[str, str]) -> bool:
    """Is the host the job's alone? `auto` asks Slurm; without it, nobody else is assumed."""
    if setting != "auto":
        return setting == "exclusive"
    ours = environ.get("SLURM_CPUS_ON_NODE", "")
    return not ours.isdigit() or int(ours) >= (os.cpu_count() or 1)
