"""Steps and mutations of single genes."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.searching.breeding.genetic import Genetic, two_of
from hpctrain.searching.breeding.local import FewGeneSteps
from hpctrain.searching.breeding.unit import Steps, other_option, reflect
from hpctrain.searching.parameters import Float, Int
from hpctrain.searching.population import Population
from hpctrain.searching.record import Record
from hpctrain.searching.space import Space
from tests.searching.breeding.sharing import draws_of

CHI2_999 = {1: 10.83, 2: 13.82, 3: 16.27}  # exceeded by one fair experiment in a thousand


def bred(propagator, genome, count):
    """Children of an elite table in which everyone has the same genes."""
    population = Population(propagator.needs)
    for number in range(propagator.needs.elites):  # the genome differs in its last gene only
        population.add(Record(float(number), number, (*genome[:-1], genome[-1] + 1e-9 * number)))
    return [propagator.breed(population, 99, draws_of(n))[0] for n in range(count)]


@pytest.mark.parametrize("order", list(permutations(["lr", "opt", "net"])))
@pytest.mark.parametrize("make", [Genetic, FewGeneSteps])
def test_choices_mutate_to_any_other_option_alike_in_any_order_of_parameters(order, make):
    declared = {"lr": (0.0, 1.0), "opt": ["sgd", "adam", "lamb", "lion"], "net": ["a", "b", "c"]}
    space = Space({name: declared[name] for name in order} | {"last": (0.0, 1.0)})
    start = space.encode({"lr": 0.5, "opt": "adam", "net": "b", "last": 0.5})
    options = {"random_init": 0.0} if make is Genetic else {}
    configs = [space.decode(child) for child in bred(make(space, **options), start, 4000)]
    for name in ("opt", "net"):
        others = [v for v in declared[name] if v != space.decode(start)[name]]
        counts = np.array([sum(config[name] == value for config in configs) for value in others])
        expected = counts.mean()
        assert expected > 50
        assert ((counts - expected) ** 2).sum() / expected < CHI2_999[len(others) - 1]


@given(st.integers(2, 50), st.data())
def test_another_option_is_never_the_same(count, data):
    index = float(data.draw(st.integers(0, count - 1)))
    other = other_option(index, count, data.draw(st.floats(0, 1, exclude_max=True)))
    assert other != index
    assert 0 <= other < count


def test_the_only_option_stays():
    assert other_option(0.0, 1, 0.7) == 0.0


@given(st.floats(-1e6, 1e6))
def test_reflection_ends_in_the_unit_interval(u):
    assert 0.0 <= reflect(u) <= 1.0


@given(st.floats(0, 1), st.floats(-1, 1))
def test_reflection_turns_back_as_far_as_the_step_went_over(u, step):
    inside = reflect(u + step)
    over = max(u + step - 1.0, -(u + step), 0.0)
    end = 1.0 if u + step > 1.0 else 0.0
    if over:
        assert abs(inside - end) == pytest.approx(over, abs=1e-12)
    else:
        assert inside == u + step


def test_a_short_step_on_a_grid_reaches_the_next_value():
    space = Space({"n": Int(1, 9), "x": Float(0.0, 1.0, step=0.25)})
    steps = Steps(space)
    assert steps.moved(0, 5.0, 1e-6, 0.0) == 6.0
    assert steps.moved(0, 5.0, -1e-6, 0.0) == 4.0
    assert steps.moved(1, 0.5, 0.01, 0.0) == 0.75


def test_steps_are_taken_on_the_scale_of_the_parameter():
    space = Space({"lr": Float(1e-6, 1.0, log=True)})
    assert Steps(space).moved(0, 1e-3, 1 / 6, 0.0) == pytest.approx(1e-2)


def test_parents_are_two_different_ones_and_each_pair_is_as_likely():
    records = [Record(float(i), i, (float(i),)) for i in range(4)]
    generator = np.random.default_rng(0)
    pairs = [two_of(records, *generator.random(2)) for _ in range(12_000)]
    counts = np.array([sum(p == (a, b) for p in pairs) for a, b in permutations(records, 2)])
    assert counts.sum() == 12_000
    assert ((counts - 1000) ** 2).sum() / 1000 < 31.3  # chi-square, 11 degrees of freedom, 0.999


def test_the_crossover_probability_is_one():
    space = Space({f"x{i}": (0.0, 1.0) for i in range(20)})

    def num_mixed(crossover):
        genetic = Genetic(space, 2, crossover, mutation=0.0, random_init=0.0, sigma=1e-9)
        population = Population(genetic.needs)
        population.add(Record(0.0, 0, (0.25,) * 20))
        population.add(Record(1.0, 1, (0.75,) * 20))
        children = [genetic.breed(population, 2, draws_of(n))[0] for n in range(1000)]
        return sum(len({round(x, 3) for x in child}) == 2 for child in children)

    assert num_mixed(0.0) == 0
    assert num_mixed(1.0) == 1000
    assert 640 < num_mixed(0.7) < 760  # four standard deviations of 1000 draws


def test_the_first_candidates_of_the_genetic_operators_have_no_parents():
    space = Space({"x": (0.0, 1.0)})
    genetic = Genetic(space, population=5)
    population = Population(genetic.needs)
    for number in range(5):
        assert genetic.breed(population, number, draws_of(number))[1] == "uniform"
        population.add(Record(1.0, number, (0.1 * number,)))
    makers = {genetic.breed(population, 5, draws_of(n))[1] for n in range(50)}
    assert makers == {"genetic", "uniform"}
