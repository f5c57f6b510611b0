"""Steps of the algorithm, one event at a time: what is told, what is answered, what is kept."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hpctrain.core.events import (
    Cancel,
    Command,
    Do,
    Done,
    Event,
    Finish,
    Note,
    PeerLost,
    Received,
    Send,
    SetTimer,
    Started,
    StopRequested,
    TimerFired,
)
from hpctrain.training.algorithm import TIME_IS_UP, Budget, IslandTraining
from hpctrain.training.fragments import plan_fragments
from hpctrain.training.messages import (
    Adopt,
    AdoptFinal,
    BudgetSpent,
    Final,
    Fresh,
    Leave,
    Push,
    RoundTrained,
    TrainRound,
)
from hpctrain.training.methods import make_method
from hpctrain.training.weights import Weighing
from tests.synthetic import UNLIMITED, slots

SIZES = (3, 2)  # of two fragments, at home at workers 0 and 1


def ones(value: float, fragment: int = 0) -> np.ndarray:
    return np.full(SIZES[fragment], value, np.float32)


def trained(round: int, steps: int = 4, values: tuple[float, float] = (1.0, 1.0)) -> Done:
    data = [ones(value, fragment) for fragment, value in enumerate(values)]
    return Done(RoundTrained(round, steps, 10 * steps, data))


def fresh(fragment: int, version: int, steps: int, value: float = 0.5) -> Received:
    return Received(fragment, Fresh(fragment, version, steps, ones(value, fragment)))


def final(fragment: int, version: int = 3, steps: int = 12, rounds: int = 0) -> Received:
    return Received(fragment, Final(fragment, version, steps, rounds, ones(9.0, fragment)))


def push(sender: int, round: int, base: int = 0, value: float = 1.0, steps: int = 4) -> Received:
    return Received(sender, Push(0, round, base, steps, 10 * steps, ones(value)))


class Actor:
    """Worker 0 of `num_workers`, told one event at a time."""

    def __init__(
        self, name: Any, budget: Budget = UNLIMITED, num_workers: int = 2, **options: Any
    ) -> None:
        self.fragments = plan_fragments(slots(SIZES), [], num_workers, num_fragments=2)
        method = make_method(name, sync_every=options.pop("sync_every", 4), **options)
        self.algorithm = IslandTraining(
            self.fragments, method, num_workers, lambda f: ones(0.0, f.index), budget
        )
        self.state = self.algorithm.init(0)
        self.notes: list[Note] = []

    def told(self, event: Event, now_s: float = 0.0) -> list[Command]:
        """The answers but the notes."""
        self.state, commands = self.algorithm.step(self.state, event, now_s)
        self.notes += [command for command in commands if isinstance(command, Note)]
        return [command for command in commands if not isinstance(command, Note)]

    @property
    def phase(self) -> str:
        return self.state.learner.phase

    @property
    def outer(self) -> Any:
        return self.state.home.outer[0]

    def at_work(self) -> Actor:
        self.told(Started())
        return self


def messages(commands: list[Command]) -> list[tuple[int, str]]:
    return [(c.to, type(c.message).__name__) for c in commands if isinstance(c, Send)]


def orders(commands: list[Command]) -> list[Any]:
    return [c.work for c in commands if isinstance(c, Do)]


# --- the learner ---------------------------------------------------------------------------------


def test_a_run_begins_with_the_order_of_a_round() -> None:
    actor = Actor("heloco")
    assert actor.told(Started()) == [Do(TrainRound(0, 4, 0, 0, {}, ()))]
    assert actor.phase == "training"


def test_a_round_is_pushed_to_the_homes_and_the_next_waits_for_all_answers() -> None:
    actor = Actor("heloco").at_work()
    commands = actor.told(trained(0, values=(1.0, 2.0)))
    assert messages(commands) == [(0, "Push"), (1, "Push")]
    assert [c.message.data[0] for c in commands] == [1.0, 2.0]
    assert [(c.message.steps, c.message.tokens, c.message.base_version) for c in commands] == [
        (4, 40, 0),
        (4, 40, 0),
    ]
    assert actor.phase == "waiting"
    assert actor.told(fresh(0, 5, 20)) == []
    (order,) = orders(actor.told(fresh(1, 3, 16)))
    assert (order.round, order.steps, order.version, order.global_steps) == (1, 4, 3, 20)
    assert {index: data[0] for index, data in order.adopt.items()} == {0: 0.5, 1: 0.5}
    assert order.expects == ()
    assert actor.state.learner.arrived == {}


def test_the_next_push_says_which_version_it_started_from() -> None:
    actor = Actor("heloco").at_work()
    actor.told(trained(0))
    actor.told(fresh(0, 5, 20))
    actor.told(fresh(1, 3, 16))
    assert [c.message.base_version for c in actor.told(trained(1))] == [5, 3]


def test_with_overlap_the_next_round_is_ordered_at_once() -> None:
    actor = Actor("heloco", overlap=True).at_work()
    commands = actor.told(trained(0))
    assert messages(commands) == [(0, "Push"), (1, "Push")]
    (order,) = orders(commands)
    assert (order.round, order.steps, order.adopt, order.expects) == (1, 4, {}, (0, 1))
    assert actor.phase == "training"
    (adopt,) = orders(actor.told(fresh(1, 3, 16)))
    assert isinstance(adopt, Adopt)
    assert (adopt.fragment, adopt.version, adopt.global_steps) == (1, 3, 16)
    assert actor.state.learner.awaiting == [0]


def test_an_answer_that_nobody_awaits_changes_nothing() -> None:
    actor = Actor("heloco").at_work()
    assert actor.told(fresh(0, 7, 28)) == []
    assert actor.state.learner.versions == [0, 0]


@pytest.mark.parametrize("overlap", [False, True])
def test_a_stop_cuts_the_round_short_and_what_was_learned_is_pushed(overlap: bool) -> None:
    actor = Actor("heloco", overlap=overlap).at_work()
    assert actor.told(StopRequested("bye")) == [Cancel("bye")]
    assert actor.phase == "leaving"
    commands = actor.told(trained(0, steps=1))
    assert messages(commands) == [(0, "Push"), (1, "Push"), (0, "Leave"), (1, "Leave")]
    assert actor.phase == "left"
    assert actor.told(fresh(0, 1, 1)) == []
    assert actor.state.learner.awaiting == [1]


def test_a_round_cut_short_before_its_first_step_is_not_pushed() -> None:
    actor = Actor("heloco").at_work()
    actor.told(StopRequested("bye"))
    commands = actor.told(Done(RoundTrained(0, 0, 0, [])))
    assert messages(commands) == [(0, "Leave"), (1, "Leave")]
    assert actor.state.learner.round == 0


def test_a_stop_before_the_start_just_leaves() -> None:
    actor = Actor("heloco")
    assert messages(actor.told(StopRequested("bye"))) == [(0, "Leave"), (1, "Leave")]
    assert actor.told(Started()) == []


def test_a_stop_while_answers_are_missing_leaves_at_once_if_asynchronous() -> None:
    actor = Actor("heloco").at_work()
    actor.told(trained(0))
    assert messages(actor.told(StopRequested("bye"))) == [(0, "Leave"), (1, "Leave")]


def test_a_stop_while_a_mean_is_missing_waits_for_it() -> None:
    actor = Actor("diloco").at_work()
    actor.told(trained(0))
    assert actor.told(StopRequested("bye")) == []
    actor.told(fresh(0, 1, 8))
    (order,) = orders(actor.told(fresh(1, 1, 8)))
    assert (order.steps, sorted(order.adopt)) == (0, [0, 1])
    commands = actor.told(Done(RoundTrained(1, 0, 0, [])))
    assert messages(commands) == [(0, "Leave"), (1, "Leave")]


def test_a_second_stop_says_nothing_new() -> None:
    actor = Actor("heloco").at_work()
    actor.told(StopRequested("one"))
    assert actor.told(StopRequested("two")) == []
    actor.told(trained(0, steps=2))
    assert actor.told(StopRequested("three")) == []


def test_the_last_fragments_are_adopted_and_the_run_ends() -> None:
    actor = Actor("heloco").at_work()
    actor.told(StopRequested("bye"))
    actor.told(trained(0, steps=1))
    assert actor.told(final(1, version=8, steps=40)) == []
    adopt, end = actor.told(final(0, version=3, steps=39))
    assert isinstance(adopt.work, AdoptFinal)
    assert adopt.work.global_steps == 40
    assert sorted(adopt.work.adopt) == [0, 1]
    assert end == Finish()
    assert (actor.phase, actor.state.learner.versions) == ("finished", [3, 8])


def test_a_synchronous_learner_ends_when_all_workers_have_taken_the_steps() -> None:
    actor = Actor("diloco", Budget(steps=16)).at_work()
    actor.told(trained(0))
    actor.told(fresh(0, 1, 8))
    assert orders(actor.told(fresh(1, 1, 8)))[0].steps == 4
    actor.told(trained(1))
    actor.told(fresh(0, 2, 16))
    assert orders(actor.told(fresh(1, 2, 16)))[0].steps == 0


def test_ddp_takes_the_round_that_all_others_take_before_it_ends() -> None:
    actor = Actor("ddp").at_work()
    assert actor.told(Received(1, BudgetSpent("time is up", last_round=0))) == []
    assert messages(actor.told(trained(0, steps=1))) == [(0, "Push"), (1, "Push")]
    actor.told(fresh(0, 1, 2))
    assert orders(actor.told(fresh(1, 1, 2)))[0].steps == 0


def test_ddp_is_not_asked_for_another_round_when_it_already_waits_for_the_last() -> None:
    actor = Actor("ddp").at_work()
    actor.told(trained(0, steps=1))
    assert actor.told(Received(1, BudgetSpent("time is up", last_round=0))) == []
    actor.told(fresh(0, 1, 2))
    assert orders(actor.told(fresh(1, 1, 2)))[0].steps == 0


def test_a_finished_run_begins_again_only_with_a_larger_budget() -> None:
    actor = Actor("heloco", Budget(steps=40)).at_work()
    actor.told(StopRequested("bye"))
    actor.told(trained(0, steps=1))
    actor.told(final(0, steps=40))
    actor.told(final(1, steps=40))
    assert actor.told(Started()) == [Finish()]
    larger = Actor("heloco", Budget(steps=41))
    larger.state = actor.state
    (order,) = orders(larger.told(Started()))
    assert (order.round, order.steps, order.version, order.global_steps) == (1, 4, 3, 40)
    assert (larger.state.home.left, larger.state.home.closed) == ([], False)
    assert not larger.state.learner.stopping


def test_a_finished_run_of_seconds_begins_again_only_with_more_of_them() -> None:
    actor = Actor("heloco", Budget(seconds=10.0))
    actor.state.learner.phase = "finished"
    assert actor.told(Started(), now_s=10.1) == [Finish()]
    more = Actor("heloco", Budget(seconds=20.0))
    more.state.learner.phase = "finished"
    commands = more.told(Started(), now_s=10.1)
    assert commands[0] == SetTimer(TIME_IS_UP, 20.0)
    assert len(orders(commands)) == 1


def test_a_worker_that_had_missed_rounds_goes_on_with_the_others() -> None:
    actor = Actor("diloco").at_work()
    actor.told(StopRequested("bye"))
    actor.told(Done(RoundTrained(0, 0, 0, [])))
    actor.told(final(0, rounds=7))
    actor.told(final(1, rounds=7))
    assert orders(actor.told(Started()))[0].round == 7


def test_going_on_in_the_middle_of_a_run_orders_nothing_twice() -> None:
    actor = Actor("heloco", Budget(seconds=5.0)).at_work()
    assert actor.told(Started()) == [SetTimer(TIME_IS_UP, 5.0)]


# --- the home ------------------------------------------------------------------------------------


def test_a_push_is_merged_and_its_sender_alone_is_answered() -> None:
    actor = Actor("async_nesterov", outer_lr=0.5, outer_momentum=0.0, arrival_weight="one")
    (answer,) = actor.told(push(1, 0, value=2.0))
    assert (answer.to, answer.message.version, answer.message.global_steps) == (1, 1, 4)
    np.testing.assert_array_equal(answer.message.data, ones(-1.0))
    np.testing.assert_array_equal(actor.outer.theta, ones(-1.0))
    (note,) = actor.notes
    assert note.kind == "outer_update"
    assert {k: note.fields[k] for k in ("fragment", "version", "sender", "staleness", "steps")} == {
        "fragment": 0,
        "version": 1,
        "sender": 1,
        "staleness": 0,
        "steps": 4,
    }
    assert note.fields["delta_norm"] == pytest.approx(2 * math.sqrt(3))
    assert math.isnan(note.fields["cosine"])


def test_staleness_counts_the_updates_since_a_worker_started() -> None:
    actor = Actor("mla", arrival_weight="polynomial", num_workers=4)
    for sender in (1, 2, 3, 1):
        actor.told(push(sender, 0))
    assert [note.fields["staleness"] for note in actor.notes] == [0, 1, 2, 3]
    weights = [note.fields["weight"] for note in actor.notes]
    assert weights == pytest.approx([1 / math.sqrt(4 * (1 + tau)) for tau in range(4)])


def test_heloco_answers_with_a_look_ahead_and_keeps_theta_itself() -> None:
    actor = Actor("heloco", outer_lr=0.5, outer_momentum=0.5, arrival_weight="one")
    (answer,) = actor.told(push(1, 0, value=2.0))
    momentum = 0.5 * 2.0
    theta = -0.5 * (2.0 + 0.5 * momentum)
    np.testing.assert_allclose(actor.outer.theta, theta)
    np.testing.assert_allclose(answer.message.data, theta - 0.5 * 0.5 * momentum)


def test_an_answer_is_never_written_again() -> None:
    actor = Actor("mla")
    (first,) = actor.told(push(1, 0))
    before = first.message.data.copy()
    actor.told(push(1, 1, base=1))
    np.testing.assert_array_equal(first.message.data, before)


def test_a_push_from_the_future_is_refused_and_answered() -> None:
    actor = Actor("heloco")
    (answer,) = actor.told(push(1, 0, base=3))
    assert (answer.message.version, answer.message.global_steps) == (0, 0)
    assert actor.notes[0].fields["refused"]
    assert "ahead" in actor.notes[0].fields["reason"]
    np.testing.assert_array_equal(actor.outer.theta, ones(0.0))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_push_that_is_not_finite_is_refused_but_its_steps_count(bad: float) -> None:
    actor = Actor("heloco", Budget(steps=8))
    (answer,) = actor.told(push(1, 0, value=bad))
    assert (answer.message.version, answer.message.global_steps) == (0, 4)
    np.testing.assert_array_equal(answer.message.data, ones(0.0))
    assert actor.notes[0].fields["reason"] == "it is not finite"
    commands = actor.told(push(1, 1, value=bad))
    assert messages(commands) == [(1, "Fresh"), (0, "BudgetSpent"), (1, "BudgetSpent")]


def test_the_budget_is_announced_once() -> None:
    actor = Actor("mla", Budget(steps=4))
    assert messages(actor.told(push(1, 0))) == [
        (1, "Fresh"),
        (0, "BudgetSpent"),
        (1, "BudgetSpent"),
    ]
    assert messages(actor.told(push(0, 0))) == [(0, "Fresh")]
    assert actor.told(TimerFired(TIME_IS_UP), 99.0) == []


def test_a_round_is_merged_when_the_last_has_come_and_all_are_answered() -> None:
    actor = Actor("diloco", outer_lr=1.0, outer_momentum=0.0, num_workers=3)
    assert actor.told(push(2, 0, value=3.0)) == []
    assert actor.told(push(0, 0, value=6.0)) == []
    commands = actor.told(push(1, 0, value=0.0))
    assert messages(commands) == [(0, "Fresh"), (1, "Fresh"), (2, "Fresh")]
    np.testing.assert_allclose(actor.outer.theta, -3.0)
    assert (actor.outer.version, actor.state.home.steps[0]) == (1, 12)
    assert actor.state.home.collected == {0: {}}


def test_the_order_of_arrival_leaves_no_trace_in_a_mean() -> None:
    thetas = []
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        actor = Actor("diloco", num_workers=3)
        for sender in order:
            actor.told(push(sender, 0, value=(0.1, 1e7, -1e7)[sender]))
        thetas.append(actor.outer.theta.tobytes())
    assert len(set(thetas)) == 1


def test_who_has_left_is_not_waited_for() -> None:
    actor = Actor("diloco", num_workers=3)
    actor.told(push(0, 0))
    actor.told(push(1, 0))
    assert messages(actor.told(Received(2, Leave()))) == [(0, "Fresh"), (1, "Fresh")]
    actor.told(push(0, 1, base=1))
    assert messages(actor.told(PeerLost(1))) == [(0, "Fresh")]
    assert actor.told(PeerLost(1)) == []


def test_a_push_of_who_then_left_still_counts() -> None:
    actor = Actor("diloco", outer_lr=1.0, outer_momentum=0.0, num_workers=2)
    actor.told(push(1, 0, value=4.0, steps=1))
    actor.told(Received(1, Leave()))
    actor.told(push(0, 0, value=2.0))
    np.testing.assert_allclose(actor.outer.theta, -3.0)


def test_a_synchronous_push_that_is_not_finite_is_left_out_of_the_mean() -> None:
    actor = Actor("diloco", outer_lr=1.0, outer_momentum=0.0)
    actor.told(push(0, 0, value=math.nan))
    commands = actor.told(push(1, 0, value=2.0))
    assert [c.message.version for c in commands] == [1, 1]
    np.testing.assert_array_equal(actor.outer.theta, ones(-2.0))
    assert [note.fields["refused"] for note in actor.notes] == [True, False]
    assert actor.notes[0].fields["sender"] == 0


def test_a_round_without_a_finite_push_leaves_the_fragment_as_it_was() -> None:
    actor = Actor("diloco")
    actor.told(push(0, 0, value=math.nan))
    commands = actor.told(push(1, 0, value=math.inf))
    assert [c.message.version for c in commands] == [0, 0]
    np.testing.assert_array_equal(actor.outer.theta, ones(0.0))
    assert all(note.fields["refused"] for note in actor.notes)


def test_a_learner_ends_when_the_home_of_a_fragment_is_lost() -> None:
    actor = Actor("heloco")
    actor.told(Started())
    commands = actor.told(PeerLost(actor.algorithm.fragments[-1].home))
    assert any(isinstance(command, Finish) for command in commands)


def test_ddp_hands_on_the_mean_gradient() -> None:
    actor = Actor("ddp")
    actor.told(push(0, 0, value=1.0, steps=1))
    first, second = actor.told(push(1, 0, value=3.0, steps=1))
    np.testing.assert_array_equal(first.message.data, ones(2.0))
    np.testing.assert_array_equal(second.message.data, ones(2.0))


def test_when_all_have_left_everybody_learns_how_it_ended() -> None:
    actor = Actor("mla")
    actor.told(push(1, 0))
    assert actor.told(Received(1, Leave())) == []
    commands = actor.told(Received(0, Leave()))
    assert messages(commands) == [(0, "Final"), (1, "Final")]
    np.testing.assert_array_equal(commands[0].message.data, actor.outer.theta)
    assert commands[0].message.data is not actor.outer.theta
    assert actor.told(TimerFired(TIME_IS_UP), 1e9) == []


def test_time_is_kept_by_the_home_of_the_first_fragment() -> None:
    actor = Actor("heloco", Budget(seconds=30.0))
    assert actor.told(Started())[0] == SetTimer(TIME_IS_UP, 30.0)
    commands = actor.told(TimerFired(TIME_IS_UP), 30.0)
    assert messages(commands) == [(0, "BudgetSpent"), (1, "BudgetSpent")]
    assert commands[0].message == BudgetSpent(TIME_IS_UP, None)
    other = Actor("heloco", Budget(seconds=30.0))
    other.state = other.algorithm.init(1)
    assert not any(isinstance(c, SetTimer) for c in other.told(Started()))


def test_a_timer_of_an_earlier_budget_ends_nothing() -> None:
    for budget in (Budget(seconds=60.0), Budget(steps=100)):
        actor = Actor("heloco", budget).at_work()
        assert actor.told(TimerFired(TIME_IS_UP), 30.0) == []


def test_what_training_does_not_know_is_an_error() -> None:
    actor = Actor("heloco")
    with pytest.raises(TypeError, match="does not know the message 'hello' from 1"):
        actor.told(Received(1, "hello"))
    with pytest.raises(TypeError, match="does not know what to do about"):
        actor.told(Done("a candidate"))


def test_a_worker_without_a_home_is_a_learner_only() -> None:
    fragments = plan_fragments(slots([4]), [], num_workers=3)
    algorithm = IslandTraining(
        fragments, make_method("mla", sync_every=1), 3, lambda f: ones(0.0), UNLIMITED
    )
    state = algorithm.init(2)
    assert state.home.outer == {}
    _, commands = algorithm.step(state, Started(), 0.0)
    assert len(orders(list(commands))) == 1


def test_where_no_tokens_are_counted_a_weight_by_tokens_goes_by_steps() -> None:
    actor = Actor("diloco", weighing=Weighing("token_weighted"), outer_lr=1.0, outer_momentum=0.0)
    actor.at_work()
    for sender, steps, value in ((0, 4, 1.0), (1, 12, 3.0)):
        actor.told(Received(sender, Push(0, 0, 0, steps, 0, ones(value))))
    np.testing.assert_allclose(actor.outer.theta, -ones(2.5))
