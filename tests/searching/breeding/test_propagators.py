"""What every propagator keeps to, whichever it is."""

from math import inf, isnan

import pytest

from hpctrain.errors import ConfigError
from hpctrain.searching.breeding.make import MAKERS, make_propagator
from hpctrain.searching.parameters import Choice, Float, Int
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.space import INACTIVE, Space
from tests.searching.breeding.sharing import Sharing, draws_of

MIXED = {
    "lr": Float(1e-5, 1e-1, log=True),
    "dropout": Float(0.0, 0.5, step=0.1),
    "layers": Int(1, 6),
    "optimizer": ["sgd", "adam", "lamb"],
    "momentum": Float(0.0, 0.99, when={"optimizer": "sgd"}),
    "nesterov": Choice([True, False], when={"optimizer": ["sgd"], "layers": [1, 2, 3]}),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


def fitness(config):
    loss = abs(config["layers"] - 3) + config["dropout"] + abs(config["lr"] - 1e-3) * 100
    return loss + {"sgd": 0.0, "adam": 0.5, "lamb": 1.0}[config["optimizer"]]


def num_of(name, evaluations):
    """A surrogate is a thousand times as slow, and needs fewer candidates."""
    return min(evaluations, 40) if name == "gaussian" else evaluations


def sharing(name, space, losses, num_workers=4):
    return Sharing(space, lambda: make_propagator(name, space), losses, num_workers)


@EVERY
def test_candidates_are_in_the_space(name):
    space = Space(MIXED)
    run = sharing(name, space, fitness).search(num_of(name, 160))
    for genome in run.genomes:
        assert space.encode(space.decode(genome)) == genome
        assert all(x is INACTIVE for x in genome if isnan(x))


@EVERY
def test_the_makers_are_told(name):
    assert all(sharing(name, Space(MIXED), fitness).search(num_of(name, 60)).makers)


@EVERY
def test_the_same_draws_give_the_same_search(name):
    space = Space(MIXED)
    assert (
        sharing(name, space, fitness).search(num_of(name, 80)).records
        == sharing(name, space, fitness).search(num_of(name, 80)).records
    )


@EVERY
def test_other_draws_give_another_candidate(name):
    space = Space(MIXED)
    run = sharing(name, space, fitness).search(num_of(name, 80))
    worker = run.workers[0]
    again = {worker.breed(run.population, 80, draws_of(80, attempt))[0] for attempt in range(9)}
    assert len(again) > 4


@EVERY
def test_candidates_obey_the_constraint(name):
    space = Space({"a": (0.0, 1.0), "b": (0.0, 1.0)}, lambda config: config["a"] > config["b"])
    run = sharing(name, space, lambda config: config["a"] + config["b"]).search(num_of(name, 120))
    assert all(a > b for a, b in run.genomes)


@EVERY
def test_a_constraint_that_forbids_all_is_an_error(name):
    space = Space({"a": (0.0, 1.0)}, lambda config: False)
    with pytest.raises(ConfigError, match="below 1 %"):
        sharing(name, space, lambda config: 0.0).search(4)


@EVERY
def test_failed_candidates_do_not_stop_the_search(name):
    space = Space({"a": (0.0, 1.0), "b": (0.0, 1.0)})

    def losses(config):
        return inf if config["a"] > 0.6 else (config["a"] - 0.5) ** 2 + config["b"]

    run = sharing(name, space, losses).search(num_of(name, 120))
    assert run.best < 0.2
    assert sharing(name, space, lambda config: inf).search(num_of(name, 60)).best == inf


@EVERY
def test_several_objectives_are_searched_together(name):
    space = Space({"a": (0.0, 1.0), "b": (0.0, 1.0)})

    def losses(config):
        far = 0.2 * config["b"]
        return config["a"] ** 2 + far, (config["a"] - 1.0) ** 2 + far

    run = sharing(name, space, losses).search(num_of(name, 120))
    on_front = [record for record in run.population.elites if sum(record.losses) < 1.2]
    assert len(on_front) >= 1


@EVERY
@pytest.mark.parametrize(
    "parameters",
    [{"a": (0.0, 1.0)}, {"a": ["x"]}, {"a": ["x", "y"], "b": [1, 2, 3]}, {"a": (0, 3)}],
)
def test_the_smallest_spaces_are_searched(name, parameters):
    space = Space(parameters)
    run = sharing(name, space, lambda config: float(len(str(config["a"]))), 2).search(
        num_of(name, 80)
    )
    assert len(run.records) == num_of(name, 80)


@pytest.mark.parametrize(
    "name", ["auto", "cma", "differential", "gaussian", "genetic", "local", "swarm"]
)
def test_what_learns_is_better_than_random_search(name):
    space = Space(MIXED | {f"x{i}": (-1.0, 1.0) for i in range(3)})

    def losses(config):
        return fitness(config) + sum(config[f"x{i}"] ** 2 for i in range(3))

    num = 60 if name == "gaussian" else 200
    assert (
        sharing(name, space, losses).search(num).best
        < sharing("random", space, losses).search(num).best
    )


def test_an_unknown_propagator_is_refused_with_the_names_of_all():
    with pytest.raises(ConfigError, match="no propagator 'cmaes'; there are auto, cma"):
        make_propagator("cmaes", Space({"a": (0.0, 1.0)}))


def test_the_seed_of_the_run_shifts_the_first_candidates():
    space = Space({"a": (0.0, 1.0)})
    first = {
        make_propagator("auto", space, seed).breed(Population(Needs()), 0, draws_of(0))
        for seed in range(3)
    }
    assert len(first) == 3


def test_an_unknown_option_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="no option pop; allowed: population, crossover"):
        make_propagator("genetic", Space({"a": (0.0, 1.0)}), pop=3)
