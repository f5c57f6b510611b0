"""Slurm's own commands, as far as they are needed: sbatch, squeue, sacct."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hpctrain.errors import LaunchError

TIMEOUT_S = 60.0
FIELDS = (
    "JobID", "State", "ExitCode", "Elapsed", "Timelimit", "NNodes", "ConsumedEnergyRaw", "User",
    "Account", "Partition",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Queued:
    """A job that waits or runs, as squeue says."""

    state: str
    reason: str
    left: str
    hosts: str


def submit(script: Path) -> str:
    """Submit it; the number of the job.

    Raises:
        LaunchError: if Slurm refuses it, with what it said.
    """
    said = _run("sbatch", "--parsable", str(script)).strip()
    number = said.splitlines()[-1].split(";")[0] if said else ""
    if not number.isdigit():
        raise LaunchError(f"sbatch: gave no number of a job for {script}, but: {said or 'nothing'}")
    return number


def try_out(script: Path) -> str:
    """Ask Slurm whether and when it would start; nothing is submitted.

    Raises:
        LaunchError: if Slurm refuses it, with what it said.
    """
    return _run("sbatch", "--test-only", str(script)).strip()


def queued(job: str) -> Queued | None:
    """None if it neither waits nor runs, or there is no Slurm."""
    if shutil.which("squeue") is None:
        return None
    try:
        text = _run("squeue", "--noheader", "--jobs", job, "--format=%T|%r|%L|%N")
    except LaunchError:
        return None  # Slurm has forgotten it
    rows = [row for line in text.splitlines() if len(row := line.split("|")) == 4]
    if not rows:
        return None
    state, reason, left, _ = rows[0]  # a heterogeneous job has several
    return Queued(state, reason, left, ",".join(row[3] for row in rows if row[3]))


def accounted(jobs: Sequence[str]) -> list[dict[str, str]]:
    """The rows of sacct, one per job and restart; none without accounting."""
    if not jobs or shutil.which("sacct") is None:
        return []
    options = ("--allocations", "--duplicates", "--noheader", "--parsable2")
    try:
        text = _run("sacct", *options, "--jobs", ",".join(jobs), "--format", ",".join(FIELDS))
    except LaunchError:
        return []
    rows = (line.split("|") for line in text.splitlines())
    return [dict(zip(FIELDS, row, strict=True)) for row in rows if len(row) == len(FIELDS)]


def _run(*command: str) -> str:
    if shutil.which(command[0]) is None:
        raise LaunchError(
            f"{command[0]} is not here: is this a login node of a cluster with Slurm?"
        )
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{command[0]}: no answer within {TIMEOUT_S:.0f} s") from None
    except OSError as error:
        raise LaunchError(f"{command[0]}: cannot be started: {error.strerror}") from None
    if done.returncode != 0:
        raise LaunchError(f"{command[0]}: {_in_a_line(done.stderr or done.stdout)}")
    return done.stdout or done.stderr


def _in_a_line(text: str) -> str:
    """What Slurm said, without the name of the program and its `error: ` before every line."""
    lines = [re.sub(r"^(\w+: )?(error: |fatal: )?", "", line) for line in text.splitlines()]
    return "; ".join(line for line in lines if line.strip()) or "failed, and did not say why"
