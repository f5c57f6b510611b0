"""The outer rules against plain float64 formulas, and what must hold to the last bit."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hpctrain.training.rules.averaging import GradientMean, RunningAverage
from hpctrain.training.rules.heloco import Correction, HeLoCo
from hpctrain.training.rules.mla import MomentumLookAhead
from hpctrain.training.rules.nesterov import Nesterov
from hpctrain.training.rules.rule import OuterState
from hpctrain.training.rules.sweep import BLOCK, DOT_BLOCK, Geometry, measure
from tests.training.references import Reference, mend

# Round-off of float32 is 6e-8 per operation; an update has nine of them, and sums of up to BLOCK
# products in float32 are good to about 1e-5. Values are of order one.
CLOSE = {"rtol": 2e-5, "atol": 2e-6}
SIZES = st.lists(
    st.sampled_from([1, 2, 5, 33, DOT_BLOCK - 1, DOT_BLOCK + 1, BLOCK - 1, BLOCK, BLOCK + 1]),
    min_size=1,
    max_size=5,
)
PROFILE = settings(derandomize=True, deadline=None, max_examples=30)


def bounds_of(sizes: list[int]) -> tuple[tuple[int, int], ...]:
    stops = np.cumsum(sizes).tolist()
    return tuple(zip([0, *stops], stops, strict=False))


def parts(flat: np.ndarray, sizes: list[int]) -> list[np.ndarray]:
    return [flat[a:b].astype(np.float64) for a, b in bounds_of(sizes)]


def random_state(seed: int, size: int, momentum: float = 0.5) -> OuterState:
    generator = np.random.default_rng(seed)
    theta = generator.normal(size=size).astype(np.float32)
    m = (momentum * generator.normal(size=size)).astype(np.float32)
    return OuterState(theta, m, 0)


def pushes(seed: int, size: int, count: int = 3) -> list[np.ndarray]:
    generator = np.random.default_rng([seed, 1])
    return [generator.normal(size=size).astype(np.float32) for _ in range(count)]


def leaning(momentum: np.ndarray, sizes: list[int], cosines: list[float], seed: int) -> np.ndarray:
    """A pseudo-gradient whose tensors lie at the given cosines to the momentum's."""
    generator = np.random.default_rng([seed, 2])
    delta = np.empty(momentum.size, np.float32)
    for (a, b), c in zip(bounds_of(sizes), cosines, strict=True):
        v = momentum[a:b].astype(np.float64)
        v /= np.linalg.norm(v)
        across = generator.normal(size=b - a)
        across -= (across @ v) * v
        across /= np.linalg.norm(across)
        length = math.exp(generator.normal())
        delta[a:b] = length * (c * v + math.sqrt(1 - c * c) * across)
    return delta


def assert_like(state: OuterState, reference: Reference) -> None:
    np.testing.assert_allclose(state.theta, np.concatenate(reference.theta), **CLOSE)
    np.testing.assert_allclose(state.momentum, np.concatenate(reference.momentum), **CLOSE)


@PROFILE
@given(SIZES, st.integers(0, 99), st.floats(0.1, 1.0), st.sampled_from([0.0, 0.5, 0.9]))
def test_nesterov_is_its_formula(sizes, seed, weight, mu) -> None:
    state = random_state(seed, sum(sizes))
    reference = Reference(parts(state.theta, sizes), parts(state.momentum, sizes))
    rule = Nesterov(0.7, mu)
    for delta in pushes(seed, sum(sizes)):
        before = delta.copy()
        rule.apply(state, delta, weight, bounds_of(sizes))
        reference.sum_nesterov(parts(delta, sizes), weight, 0.7, mu)
        np.testing.assert_array_equal(delta, before)
    assert_like(state, reference)


@PROFILE
@given(SIZES, st.integers(0, 99), st.floats(0.1, 1.0), st.sampled_from([0.0, 0.5, 0.9]))
def test_mla_is_its_formula(sizes, seed, weight, mu) -> None:
    state = random_state(seed, sum(sizes))
    reference = Reference(parts(state.theta, sizes), parts(state.momentum, sizes))
    rule = MomentumLookAhead(0.7, mu, dispatch_lookahead=True)
    for delta in pushes(seed, sum(sizes)):
        rule.apply(state, delta, weight, bounds_of(sizes))
        reference.mla(parts(delta, sizes), weight, 0.7, mu)
    assert_like(state, reference)
    out = np.empty_like(state.theta)
    rule.dispatch(state, out)
    np.testing.assert_allclose(out, np.concatenate(reference.look_ahead(0.7, mu)), **CLOSE)


def test_sum_nesterov_is_torch_sgd_fed_with_pseudo_gradients() -> None:
    state = random_state(3, 1000, momentum=0.0)
    parameter = torch.from_numpy(state.theta.copy()).requires_grad_()
    optimizer = torch.optim.SGD([parameter], lr=0.3, momentum=0.9, nesterov=True)
    rule = Nesterov(0.3, 0.9)
    for delta in pushes(3, 1000, count=20):
        rule.apply(state, delta, 1.0, ((0, 1000),))
        parameter.grad = torch.from_numpy(delta)
        optimizer.step()
    np.testing.assert_allclose(state.theta, parameter.detach().numpy(), rtol=1e-5, atol=1e-5)


# Cosines away from the borders 0 and c_ok, where round-off may decide.
COSINES = st.sampled_from([-0.99, -0.6, -0.1, 0.03, 0.1, 0.17, 0.25, 0.8, 0.99])


@st.composite
def corrected_pushes(draw: st.DrawFn) -> tuple[list[int], list[float], int, Correction, float]:
    sizes = draw(
        st.lists(
            st.sampled_from([3, 7, 40, DOT_BLOCK - 1, DOT_BLOCK, BLOCK + 2]), min_size=1, max_size=6
        )
    )
    cosines = [draw(COSINES) for _ in sizes]
    correction = Correction(
        lambda_mode=draw(st.sampled_from(["linear_gap", "one_minus_cos"])),
        weight_first=draw(st.booleans()),
        k_s=draw(st.sampled_from([0.5, 3.0])),  # 3: beta_max binds
        k_d=draw(st.sampled_from([1.0, 9.0])),  # 9: the limit of 1 binds
        kappa=draw(st.sampled_from([0.0, 3.0])),
    )
    return sizes, cosines, draw(st.integers(0, 99)), correction, draw(st.floats(0.2, 1.0))


@PROFILE
@given(corrected_pushes(), st.booleans())
def test_heloco_is_its_formulas(case, whole_fragment) -> None:
    sizes, cosines, seed, correction, weight = case
    state = random_state(seed, sum(sizes))
    delta = leaning(state.momentum, sizes, cosines, seed)
    tensors = [sum(sizes)] if whole_fragment else sizes
    reference = Reference(parts(state.theta, tensors), parts(state.momentum, tensors))
    if whole_fragment:
        seen = measure(delta, state.momentum, 0, delta.size)
        assume(min(abs(seen.cosine), abs(seen.cosine - correction.c_ok)) > 1e-3)
    rule = HeLoCo(0.7, 0.9, correction, whole_fragment)
    did = rule.apply(state, delta, weight, bounds_of(sizes))
    verdicts = reference.heloco(parts(delta, tensors), weight, 0.7, 0.9, correction)
    assert_like(state, reference)
    assert did is not None
    assert [did.kept, did.shrunk, did.rotated] == [
        verdicts.count(verdict) for verdict in ("kept", "shrunk", "rotated")
    ]
    out = np.empty_like(state.theta)
    rule.dispatch(state, out)
    np.testing.assert_allclose(out, np.concatenate(reference.look_ahead(0.7, 0.9)), **CLOSE)


@pytest.mark.parametrize("kind", ["zero momentum", "tiny momentum", "tiny delta", "zero delta"])
def test_heloco_keeps_what_has_no_direction(kind: str) -> None:
    state = random_state(5, 50)
    delta = -state.momentum
    if kind.endswith("momentum"):
        state.momentum *= 0.0 if kind.startswith("zero") else 1e-12
    else:
        delta *= np.float32(0.0 if kind.startswith("zero") else 1e-12)
    plain = OuterState(state.theta.copy(), state.momentum.copy(), 0)
    did = HeLoCo(0.7, 0.9).apply(state, delta, 0.5, ((0, 20), (20, 50)))
    MomentumLookAhead(0.7, 0.9).apply(plain, delta, 0.5, ((0, 20), (20, 50)))
    assert did is not None
    assert (did.kept, did.shrunk, did.rotated) == (2, 0, 0)
    assert state.theta.tobytes() == plain.theta.tobytes()


@PROFILE
@given(SIZES, st.integers(0, 99), st.sampled_from(["off", "never"]))
def test_heloco_without_correction_is_mla_bit_for_bit(sizes, seed, how) -> None:
    one, two = random_state(seed, sum(sizes)), random_state(seed, sum(sizes))
    correction = None if how == "off" else Correction(c_ok=-1.0)
    heloco = HeLoCo(0.7, 0.9, correction)
    mla = MomentumLookAhead(0.7, 0.9, dispatch_lookahead=True)
    for delta in [*pushes(seed, sum(sizes)), -one.momentum]:
        heloco.apply(one, delta, 0.57735, bounds_of(sizes))
        mla.apply(two, delta, 0.57735, bounds_of(sizes))
    assert one.theta.tobytes() == two.theta.tobytes()
    assert one.momentum.tobytes() == two.momentum.tobytes()
    start_one, start_two = np.empty_like(one.theta), np.empty_like(two.theta)
    heloco.dispatch(one, start_one)
    mla.dispatch(two, start_two)
    assert start_one.tobytes() == start_two.tobytes()


def test_linear_gap_is_continuous_at_c_ok_and_the_printed_form_is_not() -> None:
    def turned(mode, c: float) -> float:
        seen = Geometry(2.0, 1.0, 2.0 * c)
        return Correction(lambda_mode=mode).coefficients(seen, 1.0)[2]

    assert turned("linear_gap", 0.2) == turned("one_minus_cos", 0.2) == 0.0
    assert turned("linear_gap", 0.2 - 1e-9) == pytest.approx(0.0, abs=1e-7)
    assert turned("one_minus_cos", 0.2 - 1e-9) > 0.1


@pytest.mark.parametrize("mode", ["linear_gap", "one_minus_cos"])
@pytest.mark.parametrize("c", [0.0, 0.01, 0.1, 0.199])
def test_a_rotation_keeps_the_norm(mode, c: float) -> None:
    correction = Correction(lambda_mode=mode)
    norm_d, norm_m = 3.0, 0.7
    verdict, a_d, a_m = correction.coefficients(Geometry(norm_d, norm_m, norm_d * norm_m * c), 1.0)
    assert verdict == "rotated"
    dot = norm_d * norm_m * c
    squared = a_d**2 * norm_d**2 + 2 * a_d * a_m * dot + a_m**2 * norm_m**2
    assert math.sqrt(squared) == pytest.approx(norm_d, rel=1e-12)


def test_shrinking_removes_only_what_opposes_the_momentum() -> None:
    generator = np.random.default_rng(0)
    m = generator.normal(size=40)
    delta = -m + generator.normal(size=40)
    verdict, mended = mend(delta, m, Correction())
    assert verdict == "shrunk"
    along = m / np.linalg.norm(m)
    np.testing.assert_allclose(mended - (mended @ along) * along, delta - (delta @ along) * along)
    assert (delta @ along) < (mended @ along) < 0


@pytest.mark.parametrize("seed", range(5))
def test_no_correction_divides_by_zero_when_the_gap_has_no_width(seed: int) -> None:
    """c_bad = c_ok: the correction is in full at once below c_ok."""
    correction = Correction(c_ok=0.2, c_bad=0.2)
    _, a_d, a_m = correction.coefficients(Geometry(1.0, 1.0, 0.02 * seed), 1.0)
    full = Correction(c_ok=0.2, c_bad=0.2 - 1e-12).coefficients(
        Geometry(1.0, 1.0, 0.02 * seed), 1.0
    )
    assert (a_d, a_m) == pytest.approx(full[1:])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "rule",
    [Nesterov(0.7, 0.9), MomentumLookAhead(0.7, 0.9), HeLoCo(0.7, 0.9), RunningAverage()],
    ids=lambda rule: type(rule).__name__,
)
def test_what_is_not_finite_is_refused_and_changes_nothing(rule, bad: float) -> None:
    state = random_state(1, 3 * BLOCK)
    state.momentum[-1] = 0.0  # infinity times nothing
    theta, momentum = state.theta.copy(), state.momentum.copy()
    delta = np.ones(3 * BLOCK, np.float32)
    delta[-1] = bad
    assert rule.apply(state, delta, 0.5, ((0, 5), (5, 3 * BLOCK))) is None
    np.testing.assert_array_equal(state.theta, theta)
    np.testing.assert_array_equal(state.momentum, momentum)


def test_a_gradient_that_is_not_finite_is_handed_on_for_a_loss_scaler_to_see() -> None:
    state = random_state(1, 4)
    GradientMean().apply(state, np.array([1, np.inf, 3, np.nan], np.float32), 1.0, ((0, 4),))
    np.testing.assert_array_equal(state.theta, np.array([1, np.inf, 3, np.nan], np.float32))


def test_a_running_average_of_variances_stays_positive() -> None:
    state = OuterState(np.full(3, 0.01, np.float32), np.zeros(3, np.float32), 0)
    for value in (1e-6, 5.0, 1e-6):
        RunningAverage().apply(state, np.full(3, value, np.float32), 0.25, ((0, 3),))
        assert (state.theta > 0).all()
    expected = 0.01
    for value in (1e-6, 5.0, 1e-6):
        expected += 0.25 * (value - expected)
    np.testing.assert_allclose(state.theta, expected, rtol=1e-6)


def test_geometry_is_as_good_for_millions_of_elements_as_for_few() -> None:
    size = 4_000_000
    delta = np.full(size, 0.1, np.float32)
    seen = measure(delta, delta, 0, size)
    assert seen.delta_norm == pytest.approx(float(np.float32(0.1)) * math.sqrt(size), rel=1e-5)
    assert seen.cosine == pytest.approx(1.0)


@pytest.mark.parametrize(
    "rule",
    [Nesterov(0.7, 0.9), MomentumLookAhead(0.7, 0.9, True), HeLoCo(0.7, 0.9)],
    ids=lambda rule: type(rule).__name__,
)
def test_an_update_allocates_nothing_of_the_size_of_a_fragment(rule) -> None:
    size = 4_000_000
    state = random_state(2, size)
    delta, out = -state.momentum, np.empty(size, np.float32)
    bounds = ((0, size // 2), (size // 2, size))
    rule.apply(state, delta, 0.5, bounds)
    tracemalloc.start()
    try:
        rule.apply(state, delta, 0.5, bounds)
        rule.dispatch(state, out)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 20_000, f"{peak_bytes} bytes for a fragment of {size * 4}"
