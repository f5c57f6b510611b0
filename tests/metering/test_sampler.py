import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpctrain.errors import MeteringError
from hpctrain.metering.board import BoardReader, BoardWriter
from hpctrain.metering.powercap import find_powercap
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.series import Knot
from hpctrain.metering.walltime import WallClock, compare_clocks
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
        whole = [(begin, begin + 5, 500.0) for begin in range(0, 25, 5)]
        assert spans == [*whole, (25, 25.5, 50.0)]
        assert all(row.covered_ns == row.end_ns - row.begin_ns for row in rows)
        assert not (tmp_path / "b").exists()

    def test_a_missing_reading_makes_no_row_and_no_zero(self, clock, tmp_path):
        rows = []
        sampler = sampler_of(clock, tmp_path / "b", lambda t: None, on_rows=rows.extend)
        look_at(sampler, clock, 0, 11, 22)
        sampler.stop()
        assert rows == []

    def test_looks_that_come_early_do_not_put_off_the_rows(self, clock, tmp_path):
        rows = []
        sampler = sampler_of(clock, tmp_path / "b", on_rows=rows.extend)
        look_at(sampler, clock, *(n - n % 2 * 0.01 for n in range(21)))
        assert [row.end_ns / S for row in rows] == [4.99, 10, 14.99, 20]

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
