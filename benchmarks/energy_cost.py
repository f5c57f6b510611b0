"""What measuring energy costs: processor time, start-up, memory, and reading the energy to date.

The sensors are plain files in the form of RAPL counters: two packages and two memories. Reading
real counters takes the kernel longer; how much is not in these figures.

`core_pct_1hz`, `core_pct_10hz`: percent of one core that a process takes which only samples.
`startup_s`: finding the sensors and taking the first look. `read_us`: the energy of the host to
date, as a rank reads it. `mark_us`: marking an instant. `board_kib`: the file that ranks share.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from timeit import repeat

from fake_sensors import FakeTree
from report import print_result

from hpctrain.metering.board import BoardReader
from hpctrain.metering.discovery import find_sources
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.window import Windows

ZONES = {
    "intel-rapl:0": "package-0", "intel-rapl:0:0": "dram",
    "intel-rapl:1": "package-1", "intel-rapl:1:0": "dram",
}  # fmt: skip
SECONDS = {1.0: 20.0, 10.0: 10.0}
CALLS = 2000


def sampler_for(root: Path, rate_hz: float) -> Sampler:
    found = find_sources(root, "rapl")
    assert len(found.devices) == len(ZONES)
    return Sampler(found.sources, root / "board", rate_hz)


def sample_only(root: Path, rate_hz: float) -> None:
    """Prints the percent of a core that sampling takes in this process."""
    sampler = sampler_for(root, rate_hz)
    sampler.start()
    before_s, began_s = time.process_time(), time.monotonic()
    time.sleep(SECONDS[rate_hz])
    used_s = time.process_time() - before_s
    print(100 * used_s / (time.monotonic() - began_s))
    sampler.stop()


def core_pct(root: Path, rate_hz: float) -> float:
    command = [sys.executable, __file__, "sample", str(root), str(rate_hz)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tree = FakeTree(root, ZONES)
        for place, zone in enumerate(ZONES):
            tree.set(zone, 100.0 + place)
        shares = {rate_hz: core_pct(root, rate_hz) for rate_hz in SECONDS}
        began_s = time.perf_counter()
        sampler = sampler_for(root, 1.0)
        sampler.look()
        startup_s = time.perf_counter() - began_s
        reader = BoardReader(root / "board")
        windows = Windows(reader)
        look_us, read_us, mark_us = (
            median(repeat(call, number=CALLS, repeat=7)) / CALLS * 1e6
            for call in (sampler.look, reader.to_date, windows.mark)
        )
        board_kib = (root / "board").stat().st_size / 1024
        sampler.stop()
        tree.close()
    print_result(
        "What measuring energy costs, with 4 counters",
        ["figure", "value"],
        [
            ["percent of a core at 1 Hz", f"{shares[1.0]:.3f}"],
            ["percent of a core at 10 Hz", f"{shares[10.0]:.3f}"],
            ["start-up", f"{startup_s * 1e3:.1f} ms"],
            ["a look of the sampler", f"{look_us:.1f} us"],
            ["reading the energy to date", f"{read_us:.2f} us"],
            ["marking an instant", f"{mark_us:.1f} us"],
            ["the shared file, for any length of run", f"{board_kib:.0f} KiB"],
        ],
        {
            "core_pct_1hz": round(shares[1.0], 4),
            "core_pct_10hz": round(shares[10.0], 4),
            "startup_s": round(startup_s, 4),
            "look_us": round(look_us, 1),
            "read_us": round(read_us, 2),
            "mark_us": round(mark_us, 1),
            "board_kib": round(board_kib),
        },
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["sample"]:
        sample_only(Path(sys.argv[2]), float(sys.argv[3]))
    else:
        main()
