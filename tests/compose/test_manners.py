"""What is settled before MPI starts."""

from __future__ import annotations

from hpctrain.mpi.manners import YIELD, yield_if_crowded


def test_more_ranks_than_cores_give_their_core_away_while_they_wait() -> None:
    env: dict[str, str] = {}
    yield_if_crowded(env, ranks_here=4, cores=2)
    assert env == {YIELD: "1"}


def test_where_there_are_cores_for_all_nothing_is_set() -> None:
    env: dict[str, str] = {}
    yield_if_crowded(env, ranks_here=2, cores=2)
    yield_if_crowded(env, ranks_here=None, cores=2)
    assert env == {}


def test_what_the_user_has_set_stays() -> None:
    env = {YIELD: "0"}
    yield_if_crowded(env, ranks_here=4, cores=2)
    assert env == {YIELD: "0"}
