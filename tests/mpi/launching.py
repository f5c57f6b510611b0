"""Starts programs under mpirun for tests: in a subprocess, with a timeout, never in pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpctrain.storage.read import open_run

ROOT = Path(__file__).parents[2]
MPICH = Path(sys.prefix) / "mpich" / "lib" / "libmpi.so.12"

# What mpirun says if it could not start itself, and so no rank either; on a busy machine, rarely.
NOT_STARTED = "The PMIx server's listener thread failed to start"

TINY = """
[task]
factory = "tests.programs.tiny_task:task"
[method]
name = "{method}"
sync_every = {sync_every}
[stop]
steps = {steps}
[evaluate]
every_rounds = 0
[progress]
show = "none"
"""


def tiny_config(
    folder: Path, method: str = "heloco", steps: int = 240, sync_every: int = 10
) -> Path:
    """A run.toml for the tiny task; runs go below `folder`."""
    sync_every = 1 if method == "ddp" else sync_every
    path = folder / "tiny.toml"
    text = f'run_dir = "{folder}/run"\n' + TINY.format(
        method=method, steps=steps, sync_every=sync_every
    )
    path.write_text(text)
    return path


def start(
    num_ranks: int, *arguments: str | Path, env: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `hpctrain launch -n num_ranks arguments` in the root of the project."""
    return subprocess.Popen(
        [sys.executable, "-m", "hpctrain", "launch", "-n", str(num_ranks), *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    num_ranks: int, *arguments: str | Path, code: int | None = 0, timeout_s: float = 120,
    env: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run to the end, and check the exit code (None: any but 0)."""
    try:
        return finish(start(num_ranks, *arguments, env=env), code, timeout_s)
    except NotStartedError:
        return finish(start(num_ranks, *arguments, env=env), code, timeout_s)


def train_all(num_ranks: int, config: Path, runs: dict[str, list[str]], **more: Any) -> Path:
    """Train `config` for each of `runs` (name -> overrides) in one job; the folder of all runs."""
    words: list[str] = []
    for name, overrides in runs.items():
        words += ["--"] if words else []
        words += [f'run_dir="{config.parent}/{name}"', *overrides]
    run(num_ranks, ROOT / "tests" / "programs" / "train_all.py", config, *words, **more)
    return config.parent


class NotStartedError(AssertionError):
    """It was mpirun that failed, before there was anything to test."""


def finish(
    process: subprocess.Popen[str], code: int | None = 0, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Wait for `process`; one that hangs is ended, and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.terminate()
        time.sleep(1)
        process.terminate()
        out, err = process.communicate(timeout=20)
        raise AssertionError(f"still running after {timeout_s} s\n{out}\n{err}") from None
    if NOT_STARTED in err:
        raise NotStartedError(err)
    right = process.returncode == code if code is not None else process.returncode != 0
    assert right, f"exit code {process.returncode}, not {code}\n{out}\n{err}"
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def fingerprints(run_dir: Path) -> dict[int, str]:
    """SHA-256 of the outer parameters by fragment, as the homes noted it at the (last) end."""
    table = open_run(run_dir).table("home")
    return {int(f): str(s) for f, s in zip(table["fragment"], table["sha256"], strict=True)}


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "what the test waits for did not happen"
        time.sleep(0.02)


def rounds_so_far(run_dir: Path) -> int:
    """Rounds in the store of a run that goes on."""
    if not (run_dir / "run.json").exists():
        return 0
    return len(open_run(run_dir).table("round").get("round", ()))
