"""A recorded run followed again, with messages at other moments, ends with the same bits."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.core.events import Done, Started
from hpctrain.errors import HpctrainError
from hpctrain.runtime.codec import to_bytes
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import NullNotebook
from hpctrain.runtime.recording import Entry, MemoryJournal, Score
from hpctrain.training.algorithm import Budget, IslandTraining
from hpctrain.training.fragments import plan_fragments
from hpctrain.training.messages import Adopt, AdoptFinal, TrainRound
from hpctrain.training.methods import Method, make_method
from hpctrain.workers.rounds import Round
from tests.channels import Channels
from tests.synthetic import bowls, make_cluster, slots, start_values

PROFILE = settings(derandomize=True, deadline=None, max_examples=40)
SIZES = (6, 3, 4)


class Player:
    """One worker whose loop takes a step at a time, as a session does it, without torch or MPI."""

    def __init__(self, stage: Stage, me: int, score: Sequence[Entry] | None) -> None:
        self.model = bowls(stage.fragments, stage.starts, me)
        self.round = Round(self.model, stage.method.gradients, stage.method.overlap)
        self.round.set_anchors([value.copy() for value in stage.starts])
        self.journal = MemoryJournal()
        self.driver = Driver(
            stage.algorithm, me, stage.channels.mailbox(me), self, NullNotebook(), stage,
            steps_done=lambda: self.model.steps,
            journal=self.journal, score=None if score is None else Score(score),
        )  # fmt: skip
        self._orders: deque[Any] = deque()
        self._cancelled = False
        self._gradient_owed = False

    def order(self, work: Any) -> None:
        self._orders.append(work)

    def cancel(self, reason: str) -> None:
        self._cancelled = True

    def turn(self) -> None:
        """A pause: do what there is to do, and then at most one step."""
        while self._look():
            pass
        if self._gradient_owed:
            if self.round.state.order is not None or self.driver.finished:
                self._apply()
        elif self._may_step():
            self.model.compute_gradient()
            if self.round.gradients:
                self._gradient_owed = True
                self.driver.handle(Done(self.round.result(gradients=True)))
            else:
                self._apply()

    def _look(self) -> bool:
        self.driver.pump()
        progress = self._carry_out_orders()
        if self.round.complete and self.driver.may_finish_work():
            self.driver.handle(Done(self.round.result()))
            return True
        return progress

    def _carry_out_orders(self) -> bool:
        progress = False
        while self._orders and self.driver.may_carry_out():
            match self._orders.popleft():
                case TrainRound() as order:
                    self.round.begin(order)
                case Adopt() as order:
                    self.round.merge(order)
                case AdoptFinal() as order:
                    self.round.adopt_final(order)
            self.driver.carried_out()
            progress = True
        if self._cancelled and self.round.state.order is not None:
            self.round.state.cancelled, self._cancelled = True, False
        return progress

    def _may_step(self) -> bool:
        state, driver = self.round.state, self.driver
        if driver.finished or state.order is None or not driver.caught_up():
            return False
        return not (self.round.complete and driver.may_finish_work())

    def _apply(self) -> None:
        self.model.apply_gradient()
        self._gradient_owed = False
        if not self.round.gradients:
            self.round.state.steps += 1


class Stage:
    """Players who take turns at random. Its clock goes on with every turn."""

    def __init__(
        self,
        method: Method,
        num_workers: int,
        budget: Budget,
        seed: int,
        hurry: float = 0.7,
        scores: Sequence[Sequence[Entry]] | None = None,
    ) -> None:
        self.method = method
        self.draw = random.Random(seed)
        self.fragments = plan_fragments(slots(SIZES), slots((2,), "b"), num_workers, 2)
        self.starts = start_values(self.fragments)
        self.algorithm = IslandTraining(
            self.fragments, method, num_workers, lambda f: self.starts[f.index].copy(), budget
        )
        self.channels = Channels(num_workers, self.draw, hurry)
        self.turns = 0
        self.players = [
            Player(self, me, None if scores is None else scores[me]) for me in range(num_workers)
        ]

    def now_s(self) -> float:
        return self.turns * 0.01

    def play(self, stops: dict[int, int] | None = None) -> Stage:
        """Until all have finished. `stops`: at which turn the script of a worker ends."""
        for player in self.players:
            player.driver.handle(Started())
        while not all(player.driver.finished and not player._orders for player in self.players):
            for me in [m for m, turn in (stops or {}).items() if turn <= self.turns]:
                self.players[me].driver.stop("the script has ended")
                del stops[me]
            self.turns += 1
            assert self.turns < 8_000, "nobody gets on"
            self.draw.choice(self.players).turn()
        return self

    def outcome(self) -> list[Any]:
        """All states and models, as bytes."""
        return [
            (
                to_bytes(player.driver.state),
                [player.model.read(fragment).tobytes() for fragment in self.fragments],
                player.model.steps,
            )
            for player in self.players
        ]

    def entries(self) -> list[list[Entry]]:
        return [player.journal.entries for player in self.players]


WITHOUT_DDP = [
    make_method("heloco", sync_every=4),
    make_method("heloco", sync_every=3, overlap=True),
    make_method("mla", sync_every=1, overlap=True),
    make_method("diloco", sync_every=3),
]
DDP = make_method("ddp", sync_every=1)
METHODS = st.sampled_from([*WITHOUT_DDP, DDP])
BUDGETS = st.sampled_from([Budget(steps=40), Budget(seconds=1.5), Budget(60, 2.0)])
SEEDS = st.integers(0, 10**6)


@PROFILE
@given(METHODS, st.integers(1, 4), BUDGETS, SEEDS, SEEDS, st.sampled_from([0.2, 0.99]))
def test_a_run_followed_in_another_timing_has_the_same_bits(
    method, num_workers, budget, seed, other_seed, hurry
) -> None:
    first = Stage(method, num_workers, budget, seed).play()
    second = Stage(method, num_workers, budget, other_seed, hurry, first.entries()).play()
    assert second.outcome() == first.outcome()
    for again, before in zip(second.entries(), first.entries(), strict=True):
        assert [(e.kind, e.sender) for e in again] == [(e.kind, e.sender) for e in before]


@PROFILE
@given(METHODS, BUDGETS, SEEDS, SEEDS, st.integers(0, 120))
def test_scripts_that_end_early_are_followed_too(method, budget, seed, other_seed, turn) -> None:
    stops = {0: turn, 2: 2 * turn}
    first = Stage(method, 3, budget, seed).play(stops)
    second = Stage(method, 3, budget, other_seed, scores=first.entries()).play()
    assert second.outcome() == first.outcome()


def assert_followed_step_by_step(
    method: Method, step_s: list[float], budget: Budget, seed: int
) -> None:
    cluster = make_cluster(
        method, step_s, budget=budget, sizes=SIZES, buffers=(2,), num_fragments=2, latency_s=0.03
    ).run()
    scores = [journal.entries for journal in cluster.journals]
    stage = Stage(method, len(step_s), budget, seed, scores=scores).play()
    assert stage.outcome() == [
        (to_bytes(driver.state), cluster.parameters(me), cluster.steps[me])
        for me, driver in enumerate(cluster.drivers)
    ]


@PROFILE
@given(
    st.sampled_from(WITHOUT_DDP),
    st.lists(st.sampled_from([0.1, 0.17, 0.4]), min_size=1, max_size=3),
    st.sampled_from([Budget(steps=40), Budget(seconds=1.5), Budget(60, 2.03)]),
    SEEDS,
)
def test_a_simulated_run_is_followed_by_one_that_takes_its_steps_one_by_one(
    method, step_s, budget, seed
) -> None:
    assert_followed_step_by_step(method, step_s, budget, seed)


def test_a_simulated_run_of_ddp_is_followed_step_by_step() -> None:
    assert_followed_step_by_step(DDP, [0.1, 0.17], Budget(steps=20), seed=0)


def test_a_recording_of_another_run_is_noticed() -> None:
    method = make_method("heloco", sync_every=4)
    first = Stage(method, 2, Budget(steps=40), seed=0).play()
    scores = first.entries()
    scores[1][3:3] = [Entry(0.0, 0, "PeerLost")]
    with pytest.raises(HpctrainError, match="the run has left the recording at entry"):
        Stage(make_method("heloco", sync_every=2), 2, Budget(steps=40), 0, scores=scores).play()


def test_a_recording_that_stops_early_is_followed_to_its_end_and_then_left() -> None:
    """A run that was killed, or saved and stopped, leaves such a recording."""
    method = make_method("heloco", sync_every=4)
    first = Stage(method, 3, Budget(steps=60), seed=1).play()
    scores = [entries[: len(entries) // 2] for entries in first.entries()]
    second = Stage(method, 3, Budget(steps=60), seed=2, scores=scores).play()
    for again, cut in zip(second.entries(), scores, strict=True):
        assert [e.kind for e in again[: len(cut)]] == [e.kind for e in cut]
    assert sum(player.model.steps for player in second.players) >= 60
