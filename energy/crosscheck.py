"""Runs a program once under hpctrain's sampler and perun's own measurement, and compares them.

    make perun                                            # perun, in an environment of its own
    .venv/perun/bin/python energy/crosscheck.py -- python3 -c "sum(range(10**8))"

On a machine without RAPL, or with --fake, both look at the same fake tree of RAPL counters, which
follow a known power (0.7 s of 300 W and 0.6 s of 60 W in turn): the output says so. perun is used
as it is: its sampler, its integration, its report; only where it looks for sysfs is changed then.
Exit code 2: perun is not installed.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpctrain.metering.account import HostEnergy, host_energy
from hpctrain.metering.board import BoardReader
from hpctrain.metering.powercap import find_powercap
from hpctrain.metering.reading import Source
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.series import Knot

ROOT = Path(__file__).parents[1]
SYSFS = Path("/sys")
UPDATE_S = 0.001
PROGRAM = ("sleep", "8")
MISSING = (
    "SKIPPED: perun is not installed here; `make perun` makes .venv/perun, then run: "
    ".venv/perun/bin/python energy/crosscheck.py"
)


@dataclass
class Ours:
    """What hpctrain's sampler saw of the program."""

    joules: float = 0.0
    seconds: float = 0.0
    coverage: float = 0.0
    code: int = 0
    true_j: list[float] = field(default_factory=list)  # at the edges; empty if it is not known


class FakeCounters:
    """A fake tree whose counters a thread moves."""

    def __init__(self, root: Path) -> None:
        sys.path.insert(0, str(ROOT / "benchmarks"))
        from fake_sensors import FakeTree, phases_j

        self._energy_j = phases_j
        self._tree = FakeTree(root, {"intel-rapl:0": "package-0"})
        self._began_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FakeCounters:
        self._move()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        self._tree.close()

    def joules(self) -> float:
        return self._energy_j(1.0 + time.monotonic() - self._began_s)

    def _run(self) -> None:
        while not self._stop.wait(UPDATE_S):
            self._move()

    def _move(self) -> None:
        self._tree.set("intel-rapl:0", self.joules())


def under_our_sampler(
    sources: Sequence[Source], program: Sequence[str], rate_hz: float, fake: FakeCounters | None
) -> Ours:
    """Run `program` to its end."""
    ours = Ours()
    with tempfile.TemporaryDirectory() as folder:
        sampler = Sampler(sources, Path(folder) / "board", rate_hz)
        board = BoardReader(Path(folder) / "board")
        began_ns = time.monotonic_ns()
        sampler.start()
        if fake is not None:
            ours.true_j.append(fake.joules())
        ours.code = subprocess.run(program, check=False).returncode
        if fake is not None:
            ours.true_j.append(fake.joules())
        sampler.stop(remove=False)
        energy = _to_date(board, began_ns)
        ours.joules, ours.seconds = energy.total_uj / 1e6, energy.duration_ns / 1e9
        ours.coverage = energy.coverage
        board.close()
    return ours


def _to_date(board: BoardReader, began_ns: int) -> HostEnergy:
    """What the host used since the first look."""
    last = board.last()
    assert last is not None
    known = zip(board.devices, last.knots, strict=True)
    ends = {device.name: knot for device, knot in known if knot is not None}
    return host_energy(
        board.devices, dict.fromkeys(ends, Knot(0, 0, 0)), ends, last.time_ns - began_ns
    )


def under_perun(function: Any, period_s: float, root: Path) -> dict[str, float]:
    """Call `function` while perun measures; what perun tells of this host, by metric."""
    import perun.backend.powercap_rapl as rapl
    from perun.configuration import config
    from perun.core import Perun
    from perun.monitoring.application import Application

    rapl.RAPL_PATH = f"{root / 'class' / 'powercap'}/"
    logging.getLogger("perun").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        config.set("monitor", "sampling_period", str(period_s))
        config.set("monitor", "exclude_backends", "nvml amdsmi hwmon-grace")
        config.set("output", "app_name", "crosscheck")
        config.set("output", "data_out", folder)
        told: list[Any] = []
        monitor = Perun(config)
        monitor._postprocess_callbacks["crosscheck"] = told.append
        monitor.monitor_application(Application(function, config))
    if not told:
        raise SystemExit("perun gave no result: see its messages above")
    (run,) = told[0].nodes.values()
    host = run.nodes[platform.node()]
    return {kind.value: float(metric.value) for kind, metric in host.metrics.items()}


def _print(ours: Ours, theirs: dict[str, float], faked: bool) -> None:
    if faked:
        print("sensors: a FAKE tree of RAPL counters of known power, the same for both")
    else:
        print("sensors: RAPL of this host, the same for both")
    print(f"hpctrain: {ours.joules:10.2f} J in {ours.seconds:7.3f} s, {ours.coverage:.1%} covered")
    if "energy" not in theirs:
        print("perun:    no energy: it found no sensor that it may read")
        return
    print(f"perun:    {theirs['energy']:10.2f} J in {theirs['runtime']:7.3f} s")
    print(f"perun - hpctrain: {theirs['energy'] / ours.joules - 1:+.2%}")
    if ours.true_j:
        true_j = ours.true_j[1] - ours.true_j[0]
        print(f"true:     {true_j:10.2f} J")
        print(
            f"off by: hpctrain {ours.joules / true_j - 1:+.2%}, "
            f"perun {theirs['energy'] / true_j - 1:+.2%}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--fake", action="store_true", help="do not look at real sensors")
    parser.add_argument("--rate-hz", type=float, default=1.0, help="of both")
    parser.add_argument("program", nargs="*", default=PROGRAM, help="after --")
    asked = parser.parse_args()
    try:
        import perun  # noqa: F401
    except ImportError:
        print(MISSING, file=sys.stderr)
        return 2
    os.environ.setdefault("OMPI_MCA_btl", "self")  # perun starts MPI, of this one process
    with ExitStack() as stack:
        root, fake = SYSFS, None
        if asked.fake or find_powercap(SYSFS).source is None:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            fake = stack.enter_context(FakeCounters(root))
        source = find_powercap(root).source
        assert source is not None
        found: list[Ours] = []
        theirs = under_perun(
            lambda: found.append(under_our_sampler((source,), asked.program, asked.rate_hz, fake)),
            1 / asked.rate_hz,
            root,
        )
    _print(found[0], theirs, faked=fake is not None)
    return found[0].code


if __name__ == "__main__":
    sys.exit(main())
