"""Whose energy it is, from processor-time clocks of real processes."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpctrain.metering.crew import CORE, Member, ProcessTime, core_parts, gpu_owners, this_member
from hpctrain.metering.reading import Device
from hpctrain.metering.series import Knot
from hpctrain.metering.shares import COVERED, UNTIL, Shares, Sharing
from tests.metering.hosts import S
from tests.metering.trees import proc_stat

PACKAGE = Device("rapl:0", "package", "counter")
GPU = Device("gpu:A", "gpu", "counter")
SPIN = "import time\nend = time.monotonic() + {}\nwhile time.monotonic() < end: pass\n"


def burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_the_processor_time_of_another_process_is_seen() -> None:
    with subprocess.Popen([sys.executable, "-c", SPIN.format(0.6)]) as process:
        clock = ProcessTime(process.pid)
        time.sleep(0.4)
        during_ns = clock.read(1)
        process.wait()
        assert during_ns > 0
        assert clock.read(2) >= during_ns  # it has ended; what it used is not forgotten


def test_children_count_with_the_rank_that_started_them() -> None:
    clock = ProcessTime(os.getpid())
    before_ns = clock.read(0)
    command = [sys.executable, "-c", SPIN.format(0.5)]
    with subprocess.Popen(command) as process:
        for tick in range(1, 30):
            time.sleep(0.02)
            clock.read(tick * 2 * S)
        process.wait()
    used_ns = clock.read(100 * S) - before_ns
    own_ns = 0.2 * S  # of the loop above
    assert used_ns > 0.05 * S
    assert used_ns < 0.6 * S + own_ns


def test_shared_cores_are_cut_equally() -> None:
    crew = [Member(0, "h", 1, (0, 1)), Member(1, "h", 2, (1,)), Member(2, "h", 3, (2,))]
    assert core_parts(crew) == [CORE + CORE // 2, CORE // 2, CORE]
    assert core_parts([this_member(0, "h")]) == [CORE * len(os.sched_getaffinity(0))]


def test_a_gpu_belongs_to_all_ranks_that_name_it() -> None:
    crew = [Member(0, "h", 1, (0,), ("gpu:A",)), Member(3, "h", 2, (1,), ("gpu:A", "gpu:B"))]
    assert gpu_owners(crew) == {"gpu:A": (0, 3), "gpu:B": (3,)}


def shares_of(tmp_path: Path, crew: tuple[Member, ...], **sharing: object) -> Shares:
    proc_stat(tmp_path, 0, 0, 4)
    return Shares((PACKAGE, GPU), Sharing(crew, **sharing), tmp_path)  # type: ignore[arg-type]


def look(shares: Shares, at_s: int, package_j: int, gpu_j: int) -> list[int]:
    knots = (Knot(at_s * S, package_j * 10**6, at_s * S), Knot(at_s * S, gpu_j * 10**6, at_s * S))
    return list(shares.look(at_s * S, knots))


def test_ranks_and_nobody_are_the_host_at_every_look(tmp_path: Path) -> None:
    crew = (
        Member(0, "h", os.getpid(), (0,), ("gpu:A",)),
        Member(1, "h", 1, (1,)),
    )
    shares = shares_of(tmp_path, crew)
    look(shares, 0, 0, 0)
    for second in range(1, 6):
        burn(0.03)
        proc_stat(tmp_path, 7 * second, 0, 4)
        words = look(shares, second, 33 * second, 100 * second)
        assert sum(words[shares.layout.all]) == 133 * second * 10**6
        mine = words[shares.layout.place(0)]
        assert mine[1] == 100 * second * 10**6  # the GPU is rank 0's
    assert words[shares.layout.place(1)][1] == 0
    assert mine[0] > 0
    assert words[COVERED] == words[UNTIL] == 5 * S


def test_a_shared_host_leaves_the_others_their_idle_power(tmp_path: Path) -> None:
    crew = (Member(0, "h", 1, (0,)),)
    for exclusive, expected_j in ((True, 40), (False, 10)):
        shares = shares_of(
            tmp_path / str(exclusive), crew, exclusive=exclusive, idle_w={"package": 40.0}
        )
        look(shares, 0, 0, 0)
        words = look(shares, 1, 40, 0)
        assert words[shares.layout.place(0)][0] == expected_j * 10**6


def test_without_a_crew_all_is_nobodys(tmp_path: Path) -> None:
    shares = shares_of(tmp_path, ())
    look(shares, 0, 0, 0)
    words = look(shares, 1, 50, 5)
    assert words[shares.layout.place(None)] == [50_000_000, 5_000_000]


def test_a_rank_that_cannot_be_seen_uses_nothing(tmp_path: Path) -> None:
    shares = shares_of(tmp_path, (Member(0, "h", 2**22 + 5, (0,)),))
    look(shares, 0, 0, 0)
    words = look(shares, 1, 50, 5)
    assert words[shares.layout.place(0)] == [0, 0]
    with pytest.raises(ValueError, match="not in tuple"):
        shares.layout.place(9)
