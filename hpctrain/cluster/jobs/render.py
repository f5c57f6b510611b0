"""Rendering a job script from a template, with everything from outside quoted."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from hpctrain.cluster.jobs.request import WHY, Group, Request, groups_of
from hpctrain.cluster.jobs.site import Site, seconds_of, time_text
from hpctrain.errors import ConfigError, HpctrainError


@dataclass(frozen=True, slots=True)
class Job:
    """What the ranks are to do.

    Attributes:
        name: of the job.
        command: "train" or "search".
        config: path of the TOML file.
        run_dir: where the run will lie.
        sets: settings as `key=value`.
        mpi: what srun is told: pmix, pmi2, ...
        prefix: of an MPI that lies in the Python environment, which cannot find its files under
            srun by itself; "": another MPI.
        mpirun: path of the MPI's own launcher.
        by_host: whether islands are hosts: ranks that go on with fewer hosts have to be told how
            many islands there were.
        bin: directory of the Python environment's programs, for sites that name none.
        resume: go on if there is a run.
    """

    name: str
    command: str
    config: str
    run_dir: str
    sets: tuple[str, ...]
    mpi: str
    prefix: str = ""
    mpirun: str = "mpirun"
    bin: str = ""
    by_host: bool = True
    resume: bool = False


def render(job: Job, request: Request, site: Site) -> str:
    """The text of an sbatch file.

    Raises:
        HpctrainError: if the site cannot give what is asked for, or Jinja2 is missing.
    """
    if request.kind == "container" and not request.image:
        raise ConfigError("image: a container needs one; give --image FILE.sif")
    groups = groups_of(request, site)
    template = _environment().get_template(f"{request.kind}.sbatch.jinja")
    text: str = template.render(
        why=WHY[request.kind], site=site, request=request, groups=groups, job=job,
        time=time_text(seconds_of(request.time)), ranks=sum(group.ranks for group in groups),
        threads=_threads(groups), words=_words(job, request),
        options=_srun_options(request, groups, site),
    )  # fmt: skip
    return text


def _threads(groups: tuple[Group, ...]) -> int | None:
    known = [group.cores_per_rank for group in groups]
    return None if None in known else min(core for core in known if core is not None)


def _srun_options(request: Request, groups: tuple[Group, ...], site: Site) -> list[str]:
    """What srun is told beside the MPI, where it is srun that starts the ranks."""
    if request.kind in ("restarting", "calibrate"):
        return []
    bind = site.launch.gpu_bind
    binds = bool(bind) and any(group.has_gpus for group in groups)
    return [*([f"--gpu-bind={bind}"] if binds else []), *site.launch.options]


def _words(job: Job, request: Request) -> list[str]:
    """The command of the ranks, quoted, one word or option with its value each."""
    words = [f"hpctrain {job.command} {shlex.quote(job.config)}"]
    words += [f"--set {shlex.quote(given)}" for given in job.sets]
    if job.resume or request.kind in ("chain", "preemptible", "restarting"):
        words.append("--resume")
    return words


def _environment() -> Any:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise HpctrainError(
            f"a job script needs Jinja2, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[slurm]'"
        ) from None
    environment = Environment(
        loader=PackageLoader("hpctrain.cluster.jobs"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    return environment
