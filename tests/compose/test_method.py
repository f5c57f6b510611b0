"""From settings to a method, where the workers matter."""

from dataclasses import replace

import pytest

from hpctrain.compose.method import method_of, num_fragments_of
from hpctrain.config import config_from_keywords
from hpctrain.config.method import DEFAULTS_BY_METHOD, SYNCHRONOUS
from hpctrain.core.topology import plan_topology
from hpctrain.errors import ConfigError
from hpctrain.training import methods

TOPOLOGY = plan_topology(["a"] * 4, islands=2, ranks_per_worker=1)  # of two workers each


@pytest.mark.parametrize("name", sorted(DEFAULTS_BY_METHOD))
def test_a_method_has_the_same_defaults_in_settings_and_in_code(name: str) -> None:
    config = config_from_keywords(method=name)
    made = method_of(config, TOPOLOGY)
    bare = methods.make_method(config.method.name, sync_every=config.method.sync_every)
    assert (made.rule, made.weighing, made.synchronous) == (
        bare.rule,
        bare.weighing,
        bare.synchronous,
    )
    assert SYNCHRONOUS == methods.SYNCHRONOUS
    assert num_fragments_of(config) is None


def test_the_share_of_an_island_is_divided_among_its_workers() -> None:
    config = config_from_keywords(
        method="heloco", arrival_weight="rate_corrected", shares=[3.0, 1.0]
    )
    assert method_of(config, TOPOLOGY).weighing.shares == (1.5, 1.5, 0.5, 0.5)


def test_groups_take_at_least_a_fifth_of_the_steps_unless_told() -> None:
    def fewest(**keywords: object) -> int:
        return method_of(config_from_keywords(sync_every=48, **keywords)).local_steps.min_steps

    assert fewest(local_steps="groups") == 10
    assert fewest(local_steps="dylu") == 1
    assert fewest(local_steps="groups", min_steps=3) == 3


def test_workers_begin_with_the_domain_of_their_island() -> None:
    config = config_from_keywords(domains="least_visited", topology={"data": "own"})
    assert method_of(config, TOPOLOGY, num_domains=3).domains.first == (0, 0, 1, 1)


def test_a_budget_of_bytes_needs_somebody_to_send_to() -> None:
    config = config_from_keywords(stop={"gigabytes": 1.0})
    with pytest.raises(ConfigError, match=r"stop\.gigabytes: 1 would never be spent, for the one"):
        method_of(config, replace(TOPOLOGY, workers=TOPOLOGY.workers[:1]))
    assert method_of(config, TOPOLOGY).name == "galoco"


def test_a_quorum_of_more_workers_than_there_are_is_refused() -> None:
    config = config_from_keywords(method="diloco", quorum=5)
    with pytest.raises(ConfigError, match=r"method\.quorum: 5 is more than the 4 workers"):
        method_of(config, TOPOLOGY)
    assert method_of(config_from_keywords(method="diloco", quorum=4), TOPOLOGY).waiting.quorum == 4
