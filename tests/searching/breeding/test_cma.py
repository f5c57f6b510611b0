"""CMA-ES that is shared by workers that do not wait for each other."""

import subprocess
import sys

import numpy as np
import pytest
from cmaes import CMA

from hpctrain.searching.breeding.cma import CovarianceAdaptation
from hpctrain.searching.breeding.covariance import update
from hpctrain.searching.population import Population
from hpctrain.searching.record import Record
from hpctrain.searching.space import Space
from tests.searching.breeding.sharing import Sharing, draws_of

ROTATION = np.linalg.qr(np.random.default_rng(3).standard_normal((6, 6)))[0]


def box(num_genes, low=-5.0, high=5.0):
    return Space({f"x{i}": (low, high) for i in range(num_genes)})


def ellipsoid(config):
    """Condition 1e3, rotated, minimum 0 at 1 in each."""
    x = np.array(list(config.values())) - 1.0
    return float(np.logspace(0, 3, len(x)) @ (ROTATION[: len(x), : len(x)] @ x) ** 2)


def cma(space, losses, num_workers, evaluations):
    return Sharing(space, lambda: CovarianceAdaptation(space), losses, num_workers).search(
        evaluations
    )


@pytest.mark.parametrize("num_workers", [1, 4, 16])
def test_a_rotated_valley_is_followed_by_any_number_of_workers(num_workers):
    assert cma(box(6), ellipsoid, num_workers, 1600).best < 1e-2


def test_workers_that_share_need_fewer_evaluations_than_one_alone_has():
    shared = cma(box(6), ellipsoid, 8, 800)
    alone = cma(box(6), ellipsoid, 1, 100)  # what each of the eight makes
    assert shared.best < 0.1 * alone.best


def test_an_optimum_on_the_bound_is_found():
    space = box(3, 0.0, 1.0)
    assert cma(space, lambda config: sum(config.values()), 2, 400).best < 1e-3


def test_a_grid_is_searched_to_its_last_step():
    space = Space({f"n{i}": (0, 40) for i in range(4)})
    run = cma(space, lambda config: sum((n - 33) ** 2 for n in config.values()), 2, 500)
    assert run.best == 0


def test_a_search_that_has_converged_begins_again():
    space = box(2)
    run = cma(space, lambda config: sum(x * x for x in config.values()), 1, 1500)
    assert run.workers[0].num_restarts >= 1
    assert run.best < 1e-10


def test_losses_that_are_all_equal_do_no_harm():
    run = cma(box(3), lambda config: 1.0, 2, 600)
    assert all(-5.0 <= x <= 5.0 for genome in run.genomes for x in genome)


def test_records_of_other_operators_do_not_move_the_distribution():
    space = box(8)
    worker = CovarianceAdaptation(space)
    population = Population(worker.needs)
    for number in range(8):
        population.add(Record(1.0 + number, number, (0.0,) * 7 + (0.01 * number,)))
    worker.breed(population, 8, draws_of(8))
    corner = (4.9,) * 8
    for number in range(9, 60):
        worker.observe(Record(0.0, number, corner), "")
    children = [worker.breed(population, 60, draws_of(n))[0] for n in range(60, 160)]
    assert np.abs(np.mean(children, axis=0)).max() < 1.0  # 4 deviations of 2.5 / sqrt(100)


def test_it_claims_candidates_while_it_approaches_the_best_and_none_afterwards():
    space = box(6)
    run = Sharing(space, lambda: CovarianceAdaptation(space), ellipsoid, 1)
    assert run.search(400).workers[0].claim > 0.5
    while not run.workers[0].num_restarts:
        run.search(len(run.records) + 100)
    assert run.workers[0].claim == 0.0


@pytest.mark.parametrize(("num_dims", "size"), [(1, 4), (2, 6), (2, 48), (10, 10), (30, 14)])
def test_the_update_gives_the_numbers_of_the_package(num_dims, size):
    theirs, ours = (CMA(np.full(num_dims, 0.5), 0.3, population_size=size) for _ in range(2))
    generator = np.random.default_rng(0)
    for _ in range(30):
        rotation, lengths = theirs._eigen_decomposition()
        z = generator.standard_normal((size, num_dims))
        x = theirs.mean + theirs._sigma * (z * lengths) @ rotation.T
        loss = (np.arange(1, num_dims + 1) * x * x).sum(axis=1)
        order = np.argsort(loss)
        theirs.tell(list(zip(x, loss, strict=True)))
        update(ours, x[order], *ours._eigen_decomposition())
    for name in ("_mean", "_sigma", "_C", "_pc", "_p_sigma", "_g"):  # thirty roundings
        assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=1e-6, abs=1e-9)


def test_the_package_is_loaded_when_it_is_needed():
    program = (
        "import sys; import hpctrain.searching.breeding.make; sys.exit('cmaes' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
