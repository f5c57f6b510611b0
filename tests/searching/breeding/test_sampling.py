"""Candidates that depend on no population."""

import numpy as np

from hpctrain.searching.breeding.initial import EvenSampling, UniformSampling
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.space import Space
from tests.searching.breeding.sharing import Sharing, draws_of

CUBE = Space({"a": (0.0, 1.0), "b": (0.0, 1.0)})


def test_an_even_candidate_is_the_same_at_any_number_of_workers():
    runs = [
        Sharing(CUBE, lambda: EvenSampling(CUBE, seed=5), lambda _: 0.0, num).search(60)
        for num in (1, 4, 15)
    ]
    assert runs[0].genomes == runs[1].genomes == runs[2].genomes


def test_even_candidates_leave_no_cell_empty():
    """Of 256 points in 64 cells, random ones leave one empty in 3 of 4 cases."""
    for seed in range(8):
        sampling = EvenSampling(CUBE, seed)
        cells = {tuple(int(8 * x) for x in sampling.at(number)) for number in range(256)}
        assert len(cells) == 64


def test_even_candidates_far_on_are_as_even():
    sampling = EvenSampling(CUBE)
    places = np.array([sampling.at(10**12 + number) for number in range(1000)])
    assert np.abs(places.mean(axis=0) - 0.5).max() < 0.01
    assert len({tuple(place) for place in places.tolist()}) == 1000


def test_the_seed_shifts_even_candidates():
    assert EvenSampling(CUBE, 1).at(0) != EvenSampling(CUBE, 2).at(0)


def test_an_even_candidate_that_is_asked_for_again_is_another_one():
    sampling = EvenSampling(CUBE)
    population = Population(Needs())
    first, _ = sampling.breed(population, 3, draws_of(3))
    second, _ = sampling.breed(population, 3, draws_of(3, 1))
    assert first == sampling.at(3) != second


def test_uniform_candidates_depend_on_their_draws_alone():
    sampling = UniformSampling(CUBE)
    population = Population(Needs())
    assert sampling.breed(population, 3, draws_of(3)) == sampling.breed(population, 9, draws_of(3))
