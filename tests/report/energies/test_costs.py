"""Bills at the prices that held when the energy was used."""

import math

import pytest

from hpctrain.errors import MeteringError


@pytest.fixture
def two_parts(energy_run):
    """3.6 kJ in the first ten seconds and 7.2 kJ in the next: 0.001 and 0.002 kWh."""
    run = energy_run()
    run.sample("hill", "rapl:0", "package", 3600, 10.0)
    run.sample("hill", "rapl:0", "package", 7200, 20.0)
    return run


def test_pue_is_applied_once_and_to_cost_and_carbon_only(two_parts):
    run = two_parts.read(tariff=0.5, carbon=400.0, carbon_market=0.0, pue=1.5)
    bill = run.costs.bill
    assert bill.it_kwh == pytest.approx(0.003)
    assert bill.facility_kwh == pytest.approx(0.0045)
    assert bill.cost == pytest.approx(0.0045 * 0.5)
    assert bill.location_gco2 == pytest.approx(0.0045 * 400)
    assert bill.market_gco2 == 0
    assert run.total.joules == 10_800
    assert run.total.watts == 540


def test_energy_is_billed_at_the_price_that_held(two_parts, steps_file):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10, 0.40])
    run = two_parts.read(tariff=str(prices))
    assert run.costs.bill.cost == pytest.approx(0.001 * 0.10 + 0.002 * 0.40)


def test_a_row_is_cut_where_the_price_changes(two_parts, steps_file):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10, 0.40, 0.0, 0.0], seconds=5)
    run = two_parts.read(tariff=str(prices))
    assert run.costs.bill.cost == pytest.approx(0.0005 * 0.10 + 0.0005 * 0.40)


def test_a_negative_price_lowers_the_bill(two_parts, steps_file, told):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10, -0.40])
    run = two_parts.read(tariff=str(prices))
    assert run.costs.bill.cost == pytest.approx(0.0001 - 0.0008)
    assert "-0.0007 EUR" in told(run)


def test_bounds_of_an_estimate_are_in_order_at_a_negative_price(energy_run):
    run = energy_run()
    run.sample("hill", "model:x", "node", 3600, quality="estimate", low_j=1800.0, high_j=7200.0)
    low, high = run.read(tariff=-1.0).costs.bounds("cost")
    assert (low, high) == (pytest.approx(-0.002), pytest.approx(-0.0005))


def test_prices_that_do_not_cover_the_run_are_refused_with_their_range(two_parts, steps_file):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10])
    with pytest.raises(MeteringError) as caught:
        two_parts.read(tariff=str(prices))
    assert "prices.csv is from 2026-01-02T03:00:00Z to 2026-01-02T03:00:10Z" in str(caught.value)
    assert "2026-01-02T03:00:00Z to 2026-01-02T03:00:20Z is asked for" in str(caught.value)


def test_a_pause_between_two_parts_needs_no_price(energy_run, tmp_path):
    run = energy_run()
    run.sample("hill", "rapl:0", "package", 3600, 10.0)
    run.sample("hill", "rapl:0", "package", 3600, 7210.0)
    spans = run.read(tariff=1.0).curves[0].spans_ns
    assert [(end - begin) // 10**9 for begin, end in spans] == [10, 10]


def test_hosts_are_billed_each_on_its_own_clock_and_added(energy_run, steps_file):
    run = energy_run(hosts=("hill", "dale"))
    run.sample("hill", "rapl:0", "package", 3600, 10.0)
    run.sample("dale", "rapl:0", "package", 3600, 20.0)
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10, 0.40])
    assert run.read(tariff=str(prices)).costs.bill.cost == pytest.approx(0.001 * 0.5)


def test_parts_of_a_node_are_not_billed_beside_it(energy_run):
    run = energy_run()
    run.sample("hill", "pm:energy", "node", 3600)
    run.sample("hill", "pm:cpu", "package", 1800)
    assert run.read(tariff=1.0).costs.bill.it_kwh == pytest.approx(0.001)


def test_rows_without_wall_time_are_placed_by_the_time_of_the_run(energy_run, steps_file, told):
    run = energy_run()
    run.sample("hill", "rapl:0", "package", 3600, 20.0, utc_s=math.nan)
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10, 0.40])
    seen = run.read(tariff=str(prices))
    assert seen.costs.bill.cost == pytest.approx(0.001 * 0.40)
    assert "The readings have no wall time" in told(seen)


def test_what_is_not_known_is_not_made_up(two_parts, told):
    text = told(two_parts.read())
    assert "cost                    not known: no tariff" in text
    assert "carbon, market-based    not known: no intensity" in text
    assert "3 Wh (PUE 1, none was stated)" in text


def test_the_line_of_power_has_gaps_where_the_readings_have(energy_run):
    run = energy_run(hosts=("hill", "dale"))
    for end_s in (10.0, 20.0, 30.0):
        run.sample("hill", "rapl:0", "package", 1000, end_s)
        run.sample("dale", "rapl:0", "package", None if end_s == 20.0 else 500, end_s)
    line = run.read().timeline
    assert line.watts[5] == pytest.approx(150)
    assert math.isnan(line.watts[15])
    assert line.some_watts[15] == pytest.approx(100)
    assert line.watts[25] == pytest.approx(150)


def test_prices_are_on_the_axis_of_power(two_parts, steps_file):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.10, -0.40])
    line = two_parts.read(tariff=str(prices)).timeline
    assert (line.tariff[5], line.tariff[15]) == (0.10, -0.40)
    assert (line.watts[5], line.watts[15]) == (pytest.approx(360), pytest.approx(720))
