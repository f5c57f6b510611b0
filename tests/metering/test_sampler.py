import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from hpctrain.errors import MeteringError
from hpctrain.metering.board import BoardReader, BoardWriter
from hpctrain.metering.powercap import find_powercap
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.series import Knot
from hpctrain.metering.walltime import WallClock, compare_clocks
from hpctrain.metering.window import Windows
from tests.metering.hosts import KnownPower, S, SetClock
from tests.metering.trees import zone


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def sampler_of(clock: SetClock, path: Path, energy_j=lambda t: 100 * t, **options) -> Sampler:
    return Sampler([KnownPower(clock, energy_j)], path, clock=clock, **options)


def look_at(sampler: Sampler, clock: SetClock, *times_s: float) -> None:
    for time_s in times_s:
        clock.now_ns = round(time_s * S)
        sampler.look()


class TestBoard:
    def test_ranks_read_what_the_sampler_wrote(self, tmp_path):
        wall = WallClock(17, 3)
        writer = BoardWriter(tmp_path / "b", (), wall, {"host": "h"}, capacity=4)
        reader = BoardReader(tmp_path / "b")
        assert (reader.to_date(), reader.last()) == ((0, 0), None)
        for n in range(1, 7):
            writer.write(n * S, n * 10, ())
        assert reader.to_date() == (6 * S, 60)
        assert (reader.wall, reader.facts["host"]) == (wall, "h")
        assert reader.sample(1) is None
        assert [reader.sample(n).total_uj for n in range(reader.oldest_number(), 7)] == [40, 50, 60]

    def test_a_sample_that_is_half_written_is_not_read(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b")
        look_at(sampler, clock, 1, 2)
        reader = BoardReader(tmp_path / "b")
        words = sampler.board._mapped.words
        words[sampler.board._mapped.slot(2) + 2] += 1
        assert reader.sample(2) is None
        assert reader.to_date() == (1 * S, 0)
        last = reader.last()
        assert last is not None
        assert last.knots == (Knot(1 * S, 0, 0),)

    def test_another_file_is_refused(self, tmp_path):
        (tmp_path / "b").write_bytes(b"x" * 100)
        with pytest.raises(MeteringError, match="not a file of energy samples"):
            BoardReader(tmp_path / "b")

    def test_the_file_does_not_grow(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b", capacity=16)
        size = (tmp_path / "b").stat().st_size
        look_at(sampler, clock, *range(1000))
        assert (tmp_path / "b").stat().st_size == size < 10_000
        assert BoardReader(tmp_path / "b").to_date() == (999 * S, 99_900_000_000)

    def test_a_reader_beside_a_busy_writer_never_sees_half_a_sample(self, tmp_path):
        program = (
            "from pathlib import Path\n"
            "from hpctrain.metering.board import BoardWriter\n"
            "from hpctrain.metering.reading import Device\n"
            "from hpctrain.metering.series import Knot\n"
            "from hpctrain.metering.walltime import WallClock\n"
            f"path = Path({str(tmp_path / 'b')!r})\n"
            "device = Device('d', 'gpu', 'counter')\n"
            "writer = BoardWriter(path, [device], WallClock(0, 0), {}, capacity=4)\n"
            "print('up', flush=True)\n"
            "for n in range(1, 100_001):\n"
            "    writer.write(n * 3, n * 7, [Knot(n * 3, n * 7, n * 2)])\n"
        )
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            reader = BoardReader(tmp_path / "b")
            seen = set()
            while process.poll() is None:
                time_ns, total_uj = reader.to_date()
                assert time_ns * 7 == total_uj * 3
                last = reader.last()
                if last is not None:
                    n = last.number
                    assert (last.time_ns, last.total_uj) == (n * 3, n * 7)
                    assert last.knots == (Knot(n * 3, n * 7, n * 2),)
                    seen.add(n)
        assert reader.to_date() == (300_000, 700_000)
        assert len(seen) > 1


class TestSampler:
    def test_rows_tell_all_energy_from_start_to_stop(self, clock, tmp_path):
        rows = []
        sampler = sampler_of(clock, tmp_path / "b", rate_hz=0.1, on_rows=rows.extend)
        look_at(sampler, clock, *range(26))
        clock.now_ns = round(25.5 * S)
        sampler.stop()
        spans = [(row.begin_ns // S, row.end_ns / S, row.energy_uj / 1e6) for row in rows]
        assert spans == [(0, 10, 1000.0), (10, 20, 1000.0), (20, 25.5, 550.0)]
        assert all(row.covered_ns == row.end_ns - row.begin_ns for row in rows)
        assert not (tmp_path / "b").exists()

    def test_a_missing_reading_makes_no_row_and_no_zero(self, clock, tmp_path):
        rows = []
        sampler = sampler_of(clock, tmp_path / "b", lambda t: None, on_rows=rows.extend)
        look_at(sampler, clock, 0, 11, 22)
        sampler.stop()
        assert rows == []

    def test_a_rate_that_is_not_allowed_is_refused(self, clock, tmp_path):
        with pytest.raises(MeteringError, match=r"rate_hz is 20, but 0\.1 to 10 is allowed"):
            sampler_of(clock, tmp_path / "b", rate_hz=20)

    def test_the_thread_looks_at_its_rate_and_stops(self, tmp_path):
        zone(tmp_path, "intel-rapl:0", "package-0", 1000)
        source = find_powercap(tmp_path).source
        assert source is not None
        sampler = Sampler([source], tmp_path / "b", rate_hz=10)
        sampler.start()
        reader = BoardReader(tmp_path / "b")
        assert reader.count == 1
        time.sleep(0.55)
        sampler.stop()
        assert 3 <= reader.count <= 7  # 1 + 5 + 1 on an idle machine
        source.close()


class TestWindows:
    def test_intervals_between_samples_are_lines_and_tile_exactly(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b", lambda t: 100 * t + 7 * t * t)
        windows = Windows(BoardReader(tmp_path / "b"), clock)
        marks = []
        for tick in range(61):
            clock.now_ns = tick * S // 6 + 1
            if tick % 6 == 0:
                sampler.look()
            if tick % 7 == 0:
                marks.append(windows.mark())
        assert all(windows.settle(mark) for mark in marks)
        parts = [windows.between(a, b).total_uj for a, b in pairwise(marks)]
        assert sum(parts) == windows.between(marks[0], marks[-1]).total_uj
        truth_j = 100 * 56 / 6 + 7 * (56 / 6) ** 2
        assert sum(parts) / 1e6 == pytest.approx(truth_j, abs=7 / 4 + 0.01)  # chord of t^2: h^2/4

    def test_a_mark_waits_for_the_sample_after_it(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b")
        windows = Windows(BoardReader(tmp_path / "b"), clock)
        look_at(sampler, clock, 0, 1)
        begin = windows.mark()
        clock.now_ns = round(1.5 * S)
        end = windows.mark()
        assert windows.settle(begin)
        assert not windows.settle(end)
        with pytest.raises(ValueError, match="once both are settled"):
            windows.between(begin, end)
        look_at(sampler, clock, 2)
        assert windows.settle(end)
        energy = windows.between(begin, end)
        assert (energy.total_uj, energy.coverage, energy.quality) == (50_000_000, 1.0, "measured")

    def test_after_the_last_sample_nothing_is_covered(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b")
        windows = Windows(BoardReader(tmp_path / "b"), clock)
        look_at(sampler, clock, 0)
        begin = windows.mark()
        look_at(sampler, clock, 1)
        clock.now_ns = 4 * S
        end = windows.mark()
        assert windows.settle(begin)
        assert windows.settle(end, final=True)
        energy = windows.between(begin, end)
        assert (energy.total_uj, energy.coverage, energy.quality) == (10**8, 0.25, "partial")

    def test_a_mark_is_kept_while_the_ring_goes_round(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b", capacity=8)
        windows = Windows(BoardReader(tmp_path / "b"), clock)
        look_at(sampler, clock, 0, 1)
        begin = windows.mark()
        look_at(sampler, clock, *range(2, 1000))
        end = windows.mark()
        assert windows.settle(begin)
        assert windows.settle(end)
        assert windows.between(begin, end).total_uj == 998 * 10**8

    def test_a_device_that_fell_silent_does_not_hold_up_a_mark(self, clock, tmp_path):
        sampler = sampler_of(clock, tmp_path / "b", lambda t: 100 * t if t < 2 else None)
        windows = Windows(BoardReader(tmp_path / "b"), clock)
        look_at(sampler, clock, 0, 1)
        begin = windows.mark()
        look_at(sampler, clock, 2)
        end = windows.mark()
        look_at(sampler, clock, 3, 4)
        assert not windows.settle(end)
        look_at(sampler, clock, 5)
        assert windows.settle(begin)
        assert windows.settle(end)
        assert windows.between(begin, end).quality == "none"


def test_the_offset_to_wall_time_is_known_within_its_uncertainty():
    wall = compare_clocks()
    again = wall.utc_ns(time.monotonic_ns()) - time.time_ns()
    assert 0 < wall.uncertainty_ns < 10_000_000
    assert abs(again) < 50_000_000  # a busy machine may pause between the two looks


def test_a_killed_sampler_leaves_a_board_that_opens(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 1000)
    program = (
        "import sys, time; from pathlib import Path\n"
        "from hpctrain.metering.powercap import find_powercap\n"
        "from hpctrain.metering.sampler import Sampler\n"
        f"Sampler([find_powercap(Path({str(tmp_path)!r})).source],"
        f" Path({str(tmp_path / 'b')!r}), rate_hz=10).start()\n"
        "time.sleep(0.3); print('up', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    reader = BoardReader(tmp_path / "b")
    assert reader.facts["process"] == process.pid
    last = reader.last()
    assert last is not None
    assert last.number >= 2
