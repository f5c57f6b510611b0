"""The further outer rules against a few lines of float64, and what must equal what."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.runtime.codec import from_bytes, to_bytes
from hpctrain.training.rules.age_adam import AgeAdam
from hpctrain.training.rules.async_sgd import AsyncSgd
from hpctrain.training.rules.co2 import Co2
from hpctrain.training.rules.conventions import convert_outer_lr, gain
from hpctrain.training.rules.delayed_nesterov import DelayedNesterov
from hpctrain.training.rules.fedbuff import Buffered
from hpctrain.training.rules.heloco import HeLoCo
from hpctrain.training.rules.means import mean, radial_directional
from hpctrain.training.rules.mla import MomentumLookAhead
from hpctrain.training.rules.nesterov import Nesterov
from hpctrain.training.rules.rule import Arrival, OuterState
from hpctrain.training.rules.sweep import BLOCK
from tests.training.test_rules import CLOSE, SIZES, bounds_of, pushes, random_state

PROFILE = settings(derandomize=True, deadline=None, max_examples=20)
MOMENTA = st.sampled_from([0.0, 0.5, 0.9])
RULES = [
    AsyncSgd(0.7),
    DelayedNesterov(0.7, 0.9, 2, 0.5),
    Buffered(0.7, 0.9, 2),
    Co2(0.7, 0.9, threshold=0.5),
    AgeAdam(0.1, 0.9, cutoff=9.0),
]


def as64(state: OuterState) -> tuple[np.ndarray, np.ndarray]:
    return state.theta.astype(np.float64), state.momentum.astype(np.float64)


@PROFILE
@given(SIZES, st.integers(0, 99), st.floats(0.1, 1.0))
def test_async_sgd_is_nesterov_without_momentum(sizes, seed, weight) -> None:
    one, two = random_state(seed, sum(sizes), 0.0), random_state(seed, sum(sizes), 0.0)
    for delta in pushes(seed, sum(sizes)):
        AsyncSgd(0.7).apply(one, delta, weight, bounds_of(sizes))
        Nesterov(0.7, 0.0).apply(two, delta, weight, bounds_of(sizes))
    np.testing.assert_allclose(one.theta, two.theta, **CLOSE)


@PROFILE
@given(SIZES, st.integers(0, 99), MOMENTA, st.integers(1, 4), st.sampled_from([0.0, 0.4, 1.0]))
def test_delayed_nesterov_is_algorithm_3(sizes, seed, mu, n, share) -> None:
    state = random_state(seed, sum(sizes))
    theta, m = as64(state)
    buffer, c = np.zeros_like(theta), share / n
    rule = DelayedNesterov(0.7, mu, n, share)
    for t, delta in enumerate(pushes(seed, sum(sizes), count=7)):
        rule.apply(state, delta, 0.8, bounds_of(sizes))
        g = 0.8 * delta.astype(np.float64)
        buffer += g
        if (t + 1) % n == 0:
            m = mu * m + buffer / n
            theta -= 0.7 * ((1 - c * n + c) * mu * m + g / n)
            buffer[:] = 0
        else:
            theta -= 0.7 * (c * mu * m + g / n)
    np.testing.assert_allclose(state.theta, theta, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(state.momentum, m, rtol=1e-4, atol=1e-5)


@PROFILE
@given(SIZES, st.integers(0, 99), MOMENTA, st.integers(1, 4))
def test_a_buffer_is_a_nesterov_step_on_its_mean(sizes, seed, mu, n) -> None:
    state, twin = random_state(seed, sum(sizes)), random_state(seed, sum(sizes))
    rule, step, held = Buffered(0.7, mu, n), Nesterov(0.7, mu), []
    for delta in pushes(seed, sum(sizes), count=7):
        rule.apply(state, delta, 1.0, bounds_of(sizes))
        held.append(delta)
        if len(held) == n:
            step.apply(twin, np.mean(held, axis=0), 1.0, bounds_of(sizes))
            held = []
    np.testing.assert_allclose(state.theta, twin.theta, rtol=1e-4, atol=1e-5)
    assert state.count == len(held)
    did = rule.complete(state)
    if held:
        step.apply(twin, np.mean(held, axis=0), 1.0, bounds_of(sizes))
        np.testing.assert_allclose(state.theta, twin.theta, rtol=1e-4, atol=1e-5)
    assert (did is None) == (not held)
    assert rule.complete(state) is None


@PROFILE
@given(SIZES, st.integers(0, 99), MOMENTA, st.sampled_from([0.3, math.inf]))
def test_co2_is_clipped_momentum(sizes, seed, mu, threshold) -> None:
    state = random_state(seed, sum(sizes))
    theta, m = as64(state)
    rule = Co2(0.7, mu, gap=2.0, threshold=threshold)
    for delta in pushes(seed, sum(sizes)):
        rule.apply(state, delta, 1.0, bounds_of(sizes))
        m = np.clip(mu * m + delta / 2.0, -threshold, threshold)
        theta -= 0.7 * m
    np.testing.assert_allclose(state.theta, theta, rtol=1e-4, atol=1e-5)


@PROFILE
@given(SIZES, st.integers(0, 99), st.sampled_from([0.5, 0.9]))
def test_age_adam_is_adam_on_what_is_heard(sizes, seed, mu) -> None:
    state = random_state(seed, sum(sizes), momentum=0.0)
    theta, m = as64(state)
    v, t = np.zeros_like(theta), 0
    rule = AgeAdam(0.1, mu, cutoff=8.0, alpha=0.1)
    for staleness, delta in enumerate(pushes(seed, sum(sizes), count=10)):
        did = rule.apply(state, delta, 0.5, bounds_of(sizes), Arrival(staleness))
        assert did is not None
        if staleness >= 8:
            assert did.gain == 0.0
            continue
        gate = (1 + math.cos(math.pi * staleness / 8)) / 2 * math.exp(-0.1 * staleness)
        g, t = 0.5 * gate * delta.astype(np.float64), t + 1
        m, v = mu * m + (1 - mu) * g, 0.99 * v + 0.01 * g * g
        theta -= 0.1 * (m / (1 - mu**t)) / (np.sqrt(v / (1 - 0.99**t)) + 0.1)
    np.testing.assert_allclose(state.theta, theta, rtol=1e-4, atol=1e-5)


def test_age_adam_hears_what_is_fresh_in_full_and_the_old_ever_less() -> None:
    rule = AgeAdam(0.1, 0.9).for_workers(4)
    assert rule.cutoff == 32.0
    heard = [rule.heard(age) for age in range(34)]
    assert heard[0] == 1.0
    assert heard == sorted(heard, reverse=True)
    assert heard[32:] == [0.0, 0.0]


@PROFILE
@given(SIZES, st.integers(0, 99), st.integers(2, 5), st.booleans())
def test_rda_takes_length_and_direction_apart(sizes, seed, count, weighed) -> None:
    parts = pushes(seed, sum(sizes), count)
    weights = [1.0 + i for i in range(count)] if weighed else None
    shares = np.array(weights or [1.0] * count) / sum(weights or [1.0] * count)
    found = radial_directional(parts, weights, bounds_of(sizes))
    for a, b in bounds_of(sizes):
        pieces = [part[a:b].astype(np.float64) for part in parts]
        norms = [np.linalg.norm(piece) for piece in pieces]
        total = sum(w * p / n for w, p, n in zip(shares, pieces, norms, strict=True))
        if np.linalg.norm(total) < 1e-3:
            continue  # single numbers of opposite sign: there is no direction
        expected = (shares @ norms) * total / np.linalg.norm(total)
        np.testing.assert_allclose(found[a:b], expected, rtol=1e-3, atol=1e-4)


def test_rda_does_not_shrink_what_is_orthogonal() -> None:
    parts = [np.eye(8, dtype=np.float32)[i] * 3 for i in range(4)]
    assert np.linalg.norm(mean(parts, None, ((0, 8),))) == pytest.approx(1.5)
    assert np.linalg.norm(radial_directional(parts, None, ((0, 8),))) == pytest.approx(3.0)
    opposite = radial_directional([parts[0], -parts[0]], None, ((0, 8),))
    np.testing.assert_array_equal(opposite, np.zeros(8, np.float32))


def test_a_weighted_mean_weighs() -> None:
    parts = [np.full(3, value, np.float32) for value in (1.0, 5.0)]
    np.testing.assert_allclose(mean(parts, [3.0, 1.0], ((0, 3),)), 2.0)
    np.testing.assert_allclose(mean(parts, [0.0, 0.0], ((0, 3),)), 3.0)
    np.testing.assert_array_equal(parts[0], 1.0)


GAINING = [
    *RULES[:3],
    Co2(0.7, 0.9, gap=2.0),
    Nesterov(0.7, 0.9),
    MomentumLookAhead(0.7, 0.9),
    HeLoCo(0.7, 0.9),
]


@pytest.mark.parametrize("rule", GAINING, ids=lambda rule: type(rule).__name__)
def test_the_gain_is_how_far_theta_went_along_the_pseudo_gradient(rule: Any) -> None:
    state = random_state(4, 400)
    for delta in pushes(4, 400, count=4):
        lean = (delta + 0.2 * state.momentum).astype(np.float32)
        before = state.theta.astype(np.float64)
        did = rule.apply(state, lean, 0.6, ((0, 150), (150, 400)))
        step = before - state.theta
        if isinstance(rule, Buffered) and did.gain:
            continue  # along the mean of the buffer
        assert did.gain == pytest.approx(step @ lean / (lean @ lean) / 0.7, rel=1e-3, abs=1e-4)


def test_heloco_tells_the_correction_of_each_tensor() -> None:
    state = random_state(5, 60)
    delta = state.momentum.copy()
    delta[30:] *= -1
    did = HeLoCo(0.7, 0.9, diagnostics=True).apply(state, delta, 1.0, ((0, 30), (30, 60)))
    assert did is not None
    kept, shrunk = did.tensors
    assert (kept.verdict, kept.amount) == ("kept", 0.0)
    # kappa = 3 and |D| = |m|: the confidence is 1/4, beta = 1/8 of the opposing component
    assert (shrunk.verdict, shrunk.cosine) == ("shrunk", pytest.approx(-1.0))
    assert shrunk.amount == pytest.approx(0.125, rel=1e-4)


@pytest.mark.parametrize("rule", [*RULES, *GAINING[4:]], ids=lambda rule: type(rule).__name__)
def test_what_is_too_long_or_not_finite_changes_nothing(rule: Any) -> None:
    state = random_state(1, 100)
    saved = to_bytes(state)
    delta = np.ones(100, np.float32)
    assert rule.apply(state, delta, 0.5, ((0, 100),), Arrival(longest=9.9)) is None
    delta[7] = math.nan
    assert rule.apply(state, delta, 0.5, ((0, 100),)) is None
    assert to_bytes(state) == saved
    delta[7] = 1.0
    assert rule.apply(state, delta, 0.5, ((0, 100),), Arrival(longest=10.1)) is not None


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_a_state_with_further_arrays_survives_a_checkpoint(rule: Any) -> None:
    state = random_state(6, BLOCK + 5)
    bounds = ((0, BLOCK + 5),)
    for delta in pushes(6, BLOCK + 5):
        rule.apply(state, delta, 0.5, bounds)
    again = from_bytes(to_bytes(state))
    for one in (state, again):
        rule.apply(one, pushes(7, BLOCK + 5)[0], 0.5, bounds)
    assert to_bytes(again) == to_bytes(state)


def test_a_state_that_was_saved_without_further_arrays_is_read() -> None:
    from hpctrain.core.plain import rebuild

    state = rebuild("OuterState", [np.ones(3, np.float32), np.zeros(3, np.float32), 4])
    assert (state.version, state.extra, state.count) == (4, {}, 0)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_no_update_but_the_first_allocates_anything_of_size(rule: Any) -> None:
    size = 2_000_000
    state = random_state(2, size)
    delta, out = -state.momentum, np.empty(size, np.float32)
    for _ in range(2):
        rule.apply(state, delta, 0.5, ((0, size),))
    tracemalloc.start()
    try:
        for _ in range(2):
            rule.apply(state, delta, 0.5, ((0, size),))
        rule.dispatch(state, out)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000, f"{peak_bytes} bytes for a fragment of {size * 4}"


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("convention", "rule"), [("sum", Nesterov), ("ema", MomentumLookAhead)])
def test_a_gain_is_what_the_rule_does(mu: float, convention: Any, rule: Any) -> None:
    state = OuterState(np.zeros(1, np.float32), np.zeros(1, np.float32), 0)
    one, moved = np.ones(1, np.float32), []
    for _ in range(300):
        before = float(state.theta[0])
        rule(1.0, mu).apply(state, one, 1.0, ((0, 1),))
        moved.append(before - float(state.theta[0]))
    assert moved[0] == pytest.approx(gain(convention, mu, "immediate"), rel=1e-5)
    assert moved[-1] == pytest.approx(gain(convention, mu, "steady"), rel=1e-3)


def test_an_outer_lr_is_converted_by_either_gain() -> None:
    assert convert_outer_lr(0.07, 0.9, "sum", "ema", "steady") == pytest.approx(0.07 * 10 / 1.9)
    assert convert_outer_lr(0.07, 0.9, "sum", "ema") == pytest.approx(0.07 * 1.9 / 1.09)
    there = convert_outer_lr(0.3, 0.8, "ema", "sum", "steady")
    assert convert_outer_lr(there, 0.8, "sum", "ema", "steady") == pytest.approx(0.3)
    with pytest.raises(ValueError, match=r"outer momentum of 1\.0 is not allowed"):
        gain("sum", 1.0, "steady")
