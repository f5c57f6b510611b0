"""The only reader of the launcher's environment: who started this process, and as which rank.

A process can be inside an allocation without being a launched rank: a batch script has
SLURM_PROCID=0 too. A rank of a Slurm step also knows how many tasks its step has.
"""

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hpctrain.errors import LaunchError

LauncherName = Literal[
    "none", "openmpi", "mpich", "slurm", "pals", "flux", "pmi", "pmix", "torchrun"
]

Scheduler = Literal["slurm", "pbs", "lsf", "flux"]

# Set by `hpctrain launch` for its ranks: Open MPI gives every rank a terminal of its own, even if
# the output goes to a file.
TERMINAL_VARIABLE = "HPCTRAIN_TERMINAL"

# Slurm numbers steps that are no user's job steps (batch, extern, interactive) from here on.
_FIRST_SPECIAL_STEP = 0xFFFFFFF0


@dataclass(frozen=True, slots=True)
class Launcher:
    """Who started this process; None stands for what the environment does not say.

    Attributes:
        name: "none" if it is not a launched rank.
        size: ranks that were started together.
        scheduler: whose job it is.
        end_time_unix_s: when the job's wall time is over.
        address: of this host in Slurm's network, such as "s0.s2.n1".
        switch: the lowest one above this host, or its block, where Slurm knows the network.
        terminal: whether the output of all ranks ends in a terminal.
        exact: False in a job of several components, where `size` may be that of one, or of more
            than were started.
    """

    name: LauncherName
    host: str
    size: int | None = None
    rank: int | None = None
    local_rank: int | None = None
    local_size: int | None = None
    job_id: str | None = None
    scheduler: Scheduler | None = None
    end_time_unix_s: float | None = None
    num_hosts: int | None = None
    address: str | None = None
    switch: str | None = None
    terminal: bool | None = None
    exact: bool = True

    @property
    def is_rank(self) -> bool:
        return self.name != "none"

    @property
    def speaks(self) -> bool:
        """Whether this process is the one of the job that talks to the user."""
        return self.rank in (0, None)


def read_launcher(env: Mapping[str, str]) -> Launcher:
    """What `env`, the environment of this process, says about its launcher."""
    name = _name(env)
    size, rank, local_rank, local_size = _place(name, env)
    scheduler = next((one for one, key in _JOB_IDS.items() if env.get(key)), None)
    return Launcher(
        name=name,
        host=env.get("SLURMD_NODENAME") or socket.gethostname(),
        size=size,
        rank=rank,
        local_rank=local_rank,
        local_size=local_size,
        job_id=env[_JOB_IDS[scheduler]] if scheduler else None,
        scheduler=scheduler,
        end_time_unix_s=_float(env, "SLURM_JOB_END_TIME"),
        num_hosts=_num_hosts(name, scheduler, env),
        address=env.get("SLURM_TOPOLOGY_ADDR") or None,
        switch=_switch(env),
        terminal=_flag(env, TERMINAL_VARIABLE),
        exact=not (name == "slurm" and "SLURM_HET_SIZE" in env),
    )


def refuse_wrong_world(launcher: Launcher, mpi_size: int, flag: str = "") -> None:
    """Stops a job whose launcher and MPI do not know each other.

    Without this, N ranks would each train alone, and report success.

    Args:
        launcher: who started this process.
        mpi_size: size of MPI's world.
        flag: what `srun --mpi=` must be told for the library that was loaded; "": not known.

    Raises:
        LaunchError: if the sizes differ.
    """
    if launcher.size is None or launcher.size == mpi_size or (not launcher.exact and mpi_size > 1):
        return
    way_out = _WAY_OUT.get(launcher.name, _OTHER)
    if launcher.name == "slurm" and flag:
        way_out = (
            f"use srun --mpi={flag}, which that library needs; srun --mpi=list says what there is"
        )
    raise LaunchError(
        f"{launcher.name} started {launcher.size} ranks, but MPI sees {mpi_size}: the launcher does"
        f" not belong to the MPI library that Python loads; {way_out}"
    )


_JOB_IDS: Mapping[Scheduler, str] = {
    "slurm": "SLURM_JOB_ID", "pbs": "PBS_JOBID", "lsf": "LSB_JOBID", "flux": "FLUX_JOB_ID",
}  # fmt: skip
_OTHER = "use the mpirun of that library, or: hpctrain launch"
_WAY_OUT: Mapping[str, str] = {
    "slurm": "try srun --mpi=pmix (Open MPI) or srun --mpi=pmi2 (MPICH); hpctrain doctor names it",
    "torchrun": "use mpirun, srun or hpctrain launch instead of torchrun",
}


def _name(env: Mapping[str, str]) -> LauncherName:
    """Inner launchers first: mpirun inside a Slurm step leaves Slurm's variables in place."""
    if "OMPI_COMM_WORLD_RANK" in env:
        return "openmpi"
    if "PMI_RANK" in env and "MPI_LOCALNRANKS" in env:
        return "mpich"
    if _is_slurm_rank(env):
        return "slurm"
    if "PALS_RANKID" in env:
        return "pals"
    if "FLUX_TASK_RANK" in env:
        return "flux"
    if "PMI_RANK" in env:
        return "pmi"
    if "PMIX_RANK" in env:
        return "pmix"
    return "torchrun" if "TORCHELASTIC_RUN_ID" in env else "none"


def _is_slurm_rank(env: Mapping[str, str]) -> bool:
    step = _int(env, "SLURM_STEP_ID")
    return (
        "SLURM_PROCID" in env
        and "SLURM_STEP_NUM_TASKS" in env
        and (step is None or step < _FIRST_SPECIAL_STEP)
    )


# (size, rank, local rank, local size) by launcher.
_VARIABLES: Mapping[LauncherName, tuple[str, str, str, str]] = {
    "openmpi": (
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
    "mpich": ("PMI_SIZE", "PMI_RANK", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    "slurm": ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", ""),
    "pals": ("PMI_SIZE", "PALS_RANKID", "PALS_LOCAL_RANKID", "PALS_LOCAL_SIZE"),
    "flux": ("FLUX_JOB_SIZE", "FLUX_TASK_RANK", "FLUX_TASK_LOCAL_ID", ""),
    "pmi": ("PMI_SIZE", "PMI_RANK", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"),
    "pmix": ("", "PMIX_RANK", "", ""),
    "torchrun": ("WORLD_SIZE", "RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
}


def _place(
    name: LauncherName, env: Mapping[str, str]
) -> tuple[int | None, int | None, int | None, int | None]:
    if name == "none":
        return None, None, None, None
    size, rank, local_rank, local_size = (_int(env, key) for key in _VARIABLES[name])
    if name == "slurm":
        local_size = _tasks_here(env)
        if "SLURM_HET_SIZE" in env and size is not None:
            size = max(size, _int(env, "SLURM_NTASKS") or 0)
    return size, rank, local_rank, local_size


def _tasks_here(env: Mapping[str, str]) -> int | None:
    """From Slurm's `2(x3),1`: two tasks on each of three hosts, one on the fourth."""
    host_index = _int(env, "SLURM_NODEID")
    per_host: list[int] = []
    for part in env.get("SLURM_STEP_TASKS_PER_NODE", "").split(","):
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part)
        if match is None:
            return None
        per_host += [int(match[1])] * int(match[2] or 1)
    return per_host[host_index] if host_index is not None and host_index < len(per_host) else None


def _num_hosts(
    name: LauncherName, scheduler: Scheduler | None, env: Mapping[str, str]
) -> int | None:
    if name == "slurm":
        return _int(env, "SLURM_STEP_NUM_NODES") or _int(env, "SLURM_JOB_NUM_NODES")
    if name == "flux":
        return _int(env, "FLUX_JOB_NNODES")
    return len(_pbs_hosts(env)) or None if scheduler == "pbs" else None


def _pbs_hosts(env: Mapping[str, str]) -> tuple[str, ...]:
    """The hosts of the job, in order: PBS lists them in a file, once for each rank they may hold.

    The first host of the job has the file; others may not.
    """
    try:
        lines = Path(env["PBS_NODEFILE"]).read_text(encoding="utf-8").split()
    except (KeyError, OSError, UnicodeDecodeError):
        return ()
    return tuple(dict.fromkeys(lines))


def _switch(env: Mapping[str, str]) -> str | None:
    """From an address such as s0.s[2-3].n1, whose parts are named in switch.switch.node.

    See srun(1) for topology/tree; topology/block has one part instead, named block.
    """
    kinds = env.get("SLURM_TOPOLOGY_ADDR_PATTERN", "").split(".")
    parts = env.get("SLURM_TOPOLOGY_ADDR", "").split(".", len(kinds) - 1)
    if len(parts) != len(kinds):
        return None
    named = [part for kind, part in zip(kinds, parts, strict=True) if kind in ("switch", "block")]
    return next((part for part in reversed(named) if part), None)


def _int(env: Mapping[str, str], key: str) -> int | None:
    text = env.get(key, "")
    return int(text) if text.isdecimal() else None


def _float(env: Mapping[str, str], key: str) -> float | None:
    text = env.get(key, "")
    return float(text) if re.fullmatch(r"\d+(\.\d*)?", text) else None


def _flag(env: Mapping[str, str], key: str) -> bool | None:
    return {"1": True, "0": False}.get(env.get(key, ""))
