"""How much of the energy a run has lost after kill -9 of all its ranks at a random moment.

Trainings of two ranks look at a fake RAPL counter once a second, which a process moves. Each is
killed 1 to 25 s after its first look at the sensors; then the run is opened and reported.

`max_lost_s`: from the kill back to the last look at the sensors that the store has, the worst of
all runs. `max_unbooked_s`: ... that the ranks' ledgers have. `opened`: runs that could be opened
and whose report ended well, of `runs`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from report import print_result

from hpctrain.errors import HpctrainError
from hpctrain.storage.read import open_run

HERE = Path(__file__).parent
RUNS = 20
AT_ONCE = 2
RANKS = 2
KILL_S = (1.0, 25.0)
SHARED_MEMORY = Path("/dev/shm")
START_S = 60.0  # by then the first look has been taken, or the run did not start
CONFIG = """
run_dir = "{folder}/run"
task.factory = "tests.programs.tiny_task:task"
task.options.sleep_s = 0.01
method.sync_every = 20
stop.minutes = 5
evaluate.every_rounds = 0
progress.show = "none"
energy.meter = "rapl"
energy.sysfs_root = "{tree}"
"""


@dataclass(frozen=True)
class Killed:
    """What a run that was killed has in its store."""

    after_s: float
    lost_s: float
    unbooked_s: float
    opened: bool


def train_and_kill(folder: Path, tree: Path, after_s: float) -> Killed:
    """A training that is killed `after_s` after its first look at the sensors."""
    folder.mkdir()
    config = folder / "run.toml"
    config.write_text(CONFIG.format(folder=folder, tree=tree))
    command = [sys.executable, "-m", "hpctrain", "launch", "-n", str(RANKS), "train", str(config)]
    job = subprocess.Popen(
        command, cwd=HERE.parent, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait_until(lambda: _looked(folder / "run"), job)
        time.sleep(after_s)
        ranks = list(_ranks_below(job.pid))
        leftovers = {path for pid in ranks for path in _in_shared_memory(pid)}
        for pid in ranks:
            os.kill(pid, signal.SIGKILL)
        killed_s = time.time_ns() / 1e9
        assert len(ranks) == RANKS, f"{len(ranks)} ranks were there to be killed"
        job.wait(START_S)
    finally:
        if job.poll() is None:
            job.terminate()
            job.wait()
    for path in leftovers:
        path.unlink(missing_ok=True)
    return _what_is_left(folder / "run", after_s, killed_s)


def _what_is_left(run_dir: Path, after_s: float, killed_s: float) -> Killed:
    report = subprocess.run(
        [sys.executable, "-m", "hpctrain", "energy", "report", str(run_dir)],
        capture_output=True, check=False,
    )  # fmt: skip
    try:
        run = open_run(run_dir)
    except HpctrainError:
        return Killed(after_s, float("inf"), float("inf"), opened=False)
    # the first look is taken as the run starts: before the first rows there is nothing but that
    first_s = killed_s - after_s
    lost, unbooked = (
        killed_s - max(run.table(kind).get("utc_s", ()), default=first_s)
        for kind in ("energy_sample", "energy")
    )
    return Killed(after_s, float(lost), float(unbooked), report.returncode == 0)


def _looked(run_dir: Path) -> bool:
    """Is the file of samples there? The first look is taken as soon as it is made."""
    try:
        run_id = json.loads((run_dir / "run.json").read_text())["run_id"]
    except (OSError, ValueError):
        return False
    return any(SHARED_MEMORY.glob(f"hpctrain-*-{run_id}-*.energy"))


def _in_shared_memory(pid: int) -> set[Path]:
    """Files that a process has mapped there: after kill -9 nobody else removes them."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    paths = {line.split(maxsplit=5)[-1] for line in lines if f" {SHARED_MEMORY}/" in line}
    return {Path(path) for path in paths if not path.endswith("(deleted)")}


def _wait_until(ready: Callable[[], bool], job: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while not ready():
        assert job.poll() is None, "the training ended before its first look at the sensors"
        assert time.monotonic() < deadline_s, "the training did not start"
        time.sleep(0.05)


def _ranks_below(pid: int) -> Iterator[int]:
    """Descendants of our own process that are ranks: those that have no children named so."""
    for child in _children(pid):
        line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if b"train" in line and b"-n" not in line:
            yield child
        else:
            yield from _ranks_below(child)


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


@contextmanager
def moving(tree: Path) -> Iterator[None]:
    """A process that moves the counter."""
    words = [sys.executable, str(HERE / "energy_accuracy.py"), "drive", str(tree), "phases"]
    driver = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None
        driver.stdout.readline()
        yield
    finally:
        driver.terminate()
        driver.communicate()


def main(num_runs: int) -> None:
    draw = random.Random(7)
    moments = [draw.uniform(*KILL_S) for _ in range(num_runs)]
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(AT_ONCE) as pool:
        folder, tree = Path(name), Path(name) / "sys"
        with moving(tree):
            jobs = [
                pool.submit(train_and_kill, folder / f"{place}", tree, after_s)
                for place, after_s in enumerate(moments)
            ]
            killed = [job.result() for job in jobs]
    lost, unbooked = ([getattr(k, key) for k in killed] for key in ("lost_s", "unbooked_s"))
    opened = sum(k.opened for k in killed)
    print_result(
        f"Energy lost by kill -9 of all ranks, {num_runs} trainings, at 1 Hz",
        ["what", "median", "worst"],
        [
            ["seconds since the last look that is in the store", f"{median(lost):.1f}",
             f"{max(lost):.1f}"],
            ["seconds since the last entry of a ledger", f"{median(unbooked):.1f}",
             f"{max(unbooked):.1f}"],
            ["runs that open and have a report", "", f"{opened} of {num_runs}"],
        ],
        {
            "max_lost_s": round(max(lost), 2), "max_unbooked_s": round(max(unbooked), 2),
            "opened": opened, "runs": num_runs,
        },
    )  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)
