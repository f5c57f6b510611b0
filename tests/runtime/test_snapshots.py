"""Snapshots of a token-passing run under random schedules: no token is lost or counted twice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.core.events import Command, Done, Event, Received, Send
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import NullNotebook
from hpctrain.runtime.snapshot import InFlight, Snapshots
from tests.channels import Channels

PROFILE = settings(derandomize=True, deadline=None, max_examples=80)
TOKENS = 100


class Passing:
    """Every worker starts with 100 tokens. `Done((to, n))`: give n of them away, if there are."""

    def init(self, me: int) -> int:
        return TOKENS

    def step(self, state: int, event: Event, now_s: float) -> tuple[int, tuple[Command, ...]]:
        match event:
            case Received(_, int(n)):
                return state + n, ()
            case Done((to, n)) if n <= state:
                return state - n, (Send(to, n),)
        return state, ()


class Clock:
    def now_s(self) -> float:
        return 0.0


@dataclass
class Archive:
    """What was saved by all workers: states and tokens in flight, by number of the snapshot."""

    states: dict[tuple[int, int], int] = field(default_factory=dict)
    in_flight: dict[tuple[int, int], InFlight] = field(default_factory=dict)
    committed: list[int] = field(default_factory=list)


@dataclass
class MemoryVault:
    archive: Archive
    worker: Worker
    saving: bool = False

    def save_state(self, number: int) -> None:
        assert (number, self.worker.me) not in self.archive.states
        self.archive.states[number, self.worker.me] = self.worker.driver.state

    def save_in_flight(self, number: int, messages: InFlight) -> list[tuple[str, int, str]]:
        self.archive.in_flight[number, self.worker.me] = list(messages)
        return [(f"worker-{self.worker.me}", 1, "hash")]

    def commit(self, number: int, parts: list[tuple[str, int, str]]) -> None:
        names = sorted(name for name, _, _ in parts)
        assert names == sorted(f"worker-{me}" for me in range(self.worker.num_workers))
        self.archive.committed.append(number)


class Worker:
    def __init__(self, me: int, num_workers: int, channels: Channels, archive: Archive) -> None:
        self.me, self.num_workers = me, num_workers
        self.stepping = False  # a service thread looks, no snapshot may begin
        mailbox = channels.mailbox(me)
        self.driver = Driver(Passing(), me, mailbox, None, NullNotebook(), Clock())
        self.snapshots = Snapshots(me, num_workers, mailbox.send, MemoryVault(archive, self))
        self.driver.snapshots = self.snapshots

    def give(self, to: int, amount: int) -> None:
        if not self.snapshots.frozen:
            self.driver.handle(Done((to, amount)))


class Run:
    def __init__(self, num_workers: int, seed: int) -> None:
        self.draw = random.Random(seed)
        self.archive = Archive()
        self.channels = Channels(num_workers, self.draw)
        self.workers = [
            Worker(me, num_workers, self.channels, self.archive) for me in range(num_workers)
        ]

    def turn(self) -> None:
        worker = self.draw.choice(self.workers)
        if worker.snapshots.stopped:
            return
        if self.draw.random() < 0.5:
            worker.driver.pump(at_pause=self.draw.random() < 0.7)
        else:
            others = [w.me for w in self.workers if w is not worker] or [worker.me]
            worker.give(self.draw.choice(others), self.draw.randint(0, 30))

    def settle(self) -> None:
        """Deliver what is under way; nobody gives anything away any more."""
        for _ in range(40 * len(self.workers) + 400):
            for worker in self.workers:
                worker.driver.pump()

    def saved_tokens(self, number: int) -> int:
        workers = range(len(self.workers))
        in_flight = sum(n for me in workers for _, n in self.archive.in_flight[number, me])
        return sum(self.archive.states[number, me] for me in workers) + in_flight


SCHEDULES = {"num_workers": st.integers(1, 5), "seed": st.integers(0, 10**6)}


@PROFILE
@given(**SCHEDULES)
def test_every_snapshot_of_a_run_that_goes_on_holds_all_tokens(num_workers, seed) -> None:
    run = Run(num_workers, seed)
    for turn in range(300):
        if turn % 60 == 20:
            run.workers[0].snapshots.take()
        run.turn()
    run.settle()
    assert run.archive.committed == list(range(1, len(run.archive.committed) + 1))
    assert run.archive.committed
    for number in run.archive.committed:
        assert run.saved_tokens(number) == TOKENS * num_workers
    assert sum(worker.driver.state for worker in run.workers) == TOKENS * num_workers
    assert not any(w.snapshots.busy or w.snapshots.frozen for w in run.workers)


@PROFILE
@given(**SCHEDULES, askers=st.lists(st.integers(0, 4), min_size=1, max_size=4), also=st.booleans())
def test_asking_to_stop_stops_everyone_with_all_tokens_saved(
    num_workers, seed, askers, also
) -> None:
    run = Run(num_workers, seed)
    for _ in range(50):
        run.turn()
    if also:  # a snapshot that goes on is under way when somebody asks
        run.workers[0].snapshots.take()
        for _ in range(run.draw.randint(0, 30)):
            run.turn()
    for asker in askers:
        run.workers[asker % num_workers].snapshots.ask_stop("the queue ends")
        for _ in range(run.draw.randint(0, 10)):
            run.turn()
    for _ in range(100):
        run.turn()
    run.settle()
    assert all(w.snapshots.stopped and w.snapshots.frozen for w in run.workers)
    assert len(run.archive.committed) == 1 + also
    last = run.archive.committed[-1]
    assert run.saved_tokens(last) == TOKENS * num_workers
    for worker in run.workers:
        assert worker.driver.state == run.archive.states[last, worker.me]


@PROFILE
@given(**SCHEDULES)
def test_a_run_resumed_from_its_snapshot_has_all_tokens(num_workers, seed) -> None:
    run = Run(num_workers, seed)
    for _ in range(80):
        run.turn()
    run.workers[-1].snapshots.ask_stop("enough")
    run.settle()
    number = run.archive.committed[-1]
    again = Run(num_workers, seed + 1)
    for worker in again.workers:
        worker.driver.state = run.archive.states[number, worker.me]
        for sender, tokens in run.archive.in_flight[number, worker.me]:
            worker.driver.handle(Received(sender, tokens))
    for _ in range(80):
        again.turn()
    again.settle()
    assert sum(worker.driver.state for worker in again.workers) == TOKENS * num_workers


def test_a_frozen_worker_handles_nothing() -> None:
    run = Run(2, seed=0)
    run.workers[0].snapshots.ask_stop("now")
    run.channels.queues[1, 0].append(7)
    before = run.workers[0].driver.state
    for _ in range(20):
        run.workers[0].driver.pump()
    assert run.workers[0].driver.state == before
    assert run.workers[0].snapshots.frozen
    assert not run.workers[0].snapshots.stopped


def test_a_mark_waits_for_a_pause_and_so_does_all_that_follows_it() -> None:
    run = Run(2, seed=0)
    sender, receiver = run.workers
    sender.give(1, 1)
    sender.snapshots.take()
    sender.give(1, 2)
    for _ in range(50):
        receiver.driver.pump(at_pause=False)
    assert receiver.driver.state == TOKENS + 1
    assert run.archive.states == {(1, 0): TOKENS - 1}
    for _ in range(50):
        receiver.driver.pump()
    assert run.archive.states[1, 1] == TOKENS + 1
    assert receiver.driver.state == TOKENS + 3


def test_only_one_snapshot_is_taken_at_a_time() -> None:
    run = Run(3, seed=1)
    run.workers[0].snapshots.take()
    run.workers[0].snapshots.take()
    run.settle()
    assert run.archive.committed == [1]


def test_the_numbers_of_a_resumed_run_go_on() -> None:
    run = Run(1, seed=0)
    archive = run.archive
    run.workers[0].snapshots = Snapshots(
        0, 1, lambda to, message: None, MemoryVault(archive, run.workers[0]), last_number=6
    )
    run.workers[0].snapshots.take()
    assert archive.committed == [7]


def test_no_snapshot_begins_when_somebody_may_already_have_left() -> None:
    """At the end of a run, a mark would wait for ever for the answer of a worker that is gone."""
    run = Run(2, seed=0)
    first = run.workers[0]
    first.snapshots = first.driver.snapshots = Snapshots(
        0, 2, run.channels.queues[0, 1].append, MemoryVault(run.archive, first),
        may_begin=lambda: False,
    )  # fmt: skip
    first.snapshots.take()
    first.snapshots.ask_stop("the wall-time is near")
    run.workers[1].snapshots.ask_stop("me too")
    run.settle()
    assert run.archive.states == {}
    assert not any(w.snapshots.busy or w.snapshots.frozen for w in run.workers)
