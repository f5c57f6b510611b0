from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.metering.account import host_energy
from hpctrain.metering.reading import Device, Reading
from hpctrain.metering.series import Accumulator, Knot, Series

S = 1_000_000_000
COUNTER = Device("rapl:0", "package", "counter", wraps_at_uj=262_143_328_850)
POWER = Device("gpu:0", "gpu", "power")


def series_of(device: Device, readings: list[tuple[float, int | None]], longest_s: float = 2.5):
    """E(t) from (seconds, value) pairs."""
    total, series = Accumulator(device, round(longest_s * S)), Series()
    for time_s, value in readings:
        total.add(Reading(round(time_s * S), value))
        if total.knot is not None:
            series.add(total.knot)
    return series


def joules(series: Series, begin_s: float, end_s: float) -> float:
    end, begin = series.at(round(end_s * S)), series.at(round(begin_s * S))
    return (end.energy_uj - begin.energy_uj) / 1e6


def coverage(series: Series, begin_s: float, end_s: float) -> float:
    end, begin = series.at(round(end_s * S)), series.at(round(begin_s * S))
    return (end.covered_ns - begin.covered_ns) / ((end_s - begin_s) * S)


def test_a_counter_gives_its_exact_difference_through_a_wrap():
    wrap = COUNTER.wraps_at_uj
    assert wrap is not None
    series = series_of(COUNTER, [(0, wrap - 150_000_000), (1, wrap - 50_000_000), (2, 50_000_000)])
    assert joules(series, 0, 2) == 200.0
    assert coverage(series, 0, 2) == 1.0


def test_a_missed_reading_of_a_counter_is_bridged_and_not_zero():
    series = series_of(COUNTER, [(0, 10**9), (1, None), (2, 10**9 + 400_000_000)])
    assert joules(series, 0, 2) == 400.0
    assert joules(series, 0, 1) == 200.0
    assert coverage(series, 0, 2) == 1.0


def test_a_counter_that_is_set_back_loses_that_interval_only():
    counter = Device("pm:energy", "node", "counter")
    readings = [(0, 10**9), (1, 10**9 + 10**8), (2, 5), (3, 5 + 10**8)]
    series = series_of(counter, readings)
    assert joules(series, 0, 3) == 200.0
    assert coverage(series, 0, 3) == pytest.approx(2 / 3, abs=1e-9)


def test_a_wrapping_counter_that_is_set_back_does_not_add_its_whole_range():
    series = series_of(COUNTER, [(0, 10**10), (1, 0), (2, 10**8)])
    assert joules(series, 0, 2) == 100.0
    assert coverage(series, 0, 2) == 0.5


def test_a_counter_that_may_have_wrapped_twice_tells_nothing():
    series = series_of(COUNTER, [(0, 0), (100, 10**8)])
    assert joules(series, 0, 100) == 0.0
    assert coverage(series, 0, 100) == 0.0


def test_linear_power_is_integrated_exactly_on_any_grid():
    ramp = [(t, round((100 + 20 * t) * 1e6)) for t in (0, 0.3, 1.1, 2, 2.5, 4)]
    assert joules(series_of(POWER, ramp), 0, 4) == 100 * 4 + 10 * 16


@pytest.mark.parametrize(("h", "error_j"), [(0.5, 1.333333), (0.25, 0.333333)])
def test_the_trapezoid_error_of_quadratic_power_is_the_known_one(h, error_j):
    """h^2/12 * (P'(T) - P'(0)) for P = 4 t^2 watts over T = 8 s (Euler-Maclaurin)."""
    grid = [(i * h, round(4 * (i * h) ** 2 * 1e6)) for i in range(int(8 / h) + 1)]
    assert joules(series_of(POWER, grid), 0, 8) - 4 * 8**3 / 3 == pytest.approx(error_j, abs=2e-6)


def test_missing_power_is_a_gap_and_not_bridged():
    watts = 50_000_000
    series = series_of(POWER, [(0, watts), (1, watts), (2, None), (3, watts), (4, watts)])
    assert joules(series, 0, 4) == 100.0
    assert coverage(series, 0, 4) == 0.5
    assert coverage(series, 1, 3) == 0.0


def test_powers_too_far_apart_are_a_gap():
    series = series_of(POWER, [(0, 1_000_000), (3, 1_000_000)], longest_s=2.5)
    assert joules(series, 0, 3) == 0.0
    assert coverage(series, 0, 3) == 0.0


def test_outside_the_readings_nothing_is_known():
    series = series_of(POWER, [(1, 1_000_000), (2, 1_000_000)])
    assert joules(series, 0, 10) == 1.0
    assert coverage(series, 0, 10) == 0.1
    with pytest.raises(ValueError, match="without readings"):
        Series().at(0)


steps = st.lists(
    st.tuples(st.integers(1, 3 * S), st.none() | st.integers(0, 500_000_000)),
    min_size=2,
    max_size=30,
)


@given(steps, st.lists(st.integers(-S, 60 * S), min_size=2, max_size=20), st.booleans())
def test_intervals_that_tile_a_run_add_up_to_it_exactly(taken, cuts, is_counter):
    device = COUNTER if is_counter else POWER
    readings, now_ns, counter_uj = [(0.0, 0)], 0, 0
    for took_ns, value in taken:
        now_ns += took_ns
        if value is not None and is_counter:
            value = counter_uj = counter_uj + value
        readings.append((now_ns / S, value))
    series = series_of(device, readings)
    points = [series.at(cut) for cut in sorted(cuts)]
    parts = [b.energy_uj - a.energy_uj for a, b in pairwise(points)]
    assert sum(parts) == points[-1].energy_uj - points[0].energy_uj
    assert all(part >= 0 for part in parts)


@given(st.lists(st.tuples(st.integers(1, S), st.integers(0, 10**9)), min_size=1, max_size=30))
def test_the_trapezoid_sum_is_exact_to_less_than_a_microjoule(taken):
    total = Accumulator(POWER, 3 * S)
    total.add(Reading(0, 7))
    now_ns, last_uw, exact_uj = 0, 7, Fraction(0)
    for took_ns, power_uw in taken:
        now_ns += took_ns
        total.add(Reading(now_ns, power_uw))
        exact_uj += Fraction((last_uw + power_uw) * took_ns, 2 * S)
        last_uw = power_uw
    assert total.knot is not None
    assert 0 <= exact_uj - total.knot.energy_uj < 1


def account(*parts: tuple[Device, int, float]):
    """A second of some devices: joules and coverage."""
    devices = [device for device, _, _ in parts]
    begin = {device.name: Knot(0, 0, 0) for device in devices}
    end = {d.name: Knot(S, j * 1_000_000, round(c * S)) for d, j, c in parts}
    return host_energy(devices, begin, end, S)


class TestHost:
    def test_parts_of_a_node_are_shown_but_not_added_to_it(self):
        node = Device("pm:energy", "node", "counter")
        energy = account((node, 500, 1), (COUNTER, 200, 1), (POWER, 100, 1))
        assert energy.total_uj == 500_000_000
        assert energy.component_uj("package") == 200_000_000
        assert energy.component_uj("dram") is None
        assert energy.quality == "measured"

    def test_without_a_node_the_parts_are_the_host(self):
        assert account((COUNTER, 200, 1), (POWER, 100, 1)).total_uj == 300_000_000

    def test_the_worst_covered_device_says_how_far_to_trust(self):
        energy = account((COUNTER, 200, 1), (POWER, 100, 0.25))
        assert energy.coverage == 0.25
        assert energy.quality == "partial"

    def test_an_estimate_is_never_called_measured_and_has_bounds(self):
        model = Device("model:box", "node", "counter", "estimate", low=0.5, high=1.5)
        energy = account((model, 100, 1), (COUNTER, 60, 1))
        assert energy.quality == "estimate"
        assert (energy.low_uj, energy.high_uj) == (50_000_000, 150_000_000)

    def test_no_readings_are_no_measurement(self):
        assert account().quality == "none"
        assert account((COUNTER, 0, 0)).quality == "none"
