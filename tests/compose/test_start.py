"""The first seconds of a run, in a world of two ranks that say the same."""

from __future__ import annotations

from typing import Any

import pytest

from hpctrain.compose.start import make_topology
from hpctrain.config import config_from_keywords
from hpctrain.errors import ConfigError
from hpctrain.runtime.alone import AloneWorld


class TwoHosts(AloneWorld):
    """As rank 0 sees it, where rank 1 is alike but for its host."""

    size = 2

    def gather(self, item: Any) -> list[Any]:
        return [item, item]

    def hosts(self) -> list[str]:
        return ["a", "b"]


def test_an_address_that_was_copied_to_other_hosts_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_TOPOLOGY_ADDR", "s0.a")
    monkeypatch.setenv("SLURM_TOPOLOGY_ADDR_PATTERN", "switch.node")
    with pytest.raises(ConfigError, match=r"finds 1 addresses .* on 2 hosts: .* with srun"):
        make_topology(config_from_keywords(islands="switch"), TwoHosts())


def test_what_cannot_be_divided_names_where_the_settings_are_from() -> None:
    with pytest.raises(
        ConfigError, match=r"^hpctrain.init\(\): topology.islands: .* 2 of 2 know none"
    ):
        make_topology(config_from_keywords(islands="switch"), TwoHosts())
