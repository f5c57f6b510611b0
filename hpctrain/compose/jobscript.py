"""`hpctrain jobscript`: an sbatch file for a run, for a site."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpctrain.cluster.jobs.render import Job, render
from hpctrain.cluster.jobs.request import Kind, Request, groups_of
from hpctrain.cluster.jobs.site import Site, read_site
from hpctrain.cluster.jobs.slurm import submit, try_out
from hpctrain.cluster.mpirun import family_of, find_mpirun, query_mpi
from hpctrain.cluster.srun import mpi_flag
from hpctrain.config import RunConfig, check_against_world, load_config
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
    if kind == "heterogeneous" and not second:
        raise ConfigError("second: a heterogeneous job needs a second kind of hosts; give --second")
    if kind != "heterogeneous" and second:
        raise ConfigError(f"second: {kind!r} has one kind of hosts; give --kind heterogeneous")
    return Request(kind, nodes, wall_time, second=_second_kind(second), margin_s=margin, **more)


def _second_kind(text: str) -> tuple[str, int]:
    partition, _, hosts = text.rpartition(":")
    if text and re.fullmatch("0*[1-9][0-9]*", hosts) is None:
        raise ConfigError(
            f"second: {text!r} is not allowed; give a number of at least 1, or partition:number"
        )
    return partition, int(hosts or 1)


def jobscript(
    config: str, site_name: str, request: Request, overrides: tuple[str, ...], wanted: Wanted
) -> int:
    """Make the script; returns the exit code.

    Raises:
        HpctrainError: if settings or request make no sense, or Slurm refuses.
    """
    _check_image(request)
    site = read_site(site_name)
    text = render(job_of(config, site, request, overrides), request, site)
    if wanted.output is None and not (wanted.submits or wanted.tries):
        print(text, end="")
        return 0
    path = wanted.output or Path(f"{Path(config).stem}.sbatch")
    if path.resolve() == Path(config).resolve():
        raise ConfigError(f"output: {path} is the file of the settings; give --output another one")
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


def _check_image(request: Request) -> None:
    image = request.image
    if image and request.kind != "container":
        raise ConfigError(f"image: {request.kind!r} has none; give --kind container")
    if image and "://" not in image and not Path(image).exists():
        raise ConfigError(
            f"image: there is no file {image!r}; give the path of an image, or one that Apptainer "
            "fetches, such as docker://..."
        )


def job_of(config: str, site: Site, request: Request, overrides: tuple[str, ...]) -> Job:
    """What the ranks will do, with settings that are checked now and not in the job.

    Raises:
        HpctrainError: if they make no sense.
    """
    values = _values_in(config)
    sets = (*overrides, *_of_the_site(values, site, overrides))
    if request.kind == "calibrate":
        return Job("calibrate", "", "", "", (), "none", bin=_bin())
    search = bool(values.get("search")) or any(given.startswith("search.") for given in sets)
    settings = load_config(config, sets, search)
    if not search:
        groups = groups_of(request, site)
        num_hosts = sum(group.nodes for group in groups)
        check_against_world(settings, sum(group.ranks for group in groups), num_hosts)
    run_dir = settings.run_dir
    if site.storage.run_dir and "run_dir" not in _keys(overrides):
        run_dir = site.storage.run_dir.replace("{name}", settings.name)
        sets = (*sets, f"run_dir={json.dumps(run_dir, ensure_ascii=False)}")
    _check_complete(run_dir)
    mpi, prefix, mpirun = _mpi(site)
    path = f"./{config}" if config.startswith("-") else config
    return Job(
        settings.name, "search" if search else "train", path, run_dir, sets, mpi, prefix, mpirun,
        _bin(), not search and _by_host(settings, request),
    )  # fmt: skip


def _check_complete(run_dir: str) -> None:
    if run_dir.startswith("~") or "$" in run_dir:
        raise ConfigError(
            f"run_dir: {run_dir!r} would be a directory of that very name, since neither ~ nor $ "
            "is replaced; write the path out"
        )


def _by_host(settings: RunConfig, request: Request) -> bool:
    islands = settings.topology.islands
    return islands == "host" or (islands == "auto" and request.nodes > 1)


def _bin() -> str:
    return str(Path(sys.executable).parent)


def _values_in(config: str) -> dict[str, Any]:
    """What the file says; nothing if it cannot be read: loading the settings says why."""
    try:
        return tomllib.loads(Path(config).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def _keys(overrides: tuple[str, ...]) -> set[str]:
    return {override.partition("=")[0].strip() for override in overrides}


def _of_the_site(values: dict[str, Any], site: Site, overrides: tuple[str, ...]) -> tuple[str, ...]:
    """Settings that the site knows better than defaults; what the user sets goes first."""
    if "energy" in values:
        return ()
    energy, given = site.energy, _keys(overrides)
    known = {
        "energy.meter": json.dumps(energy.meter) if energy.meter else None,
        "energy.tariff": energy.tariff,
        "energy.currency": json.dumps(energy.currency) if energy.tariff is not None else None,
        "energy.carbon": energy.carbon,
        "energy.pue": energy.pue,
    }
    return tuple(
        f"{key}={value}" for key, value in known.items() if value is not None and key not in given
    )


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
