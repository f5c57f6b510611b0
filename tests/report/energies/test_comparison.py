"""Several runs in one report."""

import pytest

from hpctrain.report.energies.comparison import compare


@pytest.fixture
def run_with(energy_run):
    def make(name, joules, loss=None, **terms):
        run = energy_run(name=name)
        if joules is not None:
            run.sample("hill", "rapl:0", "package", joules)
        if loss is not None:
            run.round(0, 10, 100, loss)
        return run.read(**terms)

    return make


def figures(runs):
    return {one.name: one for one in compare(runs)}


def test_mean_spread_and_differences_to_the_first(run_with, told):
    runs = [run_with("a", 1000, 2.0), run_with("b", 1200, 1.0), run_with("c", 1100, 1.5)]
    energy = figures(runs)["energy"]
    assert (energy.values, energy.mean, energy.std) == ((1000, 1200, 1100), 1100, 100)
    assert energy.to_first == (0, pytest.approx(0.2), pytest.approx(0.1))
    assert figures(runs)["training loss"].mean == 1.5
    text = told(*runs)
    assert text.startswith("Comparison\n")
    assert "Difference to a" in text
    assert "b    +20.0%" in text


def test_a_run_without_energy_is_left_out_of_the_mean_and_shown(run_with, told):
    runs = [run_with("a", 1000), run_with("b", None), run_with("c", 3000)]
    energy = figures(runs)["energy"]
    assert (energy.values, energy.mean, energy.count) == ((1000, None, 3000), 2000, 2)
    lines = [line.split() for line in told(*runs).splitlines()]
    assert ["b", "no", "readings", "no", "readings"] in lines


def test_one_run_with_energy_has_no_spread(run_with, told):
    runs = [run_with("a", 1000), run_with("b", None)]
    assert figures(runs)["energy"].mean is None
    assert "std" not in told(*runs).split("\n\n")[0]


def test_a_first_run_without_energy_leaves_nothing_to_compare_to(run_with):
    energy = figures([run_with("a", None), run_with("b", 100)])["energy"]
    assert energy.to_first == (None, None)


def test_costs_in_different_currencies_are_not_compared(run_with, told):
    runs = [
        run_with("a", 1000, tariff=0.3),
        run_with("b", 1000, tariff=0.3, currency="CHF"),
    ]
    assert "cost" not in figures(runs)
    assert "Costs are in CHF, EUR: not compared." in told(*runs)


def test_estimates_are_marked_in_the_comparison(energy_run, run_with, told):
    run = energy_run(name="guess")
    run.sample("hill", "model:x", "node", 1000, quality="estimate", low_j=500.0, high_j=2000.0)
    text = told(run_with("a", 1000), run.read())
    line = next(line for line in text.splitlines() if line.startswith("guess "))
    assert "~1,000" in line
    assert "500.0 to 2,000" in line
