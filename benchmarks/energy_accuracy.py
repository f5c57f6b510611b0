"""How far the energy that hpctrain tells is from the truth, on counters of known power.

A fake tree of RAPL counters (steps of 61 uJ, updated every millisecond, wrapping) follows a known
P(t), and the sampler looks at it at its rate, up to 20 ms late and with one look in twenty that
fails. The clock is virtual, so that hours take seconds and no other process disturbs.

`worst_error_pct`: the worst of all whole runs: over all shapes of P(t), rates and lengths from 5 s
in virtual time, and trainings of 9 s in real time on 1, 2 and 4 ranks and on two "hosts" (names,
monotonic clocks a day apart and trees of their own), where other processes move the counters.
`worst_interval_error_pct_*`: pieces of a run of 10 s, cut between samples, where E(t) is a line:
the price of a rate. `tiling_error_uj`: by how much the phases of all ranks and what is nobody's
miss the energy of their hosts, as the run store has them.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
from fake_sensors import SHAPES, UPDATE_S, FakeTree
from report import print_result

from hpctrain.cluster.launch import rank_environment
from hpctrain.cluster.mpirun import find_mpirun, query_mpi
from hpctrain.metering.board import BoardReader
from hpctrain.metering.crew import Member
from hpctrain.metering.ledger import Entry, Key, Ledger
from hpctrain.metering.powercap import PowercapSource, find_powercap
from hpctrain.metering.reading import Reading
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.shares import Sharing
from hpctrain.storage.read import open_run

RATES_HZ = (1.0, 10.0)
LENGTHS_S = (5.0, 60.0, 3600.0)
PIECE_S = 10.0
LATE_S = 0.02
FAILS = 0.05
BEGAN_S = 1000.0  # the counters have a past
ZONE = "intel-rapl:0"
ROOT = Path(__file__).parents[1]
OWN_HOST = ROOT / "tests" / "programs" / "own_host.sh"
JOBS = {  # name: ranks, hosts with the shape of their power
    "1 rank": (1, {"": "phases"}),
    "2 ranks": (2, {"": "burst"}),
    "4 ranks": (4, {"": "wave"}),
    "2 ranks on 2 hosts": (2, {"near": "phases", "far": "wave"}),
}
JOB_MINUTES = 0.15
NS = 10**9


class VirtualCounter:
    """The real RAPL source over a file that is brought up to date before it is read."""

    name = "rapl"

    def __init__(self, root: Path, shape: str, draw: random.Random) -> None:
        self.now_s = BEGAN_S
        self._tree = FakeTree(root, {ZONE: "package-0"})
        self._energy_j = SHAPES[shape]
        self._draw = draw
        found = find_powercap(root, self.clock).source
        assert isinstance(found, PowercapSource)
        self._source = found
        self.devices = found.devices

    def clock(self) -> int:
        return round(self.now_s * NS)

    def read(self) -> tuple[Reading, ...]:
        updated_s = self.now_s // UPDATE_S * UPDATE_S
        self._tree.set(ZONE, BEGAN_S + self._energy_j(updated_s - BEGAN_S))
        edge = self.now_s == BEGAN_S
        if not edge and self._draw.random() < FAILS:
            return tuple(Reading(self.clock(), None) for _ in self.devices)
        return self._source.read()

    def close(self) -> None:
        self._source.close()
        self._tree.close()


def virtual_run(root: Path, shape: str, rate_hz: float, length_s: float) -> tuple[float, float]:
    """Errors in percent: of the whole run, and of the worst piece of it."""
    draw = random.Random(f"{shape} {rate_hz} {length_s}")
    source = VirtualCounter(root, shape, draw)
    crew = (Member(0, "h", os.getpid(), (0,)),)
    sharing = Sharing(crew, idle_w={"package": 1e9})  # all of it is the rank's
    sampler = Sampler([source], root / "board", rate_hz, clock=source.clock, sharing=sharing)
    sampler.look()
    entries: list[Entry] = []
    ledger = Ledger(BoardReader(root / "board"), 0, entries.append, True, source.clock)
    looks = [k / rate_hz + draw.random() * LATE_S for k in range(1, int(length_s * rate_hz))]
    cuts = [k * PIECE_S + draw.random() for k in range(1, int(length_s / PIECE_S))]
    piece = ledger.begin(Key("round", "", 0))
    for at_s, is_look in sorted([(t, True) for t in looks] + [(t, False) for t in cuts]):
        source.now_s = BEGAN_S + at_s
        if is_look:
            sampler.look()
            ledger.poll()
        else:
            ledger.end(piece)
            piece = ledger.begin(Key("round", "", cuts.index(at_s) + 1))
    source.now_s, source._draw = BEGAN_S + length_s, random.Random(1)  # the last look succeeds
    sampler.look()
    ledger.close()
    told_j = np.zeros(len(cuts) + 1)
    for entry in entries:
        if entry.key.scope == "round":
            told_j[entry.key.number] += entry.energy_uj / 1e6
    truths_j = [SHAPES[shape](at_s) for at_s in (0.0, *cuts, length_s)]
    pieces = [
        error_pct(j, after - before)
        for j, (before, after) in zip(told_j, pairwise(truths_j), strict=True)
    ]
    host_j = sum(entry.energy_uj for entry in entries if entry.key.scope == "host") / 1e6
    sampler.stop()
    return error_pct(host_j, truths_j[-1]), max(pieces)


def error_pct(told_j: float, truth_j: float) -> float:
    return 100 * abs(told_j / truth_j - 1)


def job(root: Path, num_ranks: int, hosts: dict[str, str]) -> tuple[float, int]:
    """A training in real time: percent of error of the worst host; microjoules that are missed."""
    zeros = {}
    with running(root, hosts, zeros):
        command, env = _command(root, num_ranks, hosts)
        subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    run = open_run(root / "run")
    rows, samples = run.table("energy"), run.table("energy_sample")
    worst, missed = 0.0, 0
    for name, shape in hosts.items():
        ours = samples["host"] == name if name else np.ones(len(samples["host"]), bool)
        ends, lengths = samples["utc_s"][ours], samples["duration_s"][ours]
        truth_j = [SHAPES[shape](at_s - zeros[name]) for at_s in
                   ((ends - lengths).min(), ends.max())]  # fmt: skip
        of_host = rows["host"] == name if name else np.ones(len(rows["host"]), bool)
        uj = {
            scope: round(np.nansum(rows["joules"][of_host & (rows["scope"] == scope)]) * 1e6)
            for scope in ("host", "phase", "unattributed")
        }
        worst = max(worst, error_pct(uj["host"] / 1e6, truth_j[1] - truth_j[0]))
        missed = max(missed, abs(uj["phase"] + uj["unattributed"] - uj["host"]))
    return worst, missed


@contextmanager
def running(root: Path, hosts: dict[str, str], zeros: dict[str, float]) -> Iterator[None]:
    """Processes that move the counters of each host; `zeros` are their beginnings in UTC."""
    drivers = []
    try:
        for name, shape in hosts.items():
            words = [sys.executable, __file__, "drive", str(root / "sys" / name), shape]
            drivers.append(subprocess.Popen(words, stdout=subprocess.PIPE, text=True))
            assert drivers[-1].stdout is not None
            zeros[name] = float(drivers[-1].stdout.readline())
        yield
    finally:
        for driver in drivers:
            driver.terminate()
            driver.communicate()


def _command(root: Path, num_ranks: int, hosts: dict[str, str]) -> tuple[list[str], dict[str, str]]:
    """How the job is started, and its environment."""
    settings = {
        "run_dir": f'"{root}/run"', "task.factory": '"tests.programs.tiny_task:task"',
        "method.sync_every": 20, "stop.minutes": JOB_MINUTES, "evaluate.every_rounds": 0,
        "energy.meter": '"rapl"', "energy.sysfs_root": f'"{root}/sys"', "progress.show": '"none"',
    }  # fmt: skip
    config = root / "run.toml"
    config.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    mpirun = find_mpirun(query_mpi(os.environ), os.environ)
    env = rank_environment(mpirun, num_ranks, {**os.environ, "OMP_NUM_THREADS": "1"})
    train = [sys.executable, "-m", "hpctrain", "train", str(config)]
    start = [str(mpirun.path), "-n", str(num_ranks)]
    if len(hosts) == 1:
        return [*start, *train], env
    script = root / "rank.sh"
    near, far = hosts
    (root / "point").mkdir()
    config.write_text(config.read_text().replace(f"{root}/sys", f"{root}/point"))
    script.write_text(
        f"#!/bin/sh\nname={far}; offset=86400\n"
        f'[ "${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" = 0 ] && name={near} offset=0\n'
        f'exec {OWN_HOST} "$name" "$offset" {root}/sys/"$name" {root}/point "$@"\n'
    )
    script.chmod(0o755)
    return [*start, str(script), *train], env


def drive(root: Path, shape: str) -> None:
    """Move the counter until ended; says first when zero was, in seconds since 1970."""
    with suppress(PermissionError):  # a counter of the hardware does not wait for its turn
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    tree = FakeTree(root, {ZONE: "package-0"})
    zero_ns = time.time_ns()
    print(zero_ns / NS, flush=True)
    while True:
        tree.set(ZONE, SHAPES[shape]((time.time_ns() - zero_ns) / NS))
        time.sleep(UPDATE_S)


def main() -> None:
    rows, wholes, pieces = [], [], {}
    for shape in SHAPES:
        for rate_hz in RATES_HZ:
            errors = []
            for length_s in LENGTHS_S:
                with tempfile.TemporaryDirectory() as root:
                    errors.append(virtual_run(Path(root), shape, rate_hz, length_s))
            worst = max(piece for _, piece in errors[1:])
            wholes += [whole for whole, _ in errors]
            pieces[rate_hz] = max(worst, pieces.get(rate_hz, 0.0))
            cells = [f"{whole:.4f}" for whole, _ in errors]
            rows.append([shape, f"{rate_hz:g}", *cells, f"{worst:.2f}"])
    missed = 0
    for name, (num_ranks, hosts) in JOBS.items():
        with tempfile.TemporaryDirectory() as root:
            error, missing = job(Path(root), num_ranks, hosts)
        wholes.append(error)
        missed = max(missed, missing)
        rows.append([f"training, {name}", "1", f"{error:.4f} (9 s)", "", "", ""])
    lengths = [f"{length_s:g} s" for length_s in LENGTHS_S]
    print_result(
        "Error of the energy in percent: whole runs, and pieces of 10 s of them",
        ["power", "Hz", *lengths, "worst piece"],
        rows,
        {
            "worst_error_pct": round(max(wholes), 5),
            "worst_interval_error_pct_1hz": round(pieces[1.0], 3),
            "worst_interval_error_pct_10hz": round(pieces[10.0], 3),
            "tiling_error_uj": missed,
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        drive(Path(sys.argv[2]), sys.argv[3])
    else:
        main()
