"""The book of a rank: phases that tile, regions, candidates, and what is nobody's."""

import multiprocessing
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.metering.board import BoardReader
from hpctrain.metering.crew import Member
from hpctrain.metering.ledger import WRITE_EVERY_NS, Entry, Key, Ledger
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.shares import Sharing
from hpctrain.workers.regions import book_regions_in, region
from tests.metering.hosts import KnownPower, S, SetClock


class Host:
    """A host of known power with one ledger on it; time is set."""

    def __init__(self, folder: Path, energy_j=lambda t: 100 * t, rate_hz: float = 1.0) -> None:
        self.clock = SetClock()
        self.phases: dict[str, int] = {}
        self.entries: list[Entry] = []
        crew = (Member(7, "h", 1, (0,)),)  # process 1 is always there
        self.sampler = Sampler(
            [KnownPower(self.clock, energy_j)], folder / "b", rate_hz, clock=self.clock,
            sharing=Sharing(crew, idle_w={"package": 1e6}),  # all of it is idle, so all is rank 7's
        )  # fmt: skip
        self.sampler.look()
        self.board = BoardReader(folder / "b")
        self.ledger = Ledger(self.board, 7, self.entries.append, first=True, clock=self.clock)
        self.ledger.follow(lambda: self.phases)

    def spend(self, phase: str, seconds: float, look: bool = True) -> None:
        self.phases[phase] = self.phases.get(phase, 0) + round(seconds * S)
        self.clock.now_ns += round(seconds * S)
        if look:
            self.sampler.look()
        self.ledger.poll()

    def close(self) -> None:
        self.sampler.look()
        self.ledger.close()

    def uj(self, scope: str, name: str | None = None) -> int:
        return sum(e.energy_uj for e in self.of(scope, name))

    def of(self, scope: str, name: str | None = None) -> list[Entry]:
        return [e for e in self.entries if e.key.scope == scope and name in (None, e.key.name)]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a_phase_gets_the_energy_of_its_time(host: Host) -> None:
    host.spend("compute", 3)
    host.spend("wait", 1)
    host.close()
    assert host.uj("phase", "compute") == 300_000_000
    assert host.uj("phase", "wait") == 100_000_000
    assert host.uj("host") == 400_000_000
    assert host.uj("unattributed") == 0
    (row,) = host.of("phase", "compute")
    assert (row.duration_ns, row.covered_ns) == (3 * S, 3 * S)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["compute", "wait", "exchange"]),
            st.floats(0.001, 30.0),
            st.booleans(),
        ),
        min_size=1,
        max_size=40,
    ),
    silent=st.floats(0.0, 1.0),
)
def test_phases_and_what_is_nobodys_are_the_host_to_the_microjoule(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, float, bool]],
    silent: float,
) -> None:
    host = Host(tmp_path_factory.mktemp("host"), lambda t: 77 * t + 3 * t * t)
    for phase, seconds, look in steps:
        with host.ledger.during(Key("region", "r")):
            host.spend(phase, seconds, look)
        host.clock.now_ns += round(silent * S)  # in no phase at all
    host.close()
    assert host.uj("phase") + host.uj("unattributed") == host.uj("host")
    last = host.board.last()
    assert last is not None
    assert host.uj("host") == last.total_uj
    in_phases = sum(host.phases.values()) + round(silent * S) * len(steps)
    assert sum(e.duration_ns for e in host.of("phase")) == in_phases


def test_regions_nest_and_recursion_belongs_to_the_outermost_call(host: Host) -> None:
    @region("walk")
    def walk(depth: int) -> None:
        host.spend("compute", 1)
        if depth:
            walk(depth - 1)

    book_regions_in(host.ledger)
    with region("epoch"):
        walk(2)
        with region("load"):
            host.spend("wait", 2)
    book_regions_in(None)
    host.close()
    names = {e.key.name for e in host.of("region")}
    assert {
        name: (host.uj("region", name), sum(e.count for e in host.of("region", name)))
        for name in names
    } == {
        "epoch": (500_000_000, 1),
        "epoch/walk": (300_000_000, 1),
        "epoch/load": (200_000_000, 1),
    }


def test_a_region_that_raises_is_booked_and_the_next_one_is_right(host: Host) -> None:
    @region("a")
    def fail() -> None:
        host.spend("compute", 1)
        raise ValueError("on purpose")

    book_regions_in(host.ledger)
    for _ in range(2):
        with pytest.raises(ValueError, match="on purpose"):
            fail()
    with region("b"):
        host.spend("compute", 1)
    book_regions_in(None)
    host.close()
    assert {e.key.name: (e.energy_uj, e.count) for e in host.of("region")} == {
        "a": (200_000_000, 2),
        "b": (100_000_000, 1),
    }


def test_regions_of_threads_are_each_booked_for_their_own_time(host: Host) -> None:
    book_regions_in(host.ledger)
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with region("other"):
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with region("main"):
        host.spend("compute", 1)
        thread.start()
        assert inside.wait(10)
        host.spend("compute", 2)
        leave.set()
        thread.join()
        host.spend("compute", 1)
    book_regions_in(None)
    host.close()
    names = {e.key.name: e.energy_uj for e in host.of("region")}
    assert names == {"main": 400_000_000, "other": 200_000_000}


def test_a_region_without_a_meter_does_nothing() -> None:
    with region("a"), region("b"):
        pass


def test_a_forked_process_neither_books_nor_waits_for_the_books(host: Host) -> None:
    """As a DataLoader's worker, which may be made while the polling thread has the books."""
    book_regions_in(host.ledger)
    host.clock.now_ns += 60 * S
    host.sampler.look()

    def load() -> None:
        with region("load"):
            host.sampler.look()
        raise SystemExit(len(host.entries))

    child = multiprocessing.get_context("fork").Process(target=load)
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with host.ledger._lock:
            held.set()
            over.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(20)
    child.start()
    child.join(10)
    over.set()
    thread.join()
    book_regions_in(None)
    child.kill()
    assert child.exitcode == 0


def test_a_generator_may_leave_its_regions_in_any_order(host: Host) -> None:
    book_regions_in(host.ledger)
    first, second = region("first"), region("second")
    first.__enter__()
    second.__enter__()
    host.spend("compute", 1)
    first.__exit__(None, None, None)
    host.spend("compute", 1)
    second.__exit__(None, None, None)
    book_regions_in(None)
    host.close()
    names = {e.key.name: e.energy_uj for e in host.of("region")}
    assert names == {"first": 100_000_000, "first/second": 200_000_000}


def test_what_is_still_open_is_written_every_five_seconds(host: Host) -> None:
    handle = host.ledger.begin(Key("candidate", "", 3))
    for _ in range(17):
        host.spend("evaluate", 1)
    assert [e.end_ns // S for e in host.of("candidate")] == [5, 10, 15]
    assert host.uj("candidate") == 1_500_000_000
    host.ledger.end(handle)
    host.close()
    assert host.uj("candidate") == 1_700_000_000
    assert [e.count for e in host.of("candidate")] == [0, 0, 0, 1]


def test_short_candidates_share_a_row(host: Host) -> None:
    for number in (5, 9, 2):
        handle = host.ledger.begin(Key("candidate", "", number))
        host.spend("evaluate", 0.01, look=False)
        host.ledger.end(handle)
    host.spend("wait", 1)
    host.close()
    (row,) = host.of("candidate")
    assert (row.key.number, row.last, row.count) == (2, 9, 3)
    assert row.duration_ns == 30_000_000
    assert row.energy_uj == pytest.approx(3_000_000, abs=10)


def test_a_day_of_books_takes_no_memory(host: Host) -> None:
    for hour in range(24):
        for _ in range(360):
            host.spend("compute", 10)
        assert len(host.ledger._books) < 10, hour
        assert len(host.ledger._waiting) < 3
    host.close()
    assert host.uj("phase") == 24 * 3600 * 100_000_000


def test_long_silence_of_the_rank_is_booked_once_the_ring_has_gone_round(tmp_path: Path) -> None:
    host = Host(tmp_path)
    with host.ledger.during(Key("candidate", "", 0)):
        for second in range(5000):  # nobody polls
            host.clock.now_ns = second * S
            host.sampler.look()
        host.phases["evaluate"] = host.clock.now_ns
    host.close()
    assert host.uj("phase", "evaluate") == 4999 * 100_000_000
    assert Counter(e.key.scope for e in host.entries)["candidate"] == 1


def test_between_samples_energy_is_a_line(tmp_path: Path) -> None:
    host = Host(tmp_path, lambda t: 100 * t + 7 * t * t)
    handle = 0
    for tick in range(60):
        if tick == 7:
            handle = host.ledger.begin(Key("region", "r"))
        elif tick == 56:
            host.ledger.end(handle)
        host.spend("compute", 1 / 6, look=tick % 6 == 5)
    host.close()
    begin_s, end_s = 7 / 6, 56 / 6
    truth_j = 100 * (end_s - begin_s) + 7 * (end_s**2 - begin_s**2)
    chord_j = 7 / 4  # of t^2: h^2/4 at most at each end
    assert host.uj("region") / 1e6 == pytest.approx(truth_j, abs=2 * chord_j + 0.01)


def test_nothing_is_booked_before_its_energy_is_known(host: Host) -> None:
    host.spend("compute", 1)
    host.spend("compute", 0.5, look=False)
    host.spend("compute", WRITE_EVERY_NS / S, look=False)
    assert host.uj("phase") <= 100_000_000
    host.spend("compute", 1)
    host.close()
    assert host.uj("phase") == round((2.5 + WRITE_EVERY_NS / S) * 100_000_000)


def test_time_after_the_last_sample_is_not_covered(host: Host) -> None:
    host.spend("compute", 1)
    host.spend("compute", 3, look=False)
    host.ledger.close()
    (row,) = host.of("phase", "compute")
    assert (row.energy_uj, row.duration_ns, row.covered_ns) == (100_000_000, 4 * S, S)


def test_a_device_that_fell_silent_does_not_hold_up_the_books(tmp_path: Path) -> None:
    host = Host(tmp_path, lambda t: 100 * t if t < 3 else None)
    for _ in range(20):
        host.spend("compute", 1)
    rows = host.of("phase", "compute")
    assert sum(row.energy_uj for row in rows) == 200_000_000
    assert sum(row.covered_ns for row in rows) == 2 * S
    assert sum(row.duration_ns for row in rows) >= 15 * S


def test_a_failed_reading_is_bridged_and_the_time_still_covered(tmp_path: Path) -> None:
    host = Host(tmp_path, lambda t: None if t == 2 else 100 * t)
    for _ in range(4):
        host.spend("compute", 1)
    host.close()
    assert host.uj("phase", "compute") == 400_000_000
    (row,) = host.of("phase", "compute")
    assert row.covered_ns == row.duration_ns


def test_a_thread_that_is_put_aside_between_two_clocks_asks_again(host: Host) -> None:
    """Else what came after the end of a slice would take a part of what was in it."""
    reads = 0

    def phases() -> dict[str, int]:
        nonlocal reads
        reads += 1
        if reads == 2:  # the first read is that of `follow`
            host.phases["exchange"] = host.phases.get("exchange", 0) + 3 * S
            host.clock.now_ns += 3 * S
        return host.phases

    host.ledger.follow(phases)
    host.spend("evaluate", 1)
    host.spend("exchange", 1)
    host.close()
    assert host.uj("phase", "evaluate") == 100_000_000
    assert host.uj("phase", "exchange") == 400_000_000


def test_what_ended_while_a_slice_was_cut_is_never_negative(host: Host) -> None:
    handle = host.ledger.begin(Key("candidate", "", 1))
    host.spend("evaluate", 6)
    host.ledger._open[handle].since_ns += S // 100  # another thread cut a slice in between
    host.ledger.end(handle)
    host.clock.now_ns += 6 * S
    host.close()
    assert all(entry.energy_uj >= 0 and entry.duration_ns >= 0 for entry in host.entries)


def test_closing_twice_and_ending_after_the_end_are_harmless(host: Host) -> None:
    handle = host.ledger.begin(Key("region", "a"))
    host.spend("compute", 1)
    host.close()
    host.ledger.close()
    assert host.ledger.end(handle) == 0
    assert host.uj("region", "a") == 100_000_000
