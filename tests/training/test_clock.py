"""Rounds that end by the clock, and outer steps in parts: what `galoco` is made of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpctrain.core.events import Cancel, Send, SetTimer, Started, TimerFired
from hpctrain.runtime.codec import from_bytes, to_bytes
from hpctrain.training.algorithm import Budget
from hpctrain.training.local_steps import LocalSteps, Paces
from hpctrain.training.methods import Waiting, make_method
from hpctrain.training.rules.nesterov import Nesterov
from hpctrain.training.rules.partial import PartialNesterov
from hpctrain.training.rules.rule import Arrival, OuterState
from tests.synthetic import make_cluster
from tests.training.test_rules import bounds_of, pushes, random_state
from tests.training.test_steps import Actor, messages, orders, push, trained

CLOCK = LocalSteps("clock")
AUTO = Waiting(None, "mean")
PROFILE = [1.0, 6.0, 6.0, 6.0, 6.0]


def galoco(**options: Any) -> Any:
    values = {"sync_every": 20, "overlap": True, "local_steps": CLOCK, "waiting": AUTO}
    return make_method("galoco", **values | options)


# --- the rule ------------------------------------------------------------------------------------


def test_a_whole_part_is_diloco_to_the_bit() -> None:
    one, two = random_state(3, 40), random_state(3, 40)
    for delta in pushes(3, 40):
        PartialNesterov(0.7, 0.9).apply(one, delta, 1.0, bounds_of((40,)))
        Nesterov(0.7, 0.9).apply(two, delta, 1.0, bounds_of((40,)))
    assert np.array_equal(one.theta, two.theta)
    assert np.array_equal(one.momentum, two.momentum)


@pytest.mark.parametrize("parts", [1, 2, 5])
def test_in_the_long_run_theta_goes_as_far_in_parts_as_at_once(parts: int) -> None:
    state = OuterState(np.zeros(1, np.float32), np.zeros(1, np.float32), 0)
    rule, delta = PartialNesterov(1.0, 0.9), np.ones(1, np.float32)
    for _ in range(200 * parts):
        before = state.theta.copy()
        rule.apply(state, delta, 1 / parts, ((0, 1),), Arrival(part=1 / parts))
    # 1 / (1 - mu) at once; in parts momentum fades between them, as an integral to its sum.
    step = parts * float((before - state.theta)[0])
    assert step == pytest.approx(10.0, rel=0.06)


def test_gain_is_what_theta_moved_along_the_pseudo_gradient() -> None:
    state = random_state(5, 30)
    before, (delta, *_) = state.theta.copy(), pushes(5, 30)
    did = PartialNesterov(0.7, 0.9).apply(state, delta, 0.4, ((0, 30),), Arrival(part=0.3))
    moved = float(np.dot(before - state.theta, delta) / (0.7 * np.dot(delta, delta)))
    assert did is not None
    assert did.gain == pytest.approx(moved, rel=1e-4)


# --- whole clusters ------------------------------------------------------------------------------


@pytest.mark.parametrize("jitter", [0.0, 0.4])
def test_all_take_steps_by_their_speed_and_nobody_waits(jitter: float) -> None:
    cluster = make_cluster(
        galoco(), PROFILE, budget=Budget(seconds=2400.0), jitter=jitter, latency_s=0.5
    ).run()
    slow = [cluster.steps[worker] for worker in range(1, 5)]
    assert cluster.steps[0] / np.mean(slow) == pytest.approx(6.0, rel=0.08)
    assert sum(cluster.steps) >= 3900
    contributors = [row["contributors"] for row in cluster.updates(cluster.fragments[0])]
    usual = contributors[2 : -len(PROFILE)]
    assert np.mean(usual) > 4.8  # groups are of all


def test_a_round_has_sync_every_steps_in_the_mean() -> None:
    cluster = make_cluster(galoco(), PROFILE, budget=Budget(steps=4000)).run()
    rows = cluster.updates(cluster.fragments[0])
    full = [row["steps"] for row in rows if row["contributors"] == 5][3:]
    assert np.mean(full) == pytest.approx(100, rel=0.03)


def test_who_stalls_holds_nobody_up_for_longer_than_the_grace() -> None:
    stalls = [1.0, 1.0, 1.0, 1.0, 500.0]  # its first round takes as long as 500 steps of the others
    cluster = make_cluster(galoco(), stalls, budget=Budget(seconds=4000.0)).run()
    assert cluster.all_finished
    assert min(cluster.steps[:4]) > 2000  # all wait for the first answer: no speed is known
    groups = [row["contributors"] for row in cluster.updates(cluster.fragments[0])]
    assert groups.count(4) > 50


def test_a_run_of_few_rounds_and_one_worker_ends() -> None:
    for seconds in (0.0, 0.5, 3.0, 30.0):
        cluster = make_cluster(galoco(), [1.0], budget=Budget(seconds=seconds)).run()
        assert cluster.all_finished


# --- single events -------------------------------------------------------------------------------


def told_speed(worker: int, round: int, steps: int, speed: float) -> Any:
    event = push(worker, round)
    object.__setattr__(event.message, "steps", steps)
    object.__setattr__(event.message, "speed", speed)
    return event


def test_the_home_tells_all_of_a_group_when_the_round_ends() -> None:
    actor = Actor("galoco", num_workers=2, sync_every=20, overlap=True, local_steps=CLOCK,
                  waiting=AUTO)  # fmt: skip
    actor.told(told_speed(0, 0, 2, 1.0), 2.0)
    commands = actor.told(told_speed(1, 0, 2, 0.25), 8.0)
    told = [command.message for command in commands if messages([command])]
    # T = 2 * 20 / 1.25 = 32 s; the first end is a round after the beginning
    assert {fresh.ends_in_s for fresh in told} == {24.0}


def test_ends_follow_each_other_by_a_round_whatever_the_delay() -> None:
    paces = Paces()
    assert CLOCK.next_end_s(paces, 60.0, 50.0) == 65.0  # not less than a quarter from now
    assert CLOCK.next_end_s(paces, 60.0, 66.0) == 125.0
    assert CLOCK.next_end_s(paces, 60.0, 90.0) == 125.0  # who comes late joins the others
    assert CLOCK.next_end_s(paces, 60.0, 124.0) == 185.0


def test_time_ends_the_round_that_it_was_for_and_no_other() -> None:
    actor = Actor("galoco", num_workers=2, sync_every=20, overlap=True, local_steps=CLOCK,
                  waiting=AUTO)  # fmt: skip
    actor.told(Started())
    actor.told(trained(0, 2), 2.0)
    learner = actor.state.learner
    assert learner.round == 1
    timers = [c for c in actor.told(fresh_with_end(24.0), 8.0) if isinstance(c, SetTimer)]
    assert [timer.at_s for timer in timers] == [32.0]
    assert actor.told(TimerFired("round 0"), 32.0) == []
    assert actor.told(TimerFired(timers[0].name), 32.0) == [Cancel("the round's time is over")]


def fresh_with_end(seconds: float) -> Any:
    from tests.training.test_steps import fresh

    event = fresh(0, 1, 4)
    object.__setattr__(event.message, "ends_in_s", seconds)
    return event


def test_a_round_that_was_cut_before_its_first_step_is_followed_by_a_brief_one() -> None:
    actor = Actor("galoco", num_workers=2, sync_every=20, overlap=True, local_steps=CLOCK,
                  waiting=AUTO)  # fmt: skip
    actor.told(Started())
    actor.told(trained(0, 2), 2.0)
    (order,) = orders(actor.told(trained(1, 0), 9.0))
    assert order.steps == 2


def test_the_end_of_a_round_is_not_forgotten_by_a_resume() -> None:
    actor = Actor("galoco", num_workers=2, sync_every=20, overlap=True, local_steps=CLOCK,
                  waiting=AUTO)  # fmt: skip
    actor.told(Started())
    actor.told(trained(0, 2), 2.0)
    actor.told(fresh_with_end(24.0), 8.0)
    again = Actor("galoco", num_workers=2, sync_every=20, overlap=True, local_steps=CLOCK,
                  waiting=AUTO)  # fmt: skip
    again.state = from_bytes(to_bytes(actor.state))
    timers = [c.at_s for c in again.told(Started(), 9.0) if isinstance(c, SetTimer)]
    assert timers == [32.0]


def test_what_else_a_round_takes_counts_and_a_pause_does_not() -> None:
    actor = Actor("galoco", num_workers=2, sync_every=20, overlap=True, local_steps=CLOCK,
                  waiting=AUTO)  # fmt: skip
    actor.told(Started())
    speeds = []
    for round, (seconds, until_s) in enumerate([(4.0, 4.0), (4.0, 12.0), (4.0, 5000.0)]):
        done = trained(round, 8)
        object.__setattr__(done.result, "seconds", seconds)
        sends = [c.message for c in actor.told(done, until_s) if isinstance(c, Send)]
        speeds.append(sends[0].speed)
        actor.state.learner.awaiting = []
    assert speeds == [2.0, 1.0, 0.5]
