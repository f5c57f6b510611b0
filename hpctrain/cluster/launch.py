"""Starts ranks on this machine: `hpctrain launch -n 4 train run.toml`.

A workstation or a container needs help that a cluster's own launcher does not: the mpirun that
belongs to Python's MPI, permission for root, more ranks than cores, threads that share the cores.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hpctrain.cluster.launcher import TERMINAL_VARIABLE, read_launcher
from hpctrain.cluster.mpirun import Mpirun, find_mpirun, query_mpi
from hpctrain.errors import LaunchError

COMMANDS = ("train", "search")  # of hpctrain, that several ranks can run

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def launch(num_ranks: int, args: Sequence[str], env: Mapping[str, str] | None = None) -> int:
    """Runs a command of hpctrain, a script, or Python options on `num_ranks` ranks.

    The first SIGTERM, SIGINT or SIGHUP reaches the ranks as SIGUSR1, which lets them write a
    checkpoint and end: mpirun would kill them at once. The second ends them.

    Args:
        num_ranks: at least one; there may be more than cores.
        args: `train run.toml`, `script.py ...`, or options for Python such as `-m module`.
        env: the environment of the ranks, this process's own if None.

    Returns:
        The exit code of mpirun.

    Raises:
        LaunchError: if there is nothing to run, no MPI, or if this process is itself a rank.
    """
    env = os.environ if env is None else env
    if num_ranks < 1:
        raise LaunchError(f"-n {num_ranks} is not allowed; give at least one rank")
    _refuse_inside_a_rank(env)
    command = rank_command(args)
    mpirun = find_mpirun(query_mpi(env), env)
    # A process group of its own: Ctrl-C goes to this process, which hands it on more gently.
    child = subprocess.Popen(
        [str(mpirun.path), "-n", str(num_ranks), *command],
        env=rank_environment(mpirun, num_ranks, env),
        stdin=subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None,
        process_group=0,
    )
    return _wait(child)


def rank_command(args: Sequence[str]) -> list[str]:
    """The command line of one rank.

    Raises:
        LaunchError: if `args` are not something that ranks can run.
    """
    if not args:
        raise LaunchError("nothing to launch; give for example: hpctrain launch -n 4 train a.toml")
    first = args[0]
    if first in COMMANDS:
        return [sys.executable, "-m", "hpctrain.cli", *args]
    if first.startswith("-"):
        return [sys.executable, *args]
    if not Path(first).is_file():
        raise LaunchError(
            f"{first!r} is neither a Python file nor a command that runs on several ranks"
            f" ({', '.join(COMMANDS)})"
        )
    return [sys.executable, *args]


def rank_environment(mpirun: Mpirun, num_ranks: int, env: Mapping[str, str]) -> dict[str, str]:
    """The environment of mpirun and its ranks: `env`, and defaults for what it leaves open."""
    defaults = {
        # Threads that spin while they wait would stop the threads of other ranks from computing.
        "OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // num_ranks)),
        "OMP_WAIT_POLICY": "PASSIVE",
        **_defaults_by_family(mpirun),
    }
    search_path = os.pathsep.join([str(mpirun.path.parent), env.get("PATH", "")])
    always = {"PATH": search_path, TERMINAL_VARIABLE: str(int(os.isatty(1)))}
    return {**defaults, **env, **always}


def _defaults_by_family(mpirun: Mpirun) -> dict[str, str]:
    match mpirun.family:
        case "openmpi":
            return {
                "OMPI_ALLOW_RUN_AS_ROOT": "1",
                "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
                # More ranks than cores, and none bound to a single core: version 5, then 4.
                "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
                "PRTE_MCA_hwloc_default_binding_policy": "none",
                "OMPI_MCA_rmaps_base_oversubscribe": "1",
                "OMPI_MCA_hwloc_base_binding_policy": "none",
                "OMPI_MCA_osc": "^ucx",  # or it complains about a component that is not there
            }
        case "mpich" | "intel":
            return {"UCX_LOG_LEVEL": "error"}
        case "other":
            return {}


def _refuse_inside_a_rank(env: Mapping[str, str]) -> None:
    launcher = read_launcher(env)
    if launcher.is_rank:
        raise LaunchError(
            f"this is already rank {launcher.rank} of a job started by {launcher.name}; leave out"
            " `hpctrain launch -n N` and let that launcher start the command itself"
        )


def _wait(child: "subprocess.Popen[bytes]") -> int:
    """Hands signals on until `child` ends, and returns its exit code."""
    asked_to_end = False

    def hand_on(number: int, _frame: object) -> None:
        nonlocal asked_to_end
        if number in _ENDING:
            number, asked_to_end = (
                (signal.SIGTERM, True) if asked_to_end else (signal.SIGUSR1, True)
            )
        child.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in _FORWARDED}
    try:
        code = child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 128 - code if code < 0 else code
