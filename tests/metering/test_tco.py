import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import MeteringError
from hpctrain.metering.steps import Steps
from hpctrain.metering.tco import (
    MOST_THRESHOLDS,
    Machine,
    Policy,
    Prices,
    at_threshold,
    best,
    break_even_k,
    from_x_and_k,
    prices_of,
    psi_of,
    saving,
    sweep,
    threshold_for,
)

MINUTE_S = 60
MINUTE_NS = MINUTE_S * 10**9


def series(values, minutes=None) -> Prices:
    lengths = np.array(minutes or [60] * len(values), dtype=float) * MINUTE_S
    return Prices(np.array(values, dtype=float), lengths, "eur", "test.csv")


def simulated(machine: Machine, prices: Prices, threshold: float) -> tuple[float, float, int]:
    """Minute by minute: full cost, minutes of computing that are kept, and shutdowns.

    Power is one unit at full load, and the fixed cost is psi times the energy cost always on.
    """
    per_minute = [
        float(value)
        for value, length in zip(prices.values, prices.lengths_s, strict=True)
        for _ in range(round(length / MINUTE_S))
    ]
    energy = kept = spell = 0.0
    shutdowns = 0
    restart_left = 0
    was_on = True
    for price in per_minute:
        on = price <= threshold
        if was_on and not on:
            shutdowns += 1
            kept -= min(spell, machine.lost_s / MINUTE_S)
            spell = 0.0
        if on and not was_on:
            restart_left = round(machine.restart_s / MINUTE_S)
            energy += price * machine.restart_full_s / MINUTE_S
        energy += price * (1.0 if on else machine.residual)
        if on and restart_left:
            restart_left -= 1
        elif on:
            spell += 1
            kept += 1
        was_on = on
    return machine.psi * sum(per_minute) + energy, kept, shutdowns


def always_on(machine: Machine, prices: Prices) -> tuple[float, float]:
    energy = float(prices.values @ prices.lengths_s) / MINUTE_S
    return (machine.psi + 1) * energy, prices.period_s / MINUTE_S


machines = st.builds(
    Machine,
    psi=st.floats(0, 5),
    residual=st.floats(0, 0.5),
    restart_s=st.integers(0, 90).map(lambda minutes: minutes * 60.0),
    restart_full_s=st.floats(0, 3600),
    lost_s=st.integers(0, 90).map(lambda minutes: minutes * 60.0),
)
hours = st.lists(st.sampled_from([-0.05, 0.02, 0.1, 0.2, 0.9]), min_size=1, max_size=30)


@given(machines, hours, st.data())
def test_shutdowns_in_a_series_cost_what_a_simulation_by_the_minute_says(machine, values, data):
    minutes = data.draw(st.lists(st.integers(1, 120), min_size=len(values), max_size=len(values)))
    prices = series([2.0, *values], [500, *minutes])
    threshold = data.draw(st.sampled_from([0.02, 0.1, 0.15, 0.2, 0.9, 2.0]))
    cost, kept, shutdowns = simulated(machine, prices, threshold)
    if kept <= 0:
        with pytest.raises(MeteringError, match="nothing would be computed"):
            at_threshold(machine, prices, threshold)
        return
    policy = at_threshold(machine, prices, threshold)
    all_cost, all_minutes = always_on(machine, prices)
    assert policy.shutdowns == shutdowns
    # both are sums of up to thirty terms; what is kept can be a thousandth of the time
    assert policy.saving == pytest.approx(1 - cost / kept / (all_cost / all_minutes), rel=1e-9)
    if policy.shutdowns:
        assert (policy.k > policy.break_even_k) == (policy.saving > 0) or math.isclose(
            policy.k, policy.break_even_k, rel_tol=1e-9
        )


def test_the_quoted_case_of_the_paper():
    """0.8 % of the time off and 0.54 % gained imply k / (psi + 1) = 1.67."""
    psi = 2.0
    policy = from_x_and_k(Machine(psi), x=0.008, k=1.67 * (psi + 1))
    assert policy.saving == pytest.approx(0.0054, abs=0.00005)
    implied = 0.0054 * (1 - 0.008) / 0.008 + 1
    assert implied == pytest.approx(1.67, abs=0.005)


def test_a_machine_that_draws_nothing_when_off_breaks_even_at_psi_plus_one():
    assert break_even_k(Machine(1.5), 0.1) == pytest.approx(2.5)
    assert break_even_k(Machine(1.5, residual=0.2), 0.1) == pytest.approx(2.5 / 0.8)
    assert saving(Machine(1.5, residual=0.2), 0.1, 2.5 / 0.8) == pytest.approx(0, abs=1e-15)


@given(machines, st.floats(0.01, 0.5), st.floats(0, 1))
def test_a_policy_saves_exactly_above_its_break_even(machine, x, dear):
    k = 1 + dear * (1 / x - 1)
    policy = from_x_and_k(machine, x, k, shutdowns=20, period_s=30 * 86400)
    again = saving(machine, x, policy.break_even_k, policy.lost_share, policy.restart_cost)
    assert again == pytest.approx(0, abs=1e-12)


def test_a_series_and_its_own_x_and_k_say_the_same():
    machine, prices = Machine(0.5, residual=0.1), series([1, 1, 9, 1, 2, 1, 1, 1])
    policy = at_threshold(machine, prices, 1.0)
    assert policy.shutdowns == 2
    again = from_x_and_k(machine, policy.off_share, policy.k)
    assert again.saving == pytest.approx(policy.saving, rel=1e-12)
    assert again.break_even_k == pytest.approx(policy.break_even_k, rel=1e-12)


def test_hours_off_that_follow_on_each_other_are_one_shutdown():
    machine = Machine(0.1, restart_s=600, lost_s=1200)
    one = at_threshold(machine, series([1, 5, 5, 1, 1, 1]), 2.0)
    two = at_threshold(machine, series([1, 5, 1, 5, 1, 1]), 2.0)
    assert (one.shutdowns, two.shutdowns) == (1, 2)
    assert one.lost_share == pytest.approx(0.5 / 6)
    assert two.lost_share == pytest.approx(1.0 / 6)
    assert one.saving > two.saving


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=60, unique=True), st.floats(0, 3))
def test_the_best_threshold_is_where_an_hour_costs_as_much_as_computing_an_hour(values, psi):
    """Off while p / p_avg > (psi + 1 - k x) / (1 - x) (derived); without costs of restarts."""
    machine, prices = Machine(psi), series(values)
    found = best(sweep(machine, prices))
    cost = (psi + 1 - (found.k * found.off_share if found.off_share else 0)) / (1 - found.off_share)
    ratios = prices.values / prices.mean
    off = prices.values > found.threshold
    assert (ratios[off] >= cost * (1 - 1e-9)).all()
    assert (ratios[~off] <= cost * (1 + 1e-9)).all()


def test_a_machine_with_costly_restarts_is_never_switched_off():
    prices = series([1, 1, 4, 1] * 6)
    assert best(sweep(Machine(0.5), prices)).off_share == 0.25
    never = best(sweep(Machine(0.5, restart_s=3600, lost_s=3600), prices))
    assert (never.off_share, never.shutdowns, never.saving) == (0.0, 0, 0.0)
    assert math.isnan(never.k)


def test_a_long_series_is_thinned_and_its_optimum_is_exact():
    values = 0.1 + np.random.Generator(np.random.PCG64(5)).gamma(2.0, 0.05, size=9000)
    machine, prices = Machine(0.2), series(values)
    began_s = time.monotonic()
    policies = sweep(machine, prices)
    assert time.monotonic() - began_s < 20  # 0.6 s on a quiet machine
    assert len(policies) <= MOST_THRESHOLDS + 20
    found = best(policies)
    ordered = np.sort(values)[::-1]
    x = np.arange(len(values)) / len(values)
    high = np.concatenate(([0.0], np.cumsum(ordered)[:-1])) / values.sum()
    exact = 1 - (0.2 + 1 - high) / ((1 - x) * 1.2)
    assert found.saving == pytest.approx(exact.max(), rel=1e-9)


def test_the_threshold_of_a_share_is_a_quantile_by_time():
    prices = series([1, 2, 3, 4])
    assert threshold_for(prices, 0.25) == 3
    assert threshold_for(prices, 0.3) == 3
    assert threshold_for(prices, 0.24) == 4
    assert threshold_for(series([1, 9], [90, 10]), 0.1) == 1


def test_prices_of_a_series_keep_the_length_of_each_step():
    prices = prices_of(Steps("eur", (0, MINUTE_NS), 3 * MINUTE_NS, (1.0, 4.0), "t.csv"))
    assert list(prices.lengths_s) == [60.0, 120.0]
    assert prices.mean == 3.0


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: Machine(-1), r"psi is -1, but must be 0 or more"),
        (lambda: Machine(1, residual=1.0), r"residual is 1, but .* below 1"),
        (lambda: Machine(1, lost_s=math.nan), r"lost_s is nan"),
        (lambda: psi_of(1, 0), r"energy cost is 0, but must be above 0"),
        (lambda: psi_of(-1, 1), r"fixed cost is -1"),
        (lambda: from_x_and_k(Machine(1), 1.0, 2), r"x is 1, but .* between 0 and 1"),
        (lambda: from_x_and_k(Machine(1), 0.1, 0.5), r"k is 0\.5, but .* k >= 1"),
        (lambda: from_x_and_k(Machine(1), 0.5, 2.5), r"k x is 1\.25, but .* k x <= 1"),
        (lambda: from_x_and_k(Machine(1, lost_s=60), 0.1, 2, 9, 60), r"9 shutdowns in 60 s with 9"),
        (lambda: from_x_and_k(Machine(1), 0.1, 2, -1), r"-1 shutdowns"),
        (lambda: threshold_for(series([1, 2]), 1.5), r"x is 1\.5"),
        (lambda: at_threshold(Machine(1), series([1, 2]), 0.5), r"prices are from 1 to 2"),
        (lambda: prices_of(Steps("eur", (0,), 10, (0.0,), "t.csv")), r"t\.csv: the mean price is"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(wrong, error):
    with pytest.raises(MeteringError, match=error):
        wrong()


def test_policies_are_plain_values():
    assert from_x_and_k(Machine(1.0), 0.5, 2.0) == Policy(None, 0.5, 2.0, 0, 0.0, 0.0, 0.0, 2.0)
