"""Ranks form workers, workers form islands; what cannot be divided is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.core.topology import plan_topology
from hpctrain.errors import ConfigError

PROFILE = settings(derandomize=True, deadline=None)


def ranks(topology) -> list[tuple[int, ...]]:
    return [worker.ranks for worker in topology.workers]


def test_one_host_makes_every_rank_an_island() -> None:
    topology = plan_topology(["a"] * 3)
    assert ranks(topology) == [(0,), (1,), (2,)]
    assert topology.island_names == ("island-0", "island-1", "island-2")


def test_several_hosts_make_islands_named_after_them() -> None:
    topology = plan_topology(["x", "y", "x", "y"])
    assert ranks(topology) == [(0, 2), (1, 3)]
    assert topology.island_names == ("x", "y")
    assert topology.island_name(1) == "y"


def test_an_island_is_cut_into_workers() -> None:
    topology = plan_topology(["a"] * 6, islands=2, ranks_per_worker=1, names=("east", "west"))
    assert ranks(topology) == [(0,), (1,), (2,), (3,), (4,), (5,)]
    assert [worker.island for worker in topology.workers] == [0, 0, 0, 1, 1, 1]
    assert topology.island_name(4) == "west"


def test_islands_by_lists_of_ranks() -> None:
    topology = plan_topology(["a"] * 5, islands=[[4, 0], [1, 2, 3]])
    assert ranks(topology) == [(4, 0), (1, 2, 3)]
    assert topology.worker_of(0).ranks[0] == 4


@pytest.mark.parametrize("islands", ["switch", "gpu"])
def test_ranks_of_one_label_are_an_island_named_after_it(islands) -> None:
    labels = ["s1", "s0", "s1", "s0"]
    topology = plan_topology(["a", "b", "c", "d"], islands, labels=labels)
    assert ranks(topology) == [(0, 2), (1, 3)]
    assert topology.island_names == ("s1", "s0")
    assert plan_topology(["a"] * 4, islands, names="xy", labels=labels).island_names == ("x", "y")


@PROFILE
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=12),
    st.sampled_from(["auto", "rank", "host"]) | st.integers(1, 12),
)
def test_every_rank_is_in_exactly_one_worker(hosts, islands) -> None:
    if isinstance(islands, int) and islands > len(hosts):
        with pytest.raises(ConfigError, match="need at least as many ranks"):
            plan_topology(hosts, islands)
        return
    topology = plan_topology(hosts, islands)
    assert sorted(r for worker in topology.workers for r in worker.ranks) == list(range(len(hosts)))
    assert [worker.id for worker in topology.workers] == list(range(len(topology.workers)))
    assert topology.num_ranks == len(hosts)
    assert {worker.island for worker in topology.workers} == set(range(len(topology.island_names)))
    for rank in range(len(hosts)):
        assert rank in topology.worker_of(rank).ranks


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"ranks_per_worker": 3, "islands": 1}, "3 does not divide the 4 ranks"),
        ({"islands": 5}, "give 1..4 or start more ranks"),
        ({"islands": 0}, "give 1..4"),
        ({"islands": "planet"}, "'planet' is not one of auto, rank, host, switch, gpu"),
        (
            {"islands": "switch", "labels": ["s0", None, "s1", None]},
            r'the switch of every rank, but 2 of 4 know none \(first is rank 1\): .* give "host"',
        ),
        ({"islands": "gpu"}, r"the gpu of every rank, but 4 of 4 know none \(first is rank 0\)"),
        ({"islands": [[0, 1], [2]]}, "exactly once"),
        ({"islands": [[0, 1], [1, 2, 3]]}, "exactly once"),
        ({"islands": [[0, 1, 2, 3], []]}, "island 1 has no ranks"),
        ({"names": ("only-one",), "islands": 2}, "1 names for 2 islands"),
    ],
)
def test_what_cannot_be_divided_is_refused(arguments, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        plan_topology(["a"] * 4, **arguments)


def test_a_rank_that_does_not_exist_belongs_to_no_worker() -> None:
    with pytest.raises(ValueError, match="rank 9 belongs to no worker; there are 2 ranks"):
        plan_topology(["a"] * 2).worker_of(9)
