"""What measuring energy costs: processor time, start-up, memory, regions, reading it; beside perun.

The sensors are plain files in the form of RAPL counters: two packages and two memories. Reading
real counters takes the kernel longer; how much is not in these figures. The meter is that of a run,
as `start_metering` makes it, and shares out the energy of four real processes.

`core_pct_1hz`, `core_pct_10hz`: percent of one core that the sampler's thread takes. `startup_s`:
what `start_metering` takes in a process that has not done it before. `region_us`: entering and
leaving `hpctrain.region`, beside a sampler at 1 Hz. `read_us`: the energy of the host to date, as
any rank reads it; `now_us`: `run.energy`. `bytes_growth_per_day`: of the resident memory of sampler
and four ledgers, and of their file, in the last 22 hours of a day in virtual time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from timeit import repeat
from typing import Any

from fake_sensors import FakeTree
from report import print_result

import hpctrain
from hpctrain.compose.clock import RunClock
from hpctrain.compose.metering import start_metering
from hpctrain.config import config_from_keywords
from hpctrain.metering.board import BoardReader
from hpctrain.metering.crew import Member
from hpctrain.metering.live import LiveEnergy
from hpctrain.metering.money import Terms
from hpctrain.runtime.alone import AloneWorld
from hpctrain.storage.log import RankLog

HERE = Path(__file__).parent
PERUN = HERE.parent / ".venv" / "perun" / "bin" / "python"
ZONES = {
    "intel-rapl:0": "package-0", "intel-rapl:0:0": "dram",
    "intel-rapl:1": "package-1", "intel-rapl:1:0": "dram",
}  # fmt: skip
RANKS = 4
SECONDS = {1.0: 20.0, 10.0: 10.0}
TIMES = 3  # each is measured, for the median
CALLS = 10_000
MOVE_EVERY_S = 0.05
DAY_S = 86_400
Figures = dict[str, Any]


class FourRanks(AloneWorld):
    """One rank of a host with three others, which are processes that sleep."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__()
        self._pids = pids

    def gather(self, item: Any) -> list[Any]:
        if not isinstance(item, Member):
            return [item]
        others = [Member(n, item.host, pid, item.cores) for n, pid in enumerate(self._pids, 1)]
        return [item, *others]


class Pages:
    """A notebook over a real log."""

    def __init__(self, path: Path) -> None:
        self._log = RankLog.create(path, {})

    def note(self, kind: str, fields: Any) -> None:
        self._log.append(kind, fields)


def in_a_run(root: Path, rate_hz: float, scratch: Path) -> Figures:
    """What the meter of the first of four ranks costs in this process."""
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(RANKS - 1)]
    world = FourRanks([sleeper.pid for sleeper in sleepers])
    keys = {"sysfs_root": str(root), "meter": "rapl", "rate_hz": rate_hz}
    config = config_from_keywords(energy=keys, run_dir=str(scratch))
    pages, clock, run_id = Pages(scratch / "log"), RunClock(), f"cost-{os.getpid()}"
    try:
        began_s = time.perf_counter()
        meter = start_metering(config, world, run_id, pages, clock)
        startup_s = time.perf_counter() - began_s
        (path,) = Path("/dev/shm").glob(f"*{run_id}*")
        figures = threads_pct(rate_hz) | {"startup_s": startup_s}
        figures["board_kib"] = path.stat().st_size / 1024
        if rate_hz == 1.0:
            figures |= calls_us(path)
        began_s = time.perf_counter()
        meter.close()
        return figures | {"stop_s": time.perf_counter() - began_s}
    finally:
        for sleeper in sleepers:
            sleeper.terminate()
            sleeper.wait()


def threads_pct(rate_hz: float) -> Figures:
    """Percent of a core that the meter's threads take."""
    before, began_s = _thread_times(), time.monotonic()
    time.sleep(SECONDS[rate_hz])
    took_s = time.monotonic() - began_s
    used = {name: 100 * (s - before[name]) / took_s for name, s in _thread_times().items()}
    return {"core_pct": used["energy sampler"], "books_pct": used["energy books"]}


def _thread_times() -> dict[str, float]:
    """Processor time of each thread of this process."""
    times = {}
    for thread in threading.enumerate():
        with suppress(OSError):
            assert thread.ident is not None
            times[thread.name] = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return times


def calls_us(path: Path) -> Figures:
    """Microseconds of what users call."""
    reader = BoardReader(path)
    live = LiveEnergy(reader, 0, Terms())

    def enter_and_leave() -> None:
        with hpctrain.region("load"):
            pass

    calls = {"region_us": enter_and_leave, "read_us": reader.to_date, "now_us": live.now}
    return {
        name: median(repeat(call, number=CALLS, repeat=25)) / CALLS * 1e6
        for name, call in calls.items()
    }


def child(*words: object, python: str | Path = sys.executable) -> Figures:
    """Run a program that prints figures as its last line."""
    done = subprocess.run(
        [str(python), *map(str, words)], capture_output=True, text=True, check=False,
        env={**os.environ, "OMPI_MCA_btl": "self", "PYTHONPATH": f"{HERE.parent}:{HERE}"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{words} failed:\n{done.stdout}\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def medians(found: list[Figures]) -> Figures:
    return {name: median(figures[name] for figures in found) for name in found[0]}


def launched_s(root: Path) -> float:
    """Start-up on four ranks under MPI, of the slowest."""
    with tempfile.TemporaryDirectory() as scratch:
        command = ["-m", "hpctrain", "launch", "-n", str(RANKS), HERE / "peers" / "energy_ranks.py"]
        done = subprocess.run(
            [sys.executable, *map(str, command), str(root), scratch],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    return max(float(line[6:]) for line in done.stdout.splitlines() if line.startswith("TOOK "))


def perun(root: Path) -> Figures | None:
    """What perun costs on the same files; None if it is not installed."""
    if not PERUN.exists():
        return None
    program = HERE / "peers" / "perun_energy.py"
    figures: Figures = {}
    for rate_hz, seconds in SECONDS.items():
        words = (program, "monitor", root, 1 / rate_hz, seconds)
        found = medians([child(*words, python=PERUN) for _ in range(TIMES)])
        figures[f"core_pct_{rate_hz:g}hz"] = found.pop("core_pct")
        figures = found | figures
    with_it, without = [], []
    for _ in range(TIMES):
        for mode, times in (("noop", with_it), ("bare", without)):
            began_s = time.perf_counter()
            child(program, mode, root, python=PERUN)
            times.append(time.perf_counter() - began_s)
    figures["bytes_growth_per_day"] = figures["bytes_per_sample"] * DAY_S  # it keeps all of them
    return figures | {"start_stop_s": median(with_it) - median(without)}


@contextmanager
def moving(tree: FakeTree) -> Iterator[None]:
    """A thread moves the counters, so that there is energy to share out at every look."""
    over = threading.Event()

    def move() -> None:
        while not over.wait(MOVE_EVERY_S):
            for place, zone in enumerate(ZONES):
                tree.set(zone, (100 + 10 * place) * time.monotonic())

    thread = threading.Thread(target=move)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def ours(root: Path) -> Figures:
    found = {}
    for rate_hz in SECONDS:
        found[rate_hz] = medians([child(__file__, "run", root, rate_hz) for _ in range(TIMES)])
    slow, fast = found[1.0], found[10.0]
    day = child(HERE / "peers" / "energy_day.py")
    return slow | day | {
        "core_pct_1hz": slow["core_pct"], "core_pct_10hz": fast["core_pct"],
        "bytes_per_sample": day["bytes_growth_per_day"] / DAY_S,
        "start_stop_s": slow["startup_s"] + slow["stop_s"], "startup_mpi_s": launched_s(root),
    }  # fmt: skip


LINES = {  # what is shown: figure, format
    "percent of a core, sampler at 1 Hz": ("core_pct_1hz", "{:.3f}"),
    "percent of a core, sampler at 10 Hz": ("core_pct_10hz", "{:.3f}"),
    "percent of a core, books of a rank": ("books_pct", "{:.3f}"),
    "start-up, one rank": ("startup_s", "{:.4f} s"),
    "start-up, four ranks under MPI": ("startup_mpi_s", "{:.4f} s"),
    "start and stop": ("start_stop_s", "{:.3f} s"),
    "entering and leaving a region": ("region_us", "{:.2f} us"),
    "energy of the host to date": ("read_us", "{:.2f} us"),
    "run.energy": ("now_us", "{:.2f} us"),
    "memory for a look at four counters": ("bytes_per_sample", "{:.0f} B"),
    "memory, growth in a day": ("bytes_growth_per_day", "{:.0f} B"),
    "shared file, any length of run": ("board_kib", "{:.0f} KiB"),
    "run store, a day, four ranks": ("log_bytes_per_day", "{:.3g} B"),
}


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tree = FakeTree(root, ZONES)
        with moving(tree):
            mine, theirs = ours(root), perun(root)
        tree.close()
    notes = [] if theirs else ["perun is not installed: `make perun` makes its environment"]
    rows = [
        [what, pattern.format(mine[key]) if key in mine else "",
         pattern.format(theirs[key]) if theirs and key in theirs else "-"]
        for what, (key, pattern) in LINES.items()
    ]  # fmt: skip
    figures = {key: _short(mine[key]) for key, _ in LINES.values() if key in mine}
    figures |= {f"perun_{key}": _short(value) for key, value in (theirs or {}).items()}
    print_result(
        "What measuring energy costs, with 4 counters and 4 ranks",
        ["figure", "hpctrain", "perun"], rows, figures, notes,
    )  # fmt: skip


def _short(value: float) -> float:
    return float(f"{value:.3g}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(in_a_run(Path(sys.argv[2]), float(sys.argv[3]), Path(folder))))
    else:
        main()
