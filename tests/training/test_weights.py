"""Weights of arrivals, the guard, and local steps: policies by themselves."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.training.guard import PATIENCE, WARM_UP, Guard, Lengths
from hpctrain.training.local_steps import LocalSteps, Paces
from hpctrain.training.weights import PushCounts, Weighing


def arrivals(rates: list[int], count: int) -> list[int]:
    """Who arrives, in the order of time, if worker w pushes `rates[w]` times in a unit of it."""
    times = [((k + 1) / rate, w) for w, rate in enumerate(rates) for k in range(count * rate)]
    return [worker for at_s, worker in sorted(times) if at_s <= count]


@pytest.mark.parametrize("shares", [(), (1.0, 1.0, 2.0, 1.0, 1.0)])
def test_rate_corrected_weights_give_each_its_share_per_unit_of_time(shares) -> None:
    weighing, tally = Weighing("rate_corrected", shares=shares), PushCounts()
    sums = [0.0] * 5
    for worker in arrivals([6, 1, 1, 1, 1], 200):
        tally.add(worker, 100)
        sums[worker] += weighing.weight(5, 0, worker, tally)
    wanted = [p / sum(shares) for p in shares] if shares else [0.2] * 5
    assert [total / sum(sums) for total in sums] == pytest.approx(wanted, rel=0.05)
    # The factors have a mean of one: what is applied in all is what `base` applies.
    assert sum(sums) == pytest.approx(sum(tally.pushes.values()) / math.sqrt(5), rel=0.05)


def test_rate_correction_is_bounded_and_forgets_who_has_left() -> None:
    weighing = Weighing("rate_corrected", cap=2.0)
    tally = PushCounts({0: 1, 1: 999, 2: 999}, {})
    assert weighing.weight(3, 0, 0, tally) == pytest.approx(2.0 / math.sqrt(3))
    assert weighing.weight(3, 0, 1, PushCounts({1: 999}, {})) == pytest.approx(0.5 / math.sqrt(3))
    alone = weighing.weight(3, 0, 0, tally, left=[1, 2])
    assert alone == pytest.approx(1.0 / math.sqrt(3))


def test_token_weights_are_to_the_mean_of_the_last_pushes() -> None:
    weighing, tally = Weighing("token_weighted"), PushCounts()
    for worker, tokens in ((0, 300), (1, 100), (0, 500)):
        tally.add(worker, tokens)
    assert weighing.weight(2, 0, 0, tally) == pytest.approx(500 / 300 / math.sqrt(2))
    assert weighing.weight(2, 0, 1, tally) == pytest.approx(100 / 300 / math.sqrt(2))
    nothing = PushCounts()
    nothing.add(0, 0)
    assert weighing.weight(2, 0, 0, nothing) == pytest.approx(1 / math.sqrt(2))


def test_a_power_below_zero_raises_short_rounds() -> None:
    weighing, tally = Weighing("token_weighted", token_power=-1.0), PushCounts()
    for worker, tokens in ((0, 600), (1, 200)):
        tally.add(worker, tokens)
    assert weighing.weight(2, 0, 1, tally) == pytest.approx(2.0 / math.sqrt(2))
    assert weighing.of_a_mean([600, 200]) == pytest.approx([400 / 600, 2.0])
    assert Weighing("token_weighted", token_power=-0.5).of_a_mean([400, 100]) == pytest.approx(
        [(400 / 250) ** -0.5, (100 / 250) ** -0.5]
    )
    assert Weighing("token_weighted", cap=3.0, token_power=-1.0).of_a_mean([800, 0]) == [0.5, 3.0]
    assert Weighing("token_weighted").of_a_mean([600, 200]) == [600.0, 200.0]
    assert Weighing("base").of_a_mean([600, 200]) is None
    assert Weighing("token_weighted", token_power=-1.0).of_a_mean([0, 0]) == [1.0, 1.0]


@given(st.integers(1, 50), st.integers(0, 50), st.floats(0.0, 2.0))
def test_old_arrivals_weigh_less_by_a_power(num_workers, staleness, power) -> None:
    weight = Weighing("polynomial", power=power).weight(num_workers, staleness, 0, PushCounts())
    assert weight == pytest.approx((1 + staleness) ** -power / math.sqrt(num_workers))


def seen(guard: Guard, lengths: Lengths, sender: int, length: float) -> bool:
    """Is a push of this length accepted?"""
    if length > guard.longest(lengths, sender):
        guard.refused(lengths, sender)
        return False
    guard.accepted(lengths, sender, length)
    return True


def test_the_guard_refuses_a_blow_up_and_nothing_else() -> None:
    guard, lengths = Guard(100.0), Lengths()
    for k in range(40):
        assert seen(guard, lengths, k % 3, 2.0 * 0.9**k * (1 + 15 * (k % 3)))
    assert not seen(guard, lengths, 0, 1e6)
    assert seen(guard, lengths, 1, 0.1)
    assert lengths.refused == {0: 1}


def test_the_guard_only_looks_at_first() -> None:
    guard, lengths = Guard(2.0), Lengths()
    for k in range(WARM_UP):
        assert seen(guard, lengths, 0, 10.0**k)
    assert not seen(guard, lengths, 0, 1e12)


def test_a_sender_that_is_refused_again_and_again_gets_a_new_scale() -> None:
    guard, lengths = Guard(10.0), Lengths()
    for _ in range(WARM_UP):
        assert seen(guard, lengths, 0, 1.0)
    assert [seen(guard, lengths, 1, 1e3) for _ in range(PATIENCE + 2)] == (
        [False] * PATIENCE + [True] * 2
    )
    assert guard.longest(lengths, 0) == pytest.approx(1e4)
    assert seen(guard, lengths, 0, 1.0)


@pytest.mark.parametrize("length", [0.0, math.nan])
def test_the_guard_does_not_learn_from_nothing(length: float) -> None:
    lengths = Lengths()
    Guard(100.0).accepted(lengths, 0, length)
    assert lengths.count == 0


def test_dylu_gives_the_fastest_h_and_the_others_what_they_can() -> None:
    steps = LocalSteps("dylu")
    paces = Paces(dict(enumerate([6.0, 1.0, 3.0, 0.05])))
    assert [steps.steps(paces, w, 60, 0.0) for w in range(4)] == [60, 10, 30, 1]
    assert LocalSteps("dylu", min_steps=4).steps(paces, 3, 60, 0.0) == 4
    assert steps.steps(paces, 2, 60, 0.0, left=[0]) == 60
    assert steps.steps(Paces(), 0, 60, 0.0) is None
    assert LocalSteps().steps(paces, 0, 60, 0.0) is None


def test_dylu_may_keep_the_mean_at_sync_every() -> None:
    paces = Paces(dict(enumerate([6.0, 1.0, 1.0, 1.0, 1.0])))
    steps = LocalSteps("dylu", mean=True)
    assert [steps.steps(paces, w, 20, 0.0) for w in range(5)] == [60, 10, 10, 10, 10]


def test_one_wrong_measurement_does_not_shrink_everyone() -> None:
    paces = Paces(dict.fromkeys(range(19), 1.0) | {19: 1000.0})
    assert LocalSteps("dylu").steps(paces, 0, 100, 0.0) == 1
    assert LocalSteps("dylu", reference="p90").steps(paces, 0, 100, 0.0) == 100
    assert LocalSteps("dylu", reference="p90").steps(paces, 19, 100, 0.0) == 100


def test_a_speed_is_smoothed_and_none_is_ignored() -> None:
    steps, paces = LocalSteps("dylu"), Paces()
    for speed in (4.0, 2.0, 0.0):
        steps.observe(paces, 0, speed)
    assert paces.speeds == {0: 3.0}


def test_who_asks_joins_the_group_in_which_it_takes_the_most_steps() -> None:
    steps = LocalSteps("groups", min_steps=4)
    paces = Paces({0: 1.0, 1: 0.25, 2: 1.0}, {0: 120.0, 2: 140.0})
    assert steps.steps(paces, 1, 20, 100.0) == 10  # 40 s of 4 s each
    assert paces.due_s[1] == 140.0


def test_who_fits_no_group_comes_when_the_fastest_is_round_again() -> None:
    steps = LocalSteps("groups", min_steps=4)
    paces = Paces({0: 1.0, 1: 0.25}, {0: 101.0})
    assert steps.steps(paces, 1, 20, 100.0) == 5  # 1 s, and 20 steps of the fast one
    first = Paces({0: 1.0})
    assert steps.steps(first, 0, 20, 0.0) == 20
    assert first.due_s == {0: 20.0}
