"""`hpctrain jobscript`: an sbatch file for a run, for a site."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpctrain.cluster.jobs.render import Job, render
from hpctrain.cluster.jobs.request import Kind, Request
from hpctrain.cluster.jobs.site import Site, read_site
from hpctrain.cluster.jobs.slurm import submit, try_out
from hpctrain.cluster.mpirun import family_of, find_mpirun, query_mpi
from hpctrain.cluster.srun import mpi_flag
from hpctrain.config import load_config
from hpctrain.errors import ConfigError, HpctrainError, LaunchError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is done with the script: written to `output` (None: printed), submitted, tried out."""

    output: Path | None
    submits: bool
    tries: bool


def request_of(
    nodes: int, wall_time: str, kind: Kind, second: str, margin: int, **more: Any
) -> Request:
    """From the words of the command line.

    Raises:
        ConfigError: if they make no sense.
    """
    partition, _, hosts = second.rpartition(":")
    if hosts and not hosts.isdigit():
        raise ConfigError(f"second: {second!r} is not allowed; give a number, or partition:number")
    if kind == "heterogeneous" and not hosts:
        raise ConfigError("second: a heterogeneous job needs a second kind of hosts; give --second")
    return Request(
        kind, nodes, wall_time, second=(partition, int(hosts or 1)), margin_s=margin, **more
    )


def jobscript(
    config: str, site_name: str, request: Request, overrides: tuple[str, ...], wanted: Wanted
) -> int:
    """Make the script; returns the exit code.

    Raises:
        HpctrainError: if settings or request make no sense, or Slurm refuses.
    """
    site = read_site(site_name)
    text = render(job_of(config, site, request, overrides), request, site)
    if wanted.output is None and not (wanted.submits or wanted.tries):
        print(text, end="")
        return 0
    path = wanted.output or Path(f"{Path(config).stem}.sbatch")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HpctrainError(f"cannot write {path}: {error}") from error
    print(f"written to {path}", file=sys.stderr)
    if wanted.tries:
        print(try_out(path))
    if wanted.submits:
        print(submit(path))
    return 0


def job_of(config: str, site: Site, request: Request, overrides: tuple[str, ...]) -> Job:
    """What the ranks will do, with settings that are checked now and not in the job.

    Raises:
        HpctrainError: if they make no sense.
    """
    sets = (*overrides, *_of_the_site(config, site, overrides))
    if request.kind == "calibrate":
        return Job("calibrate", "", "", "", (), "none", bin=_bin())
    search = _is_search(config, sets)
    settings = load_config(config, sets, search)
    mpi, prefix, mpirun = _mpi(site)
    return Job(
        settings.name, "search" if search else "train", config, settings.run_dir, sets, mpi,
        prefix, mpirun, _bin(),
    )  # fmt: skip


def _bin() -> str:
    return str(Path(sys.executable).parent)


def _is_search(config: str, sets: tuple[str, ...]) -> bool:
    """Settings with a space are those of a search."""
    import tomllib

    try:
        values = tomllib.loads(Path(config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return False  # loading them says what is wrong
    return bool(values.get("search")) or any(given.startswith("search.") for given in sets)


def _of_the_site(config: str, site: Site, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Settings that the site knows better than defaults; what the user sets goes first."""
    try:
        text = Path(config).read_text(encoding="utf-8")
    except OSError:
        text = ""
    given = {override.partition("=")[0] for override in overrides}
    values = {
        "energy.meter": f'"{site.energy.meter}"' if site.energy.meter else None,
        "energy.tariff": site.energy.tariff,
        "energy.currency": f'"{site.energy.currency}"' if site.energy.tariff is not None else None,
        "energy.carbon": site.energy.carbon,
        "energy.pue": site.energy.pue,
    }
    own = "[energy]" in text
    sets = [f"{key}={value}" for key, value in values.items()
            if value is not None and key not in given and not own]  # fmt: skip
    if site.storage.run_dir and "run_dir" not in given:
        name = Path(config).stem
        sets.append(f'run_dir="{site.storage.run_dir.format(name=name)}"')
    return tuple(sets)


def _mpi(site: Site) -> tuple[str, str, str]:
    """What srun is told, the prefix of an MPI inside the environment, and its mpirun."""
    facts = query_mpi(os.environ)
    if "error" in facts:
        return (site.launch.mpi if site.launch.mpi != "auto" else "pmix"), "", "mpirun"
    asked = site.launch.mpi
    library = f"{facts['vendor']} {facts.get('library', '')}"
    mpi = mpi_flag(library) if asked == "auto" else asked
    inside = str(facts.get("path") or "").startswith(f"{sys.prefix}/lib/")
    is_openmpi = family_of(facts["vendor"]) == "openmpi"
    try:
        mpirun = str(find_mpirun(facts, os.environ).path)
    except LaunchError:
        mpirun = "mpirun"
    return mpi, sys.prefix if inside and is_openmpi else "", mpirun
