"""The Gaussian process and the candidates that it proposes."""

from math import log

import numpy as np
import pytest

from hpctrain.searching.breeding.gaussian import GaussianProcess
from hpctrain.searching.breeding.surrogate import (
    Hyperparameters,
    Process,
    _loss,
    default_hyperparameters,
    fitted,
)
from hpctrain.searching.space import Space
from tests.searching.breeding.sharing import Sharing, draws_of

GENERATOR = np.random.default_rng(0)
X = GENERATOR.random((60, 3))
Y = np.sin(6 * X[:, 0]) + 0.3 * X[:, 1]
Y = (Y - Y.mean()) / Y.std()
GROUPS = np.arange(3)


def test_the_gradient_is_that_of_the_loss():
    apart = np.stack([(X[:, None, i] - X[None, :, i]) ** 2 for i in range(3)])
    at = np.array([-0.7, 0.1, 0.6, log(1e-2)])
    _, slope = _loss(apart, Y, at)
    for i, step in enumerate(1e-5 * np.eye(4)):
        difference = (_loss(apart, Y, at + step)[0] - _loss(apart, Y, at - step)[0]) / 2e-5
        assert slope[i] == pytest.approx(difference, rel=1e-4, abs=1e-4)


def test_a_gene_that_does_not_matter_gets_a_long_length():
    lengths = fitted(X, Y, GROUPS, [default_hyperparameters(3)]).lengths
    assert lengths[0] < lengths[1] < lengths[2]


def test_known_points_are_predicted_and_others_are_uncertain():
    process = Process(X, Y, GROUPS, fitted(X, Y, GROUPS, [default_hyperparameters(3)]))
    mean, deviation = process.predict(X)
    assert mean == pytest.approx(Y, abs=0.05)
    far = process.predict(np.array([[3.0, 3.0, 3.0]]))[1]
    assert far[0] > 10 * deviation.max()


def test_noise_is_told_from_signal():
    noisy = Y + 0.3 * GENERATOR.standard_normal(len(Y))
    quiet = fitted(X, Y, GROUPS, [default_hyperparameters(3)]).noise
    assert fitted(X, noisy, GROUPS, [default_hyperparameters(3)]).noise > quiet + 2


def test_columns_of_a_choice_share_a_length():
    x = np.repeat(np.eye(2), 5, axis=0)
    process = Process(
        x, np.repeat([1.0, -1.0], 5), np.zeros(2, int), Hyperparameters(np.zeros(1), log(1e-4))
    )
    assert process.predict(np.eye(2))[0] == pytest.approx([1.0, -1.0], abs=1e-2)


def test_a_smooth_valley_is_found_in_few_evaluations():
    space = Space({"x": (-5.0, 10.0), "y": (0.0, 15.0)})

    def branin(config):
        x, y = config["x"], config["y"]
        bend = y - 5.1 / (4 * np.pi**2) * x * x + 5 / np.pi * x - 6
        return float(bend**2 + 10 * (1 - 1 / (8 * np.pi)) * np.cos(x) + 10)

    run = Sharing(space, lambda: GaussianProcess(space), branin, 4).search(60)
    assert run.best < 0.398 + 0.05


def test_workers_do_not_try_the_same_place_at_once():
    space = Space({"x": (0.0, 1.0)})
    run = Sharing(space, lambda: GaussianProcess(space), lambda c: (c["x"] - 0.3) ** 2).search(6)
    worker = run.workers[0]
    run.population.pending.clear()
    first, _ = worker.breed(run.population, 100, draws_of(100))
    run.population.pending[100] = first
    second, _ = worker.breed(run.population, 101, draws_of(100))
    assert abs(first[0] - second[0]) > 1e-3
