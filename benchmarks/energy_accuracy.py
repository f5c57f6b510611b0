"""How far the energy that hpctrain tells is from the truth, on counters of known power.

A fake tree of RAPL counters (steps of 61 uJ, updated every millisecond, wrapping) follows a known
P(t), and the sampler looks at it at its rate, up to 20 ms late and with one look in twenty that
fails. The clock is virtual, so that hours take seconds and no other process disturbs.

`worst_error_pct`: the whole run, from start to stop, over all shapes of P(t), rates and lengths
from 5 s. `worst_interval_error_pct`: pieces of such a run of 10 s, cut between samples, where E(t)
is a line: the price of a rate. `real_time_error_pct`: the whole run of some 6 s with the sampler's
thread and a process that moves the counters, in real time on this machine, busy as it is.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from fake_sensors import SHAPES, UPDATE_S, FakeTree
from report import print_result

from hpctrain.metering.board import BoardReader
from hpctrain.metering.powercap import PowercapSource, find_powercap
from hpctrain.metering.reading import Reading
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.window import Mark, Windows

RATES_HZ = (1.0, 10.0)
LENGTHS_S = (5.0, 60.0, 3600.0)
PIECE_S = 10.0
LATE_S = 0.02
FAILS = 0.05
BEGAN_S = 1000.0  # the counters have a past
ZONE = "intel-rapl:0"
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
    sampler = Sampler([source], root / "board", rate_hz, clock=source.clock)
    windows = Windows(BoardReader(root / "board"), source.clock)
    marks, truths_j = [windows.mark()], [0.0]
    looks = [k / rate_hz + draw.random() * LATE_S for k in range(1, int(length_s * rate_hz))]
    cuts = [k * PIECE_S + draw.random() for k in range(1, int(length_s / PIECE_S))]
    sampler.look()
    for at_s, is_look in sorted([(t, True) for t in looks] + [(t, False) for t in cuts]):
        source.now_s = BEGAN_S + at_s
        if is_look:
            sampler.look()
        else:
            marks.append(windows.mark())
            truths_j.append(SHAPES[shape](at_s))
        for mark in marks:
            windows.settle(mark)
    source.now_s, source._draw = BEGAN_S + length_s, random.Random(1)  # the last look succeeds
    marks.append(windows.mark())
    truths_j.append(SHAPES[shape](length_s))
    sampler.look()
    for mark in marks:
        windows.settle(mark, final=True)
    whole = _error_pct(windows, marks[0], marks[-1], truths_j[-1] - truths_j[0])
    pieces = [
        _error_pct(windows, *ends, truth_j[1] - truth_j[0])
        for ends, truth_j in zip(pairwise(marks), pairwise(truths_j), strict=True)
    ]
    sampler.stop()
    return whole, max(pieces)


def _error_pct(windows: Windows, begin: Mark, end: Mark, truth_j: float) -> float:
    return 100 * abs(windows.between(begin, end).total_uj / 1e6 / truth_j - 1)


def real_run(root: Path, shape: str, seconds: float) -> float:
    """Percent of error of the run, with thread and real clock."""
    drive = [sys.executable, __file__, "drive", str(root), shape, str(seconds + 3)]
    process = subprocess.Popen(drive, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    zero_s = float(process.stdout.readline())
    source = find_powercap(root).source
    assert source is not None
    sampler = Sampler([source], root / "board", 1.0)
    windows = Windows(BoardReader(root / "board"))
    begin = windows.mark()
    sampler.start()
    time.sleep(seconds)
    end = windows.mark()
    sampler.stop()
    process.wait()
    process.stdout.close()
    for mark in (begin, end):
        windows.settle(mark, final=True)
    at_s = [mark.time_ns / NS - zero_s for mark in (begin, end)]
    energy_j = SHAPES[shape]
    return _error_pct(windows, begin, end, energy_j(at_s[1]) - energy_j(at_s[0]))


def drive(root: Path, shape: str, seconds: float) -> None:
    """Move the counter until `seconds` are over; says first when zero was."""
    tree = FakeTree(root, {ZONE: "package-0"})
    zero_s = time.monotonic()
    print(zero_s, flush=True)
    while (now_s := time.monotonic() - zero_s) < seconds:
        tree.set(ZONE, SHAPES[shape](now_s))
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
    real = []
    for shape in ("constant", "burst"):
        with tempfile.TemporaryDirectory() as root:
            real.append(real_run(Path(root), shape, 6.0))
    lengths = [f"{length_s:g} s" for length_s in LENGTHS_S]
    print_result(
        "Error of the energy in percent: whole runs, and pieces of 10 s of them",
        ["power", "Hz", *lengths, "worst piece"],
        rows,
        {
            "worst_error_pct": round(max(wholes), 5),
            "worst_interval_error_pct_1hz": round(pieces[1.0], 3),
            "worst_interval_error_pct_10hz": round(pieces[10.0], 3),
            "real_time_error_pct": round(max(real), 4),
        },
        [f"in real time, 6 s at 1 Hz: constant {real[0]:.4f} %, burst {real[1]:.4f} %"],
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["drive"]:
        drive(Path(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
    else:
        main()
