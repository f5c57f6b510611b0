"""Where a run comes from: versions, machine, commit, configuration. No user names."""

import os
import platform
import secrets
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("hpctrain", "torch", "numpy", "mpi4py", "h5py")  # looked up, never imported
GIT_TIMEOUT_S = 5.0  # a checkout on a busy parallel file system must not hold up a run
UNKNOWN = "unknown"


def identity(
    config_text: str, config_resolved: Mapping[str, Any], seed: int | None
) -> dict[str, Any]:
    """What `run.json` is to hold. Call it on one rank and give all ranks the same.

    Args:
        config_text: the configuration as the user wrote it, TOML.
        config_resolved: the same with all defaults filled in; must go into JSON.
        seed: the run's seed.
    """
    commit, dirty = git_commit(Path.cwd())
    return {
        "run_id": secrets.token_hex(8),
        "start_time_utc": utc_now().isoformat(timespec="microseconds"),
        "config": config_text,
        "config_resolved": dict(config_resolved),
        "seed": seed,
        "git_commit": commit,
        "git_dirty": dirty,
        "versions": versions(),
        "host": platform.node(),
        "platform": platform.platform(),
        "num_cpus": os.cpu_count() or 0,
    }


def versions() -> dict[str, str]:
    """Python and the installed packages that decide about numbers; those not there are left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def batch_job(environ: Mapping[str, str]) -> dict[str, str]:
    """The batch job that this process is in: number, partition, account; empty outside of Slurm."""
    names = {
        "id": "SLURM_JOB_ID", "array": "SLURM_ARRAY_JOB_ID", "task": "SLURM_ARRAY_TASK_ID",
        "partition": "SLURM_JOB_PARTITION", "account": "SLURM_JOB_ACCOUNT",
        "restarts": "SLURM_RESTART_COUNT", "num_hosts": "SLURM_JOB_NUM_NODES",
    }  # fmt: skip
    return {key: environ[name] for key, name in names.items() if environ.get(name)}


def git_commit(directory: Path) -> tuple[str, bool]:
    """The commit checked out around `directory`, and whether tracked files differ from it."""
    commit = _git(directory, "rev-parse", "HEAD")
    if commit is None:
        return UNKNOWN, False
    return commit, bool(_git(directory, "status", "--porcelain", "--untracked-files=no"))


def utc_now() -> datetime:
    """Wall time, for people and for lining up hosts; durations use the monotonic clock."""
    return datetime.now(UTC)


def _git(directory: Path, *arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
