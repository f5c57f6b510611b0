"""Runs that are stopped, killed and resumed under mpirun."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from hpctrain.storage.checkpoints import CheckpointDir
from hpctrain.storage.read import open_run
from tests.mpi.launching import (
    fingerprints,
    finish,
    rounds_so_far,
    run,
    start,
    tiny_config,
    train_all,
    wait_until,
)

pytestmark = pytest.mark.mpi


CASES = {
    "diloco": ("diloco", 2), "ddp": ("ddp", 2), "lockstep": ("diloco", 1), "co2": ("co2", 2),
}  # fmt: skip
WAITING = {
    "grace": ["method.name=mla", "method.grace_s=0.3", "method.group=mean"],
    "quorum": ["method.name=diloco", "method.quorum=2", "method.grace_s=0.3"],
    "buffer": ["method.name=delayed_nesterov", "method.local_steps=dylu"],
}


def overrides(name: str) -> list[str]:
    method, islands = CASES[name]
    sync_every = 1 if method == "ddp" else 10
    return [
        f"method.name={method}", f"method.sync_every={sync_every}",
        f"topology.islands={islands}", f"stop.steps={120 * islands}",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of `CASES` without an interruption, and one whose budget is raised at the end."""
    config = tiny_config(tmp_path_factory.mktemp("runs"))
    runs = {name: overrides(name) for name in CASES} | {
        "raised": ["stop.steps=100"],
    }
    return train_all(2, config, runs)


@pytest.mark.parametrize("name", CASES)
def test_a_stopped_synchronous_run_resumes_bit_for_bit(name: str, uninterrupted: Path) -> None:
    config, run_dir = uninterrupted / "tiny.toml", uninterrupted / f"{name}_stopped"
    settings = [f'run_dir="{run_dir}"', *overrides(name)]
    flags = [word for item in settings for word in ("--set", item)]
    process = start(2, "train", config, *flags, "--set", "task.options.sleep_s=0.02")
    wait_until(lambda: rounds_so_far(run_dir) >= 5)
    process.send_signal(signal.SIGTERM)
    assert "go on with --resume" in finish(process).stdout
    run(2, "train", config, *flags, "--resume")
    assert fingerprints(run_dir) == fingerprints(uninterrupted / name)
    late = 20 if name == "co2" else 0  # a round that was under way when the last was merged
    assert open_run(run_dir).table("round")["steps"].sum() == 120 * CASES[name][1] + late


@pytest.mark.parametrize("name", WAITING)
def test_a_run_stopped_while_homes_wait_loses_no_step(name: str, tmp_path: Path) -> None:
    config, run_dir = tiny_config(tmp_path), tmp_path / "run"
    slow = ["task.options.sleep_s=0.01", "pace.step_s=0.02", "pace.factors=[1, 1.5, 3]"]
    flags = [word for item in [*WAITING[name], *slow] for word in ("--set", item)]
    process = start(3, "train", config, *flags)
    wait_until(lambda: rounds_so_far(run_dir) >= 5)
    process.send_signal(signal.SIGTERM)
    assert "go on with --resume" in finish(process).stdout
    run(3, "train", config, *flags, "--resume")
    store = open_run(run_dir)
    taken, updates = store.table("round")["steps"].sum(), store.table("outer_update")
    assert taken >= 240
    for fragment in set(updates["fragment"]):
        assert updates["steps"][updates["fragment"] == fragment].sum() == taken


def test_a_finished_run_goes_on_when_its_budget_is_raised(uninterrupted: Path) -> None:
    again = [f'run_dir="{uninterrupted}/raised"', "checkpoint.resume=true"]
    first = fingerprints(uninterrupted / "raised")
    train_all(2, uninterrupted / "tiny.toml", {"raised": [*again, "stop.steps=100"]})
    assert fingerprints(uninterrupted / "raised") == first  # nothing left to do
    train_all(2, uninterrupted / "tiny.toml", {"raised": [*again, "stop.steps=200"]})
    assert open_run(uninterrupted / "raised").table("round")["steps"].sum() >= 200


def test_another_number_of_ranks_is_refused_before_anything_starts(uninterrupted: Path) -> None:
    where = ("--set", f'run_dir="{uninterrupted}/raised"')
    answer = run(3, "train", uninterrupted / "tiny.toml", *where, "--resume", code=2)
    assert answer.stderr.count("checkpoint.resume") == 1
    assert "Traceback" not in answer.stderr


def test_a_run_directory_is_not_overwritten(uninterrupted: Path) -> None:
    where = ("--set", f'run_dir="{uninterrupted}/raised"')
    answer = run(2, "train", uninterrupted / "tiny.toml", *where, code=2)
    assert "resume" in answer.stderr


def test_an_asynchronous_run_loses_no_step_to_a_stop(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "heloco", steps=400)
    process = start(3, "train", config, "--set", "task.options.sleep_s=0.01")
    wait_until(lambda: rounds_so_far(tmp_path / "run") >= 6)
    process.send_signal(signal.SIGUSR1)
    finish(process)
    run(3, "train", config, "--resume")
    store = open_run(tmp_path / "run")
    updates = store.table("outer_update")
    trained = store.table("round")["steps"].sum()
    for fragment in set(updates["fragment"]):
        assert updates["steps"][updates["fragment"] == fragment].sum() == trained


def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "heloco", steps=600)
    often = ("--set", "checkpoint.every_minutes=0.005", "--set", "task.options.sleep_s=0.005")
    process = start(2, "train", config, *often)
    checkpoints = CheckpointDir(tmp_path / "run")
    wait_until(lambda: len(checkpoints.complete()) >= 2)
    _kill_ranks(process)
    finish(process, code=None)
    before = rounds_so_far(tmp_path / "run")
    assert before > 0  # readable after a kill -9
    run(2, "train", config, "--resume")
    assert fingerprints(tmp_path / "run")


def _kill_ranks(process: subprocess.Popen[str]) -> None:
    """kill -9 of every rank at once, as a host that dies would."""
    listing = subprocess.run(
        ["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True
    ).stdout.split("\n")[1:]
    parents = dict(tuple(map(int, line.split())) for line in listing if line.strip())
    ranks = [pid for pid in parents if _descends(pid, process.pid, parents) and pid != process.pid]
    for pid in ranks:
        try:
            if b"python" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                os.kill(pid, signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            continue
    time.sleep(0.1)


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid == ancestor:
            return True
        pid = parents[pid]
    return False
