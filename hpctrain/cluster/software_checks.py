"""Checks of what was installed and how this process was started: Python, torch, MPI, threads."""

import importlib.util
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpctrain.cluster.check import Check
from hpctrain.cluster.launcher import Launcher
from hpctrain.cluster.mpirun import find_mpirun
from hpctrain.errors import LaunchError


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores that this process may use, which a launcher may have limited, and the host's."""

    mine: int
    all: int


_TORCH_HINT = 'python -m pip install "hpctrain[torch]"'


def python_check() -> Check:
    return Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def torch_check() -> Check:
    """Whether torch is there; importing it takes seconds."""
    if importlib.util.find_spec("torch") is None:
        return Check("torch", "problem", "not installed, nothing can be trained", _TORCH_HINT)
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    threads = torch.get_num_threads()
    noun = "thread" if threads == 1 else "threads"
    return Check("torch", "ok", f"{torch.__version__} ({build}), {threads} {noun}")


def threads_check(env: Mapping[str, str], launcher: Launcher, cores: Cores) -> Check:
    """Whether the threads of the ranks on this host fit on its cores."""
    text, policy = env.get("OMP_NUM_THREADS", ""), env.get("OMP_WAIT_POLICY", "")
    num_ranks = launcher.local_size or 1
    found = (
        f"{cores.mine} of {cores.all} cores, {num_ranks} ranks here,"
        f" OMP_NUM_THREADS={text or 'unset'}, OMP_WAIT_POLICY={policy or 'unset'}"
    )
    num_threads = int(text) if text.isdecimal() else 1
    fitting = max(1, min(cores.mine, cores.all // num_ranks))
    if num_threads > fitting:
        hint = f"export OMP_NUM_THREADS={fitting} OMP_WAIT_POLICY=PASSIVE"
        return Check("threads", "problem", found, hint)
    if launcher.is_rank and num_threads > 1 and policy.upper() != "PASSIVE":
        return Check("threads", "note", found, "export OMP_WAIT_POLICY=PASSIVE")
    return Check("threads", "ok", found)


def launcher_check(launcher: Launcher) -> Check:
    """Who started this process, and whether that can work."""
    hosts = f" on {launcher.num_hosts} hosts" if (launcher.num_hosts or 1) > 1 else ""
    job = f", job {launcher.job_id}{hosts}" if launcher.job_id else ""
    if launcher.name == "torchrun":
        return Check("launcher", "problem", "torchrun, which starts no MPI", "use srun or mpirun")
    if launcher.is_rank:
        place = f"rank {launcher.rank} of {launcher.size or '?'}"
        return Check("launcher", "ok", f"{launcher.name}: {place} on {launcher.host}{job}")
    if launcher.job_id:
        starter = "srun" if launcher.scheduler == "slurm" else "mpirun"
        hint = f"start the ranks with: {starter} hpctrain train run.toml"
        return Check("launcher", "note", f"inside an allocation{job}, but not a rank of it", hint)
    return Check("launcher", "ok", "none: one process")


def mpi_checks(facts: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[Check]:
    """The MPI library, its launcher, and what it can do.

    Args:
        facts: of `query_mpi(..., start=True)`.
        env: where to look for a launcher.
    """
    try:
        mpirun = find_mpirun(facts, env)
        launch = Check("mpirun", "ok", f"{mpirun.path} ({mpirun.family})")
    except LaunchError as error:
        if "error" in facts:
            yield Check("MPI", "problem", *_halves(str(error)))
            return
        launch = Check("mpirun", "note", *_halves(str(error)))
    yield _library_check(facts)
    yield _thread_level_check(str(facts["thread_level"]))
    yield _cuda_aware_check(facts["cuda_aware"])
    yield launch


def _library_check(facts: Mapping[str, Any]) -> Check:
    found = (
        f"{facts['vendor']} {facts['version']} (MPI {facts['standard']}, mpi4py {facts['mpi4py']},"
        f" {facts['path'] or facts['abi']})"
    )
    if facts["size"] != 1:
        return Check("MPI", "problem", f"{found} starts alone with size {facts['size']}")
    return Check("MPI", "ok", found)


def _thread_level_check(level: str) -> Check:
    if level == "MULTIPLE":
        return Check("MPI threads", "ok", level)
    hint = "runs work, without a service thread; an MPI built with thread support has one"
    return Check("MPI threads", "note", level, hint)


def _cuda_aware_check(aware: bool | None) -> Check:
    if aware:
        return Check("CUDA-aware MPI", "ok", "yes")
    found = "unknown" if aware is None else "no"
    return Check("CUDA-aware MPI", "ok", f"{found}; tensors travel through the host's memory")


def _halves(text: str) -> tuple[str, str]:
    found, _, hint = text.partition("; ")
    return found, hint
