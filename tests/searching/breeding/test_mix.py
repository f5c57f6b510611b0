"""Portfolios: who gets the next candidate."""

import pytest

from hpctrain.errors import ConfigError
from hpctrain.searching.breeding.initial import EvenSampling
from hpctrain.searching.breeding.mix import Mix
from hpctrain.searching.population import Needs
from hpctrain.searching.space import Space
from tests.searching.breeding.sharing import Sharing, draws_of

SPACE = Space({"x": (0.0, 1.0)})


class Around:
    """Makes candidates near one place."""

    def __init__(self, place, claim=0.0, needs=None):
        self.place = place
        self.claim = claim
        self.needs = needs or Needs()

    def breed(self, population, number, draws):
        return (self.place + 0.01 * draws.random(),), f"around {self.place}"

    def observe(self, record, made_by):
        pass


def mixed(members, evaluations, num_workers=1, **options):
    return Sharing(
        SPACE, lambda: Mix(members(), **options), lambda config: config["x"], num_workers
    ).search(evaluations)


def test_the_one_whose_children_are_better_is_asked_more():
    run = mixed(lambda: [Around(0.8), Around(0.1), Around(0.5)], 400, floor=0.05)
    late = run.makers[200:]
    assert late.count("around 0.1") > 0.6 * len(late)


def test_nobody_starves():
    run = mixed(lambda: [Around(0.8), Around(0.1)], 1000, floor=0.1)
    assert 60 < run.makers[200:].count("around 0.8") < 110


def test_who_becomes_better_later_is_asked_more_then():
    members = [Around(0.5), Around(0.8)]
    run = Sharing(SPACE, lambda: Mix(members), lambda config: config["x"]).search(200)
    members[1].place = 0.1
    run.search(500)
    assert run.makers[400:].count("around 0.1") > 60


def test_a_claim_is_met_before_credit_is_shared_out():
    mix = Mix([Around(0.1), Around(0.8, claim=0.5)], floor=0.1)
    assert mix.shares == pytest.approx([0.1 + 0.8 * 0.25, 0.1 + 0.8 * 0.75])


@pytest.mark.parametrize("claims", [(0.0, 0.0, 0.0), (0.9, 0.9, 0.0), (1.0, 0.0, 0.3)])
def test_shares_are_a_whole(claims):
    shares = Mix([Around(0.1, claim) for claim in claims], floor=0.05).shares
    assert sum(shares) == pytest.approx(1.0)
    assert min(shares) >= 0.05


def test_the_first_candidates_are_spread_evenly():
    run = mixed(lambda: [Around(0.1)], 30, 3, initial=EvenSampling(SPACE), num_initial=12)
    assert run.makers[:12] == ["even"] * 12
    assert set(run.makers[12:]) == {"around 0.1"}


def test_a_mix_needs_what_its_members_need():
    members = [Around(0.1, needs=Needs(elites=5, recent=9)), Around(0.1, needs=Needs(elites=30))]
    assert Mix(members).needs == Needs(elites=30, recent=9)


def test_a_mix_of_none_is_refused():
    with pytest.raises(ConfigError, match="no propagators"):
        Mix([])


def test_a_floor_that_is_too_high_is_refused():
    with pytest.raises(ConfigError, match=r"floor is 0\.6, but 2 propagators leave at most 0\.50"):
        Mix([Around(0.1), Around(0.2)], floor=0.6)


def test_breeding_twice_credits_the_candidate_that_was_evaluated():
    mix = Mix([Around(0.1), Around(0.8)])
    run = Sharing(SPACE, lambda: mix, lambda config: config["x"]).search(5)
    for attempt in range(5):
        mix.breed(run.population, 5, draws_of(5, attempt))
    run.search(300)
    assert run.makers[100:].count("around 0.1") > 150
