"""Rounds whose values come late to the host: a slow copier stands in for a GPU's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hpctrain.core.events import Started
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.memory import MemoryPost
from hpctrain.runtime.recording import MemoryJournal, Score
from hpctrain.runtime.snapshot import Mark, Saved, Snapshots
from hpctrain.training.algorithm import Budget, IslandTraining
from hpctrain.training.messages import Leave, Push
from hpctrain.training.methods import make_method
from hpctrain.workers.copier import HostCopier
from hpctrain.workers.lockstep import Lockstep, SingleRank
from hpctrain.workers.orders import Orders
from hpctrain.workers.reading import Array
from hpctrain.workers.replica import Replica
from hpctrain.workers.session import Session, SessionSettings

STEPS = 5  # of a round
FOREVER = float("inf")


@dataclass
class SlowReading:
    """Values that are there after `looks` questions, or when somebody insists."""

    values: Array
    looks: float
    insisted: bool = False

    def ready(self) -> bool:
        self.looks -= 1
        return self.looks < 0

    def array(self) -> Array:
        self.insisted = self.looks >= 0
        return self.values


class SlowCopier(HostCopier):
    """Takes the values at once, as a stream does, and hands them out late."""

    def __init__(self, looks: float) -> None:
        self.looks = looks
        self.readings: list[SlowReading] = []

    def begin(self, tensors: Sequence[Tensor], numel: int) -> SlowReading:
        values = super().begin(tensors, numel).array()
        self.readings.append(SlowReading(values, self.looks))
        return self.readings[-1]


@dataclass
class Diary:
    """A clock and a notebook, and a mailbox's record of what was sent after which step."""

    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    sent: list[tuple[int, Any]] = field(default_factory=list)

    def now_s(self) -> float:
        return 0.0

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.rows.append((kind, dict(fields)))

    def of(self, kind: str, name: str) -> list[Any]:
        return [fields[name] for found, fields in self.rows if found == kind]


class Worker:
    """Worker 0 of two, with a model of two parameters; worker 1 is the test.

    A step takes 1 from every parameter: so a round that holds steps of another one is seen.
    """

    def __init__(
        self,
        looks: float,
        journal: MemoryJournal | None = None,
        score: Score | None = None,
        late: bool = True,
    ) -> None:
        self.copier = SlowCopier(looks)
        self.model = nn.Linear(1, 1)
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.fill_(100.0)
        replica = Replica(self.model, copier=self.copier)
        (self.fragment,) = replica.plan(2, num_fragments=1)
        start = replica.read(self.fragment)
        self.post, self.diary, orders = MemoryPost(2), Diary(), Orders()
        self.mailbox = self.post.mailbox(0)
        self.other = self.post.mailbox(1)
        method = make_method("async_nesterov", sync_every=STEPS, overlap=True)
        algorithm = IslandTraining(
            (self.fragment,), method, 2, lambda f: start.copy(), Budget(steps=10 * STEPS)
        )
        self.driver = Driver(
            algorithm, 0, self.mailbox, orders, self.diary, self.diary,
            steps_done=lambda: self.session.steps_told, journal=journal, score=score,
        )  # fmt: skip
        self.session = Session(
            Lockstep(replica, SingleRank(), lambda number: None),
            self.driver, orders, self.diary, self.diary.now_s,
            SessionSettings(gradients=False, overlap=True, late=late),
        )  # fmt: skip
        self.session.round.set_anchors([start])
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1.0)
        self.session.attach(self.optimizer)
        self.driver.handle(Started())
        self.session.start()

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            for parameter in self.model.parameters():
                parameter.grad = torch.ones_like(parameter)
            self.optimizer.step()

    @property
    def merged(self) -> list[int]:
        """Steps of each push that the home here has merged."""
        return self.diary.of("outer_update", "steps")


def test_steps_go_on_while_a_round_is_on_its_way_and_nothing_is_sent() -> None:
    worker = Worker(looks=3)
    worker.step(STEPS)
    assert worker.session.round.state.steps == 0
    assert worker.merged == []
    worker.step()
    assert worker.session.steps_done == STEPS + 1  # not held up
    assert worker.merged == []
    worker.step(2)
    assert worker.merged == [STEPS]
    assert not worker.copier.readings[1].insisted  # 0: the start, 1: the end of the round


def test_a_push_holds_the_steps_of_its_round_and_no_later_ones() -> None:
    worker = Worker(looks=3)
    pushed: list[Array] = []
    handle: Callable[..., Any] = worker.driver.handle

    def watch(event: Any, now_s: float | None = None) -> None:
        pushed.extend(getattr(getattr(event, "result", None), "data", []))
        handle(event, now_s)

    worker.driver.handle = watch  # type: ignore[method-assign]
    worker.step(4 * STEPS)
    worker.other.send(0, Leave())
    worker.session.finish()
    assert len(pushed) >= 4
    for data in pushed[:4]:
        np.testing.assert_allclose(data, np.full(2, STEPS, np.float32), atol=1e-4)


def test_a_round_is_waited_for_when_the_next_one_is_complete() -> None:
    worker = Worker(looks=FOREVER)
    worker.step(2 * STEPS - 1)
    assert worker.merged == []
    worker.step()
    assert worker.merged == [STEPS]
    assert worker.copier.readings[1].insisted


@pytest.mark.parametrize("looks", [0, 1, 2, 7, FOREVER])
@pytest.mark.parametrize("last", [0, 1, STEPS - 1])
def test_no_step_is_lost_when_the_loop_ends_in_the_middle(looks: float, last: int) -> None:
    worker = Worker(looks)
    worker.step(3 * STEPS + last)
    worker.other.send(0, Leave())
    worker.session.finish()
    assert worker.session.ended
    assert sum(worker.merged) == worker.session.steps_done == 3 * STEPS + last
    assert sum(worker.diary.of("round", "steps")) == 3 * STEPS + last


def test_no_step_is_lost_when_the_budget_is_spent_meanwhile() -> None:
    worker = Worker(looks=2)
    while not worker.session.ended:
        worker.step()
        if worker.session.steps_done == 10 * STEPS:
            worker.other.send(0, Leave())
    assert sum(worker.merged) == worker.session.steps_done


def test_messages_are_handled_after_the_round_that_came_before_them() -> None:
    worker = Worker(looks=2)
    worker.step(STEPS)
    worker.other.send(0, push_of_another(worker))
    worker.step()
    assert worker.merged == []
    worker.step(2)
    assert worker.diary.of("outer_update", "sender") == [0, 1]


def test_a_snapshot_holds_no_round_that_is_on_its_way() -> None:
    worker = Worker(looks=FOREVER)
    vault = Memory(worker.session)
    worker.driver.snapshots = Snapshots(0, 2, worker.mailbox.send, vault)
    worker.step(STEPS + 2)
    worker.session.request_stop("asked to")
    worker.other.send(0, Mark(1, stop=True))
    worker.other.send(0, Saved(1, []))
    with pytest.raises(SystemExit):
        worker.step(STEPS)
    assert vault.saved == [(STEPS, 2 * STEPS)]  # of the round in progress, and of all
    assert worker.merged == [STEPS]


def test_a_late_run_is_followed_to_the_same_bits_by_one_that_is_not_late() -> None:
    journal = MemoryJournal()
    first = Worker(looks=3, journal=journal)
    first.step(4 * STEPS + 2)
    first.other.send(0, Leave())
    first.session.finish()
    second = Worker(looks=0, score=Score(journal.entries), late=False)
    second.other.send(0, Leave())
    second.step(4 * STEPS + 2)
    second.session.finish()
    ours, theirs = (w.driver.state.home.outer[0].theta for w in (first, second))
    np.testing.assert_array_equal(ours, theirs)
    assert first.merged == second.merged


@dataclass
class Memory:
    """A vault that keeps the steps of the round in progress, and of all."""

    session: Session
    saved: list[tuple[int, int]] = field(default_factory=list)

    def save_state(self, number: int) -> None:
        assert not self.session.ahead.pending
        self.saved.append((self.session.round.state.steps, self.session.steps_done))

    def save_in_flight(self, number: int, messages: Any) -> list[Any]:
        return []

    def commit(self, number: int, parts: list[Any]) -> None:
        """Nothing to make valid."""


def push_of_another(worker: Worker) -> Push:
    return Push(0, 0, 0, STEPS, 0, np.ones(worker.fragment.numel, np.float32))
