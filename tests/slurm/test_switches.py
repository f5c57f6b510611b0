"""Islands by switch, on a Slurm that was told its network."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpctrain.storage.read import open_run
from tests.slurm.bench import Bench
from tests.slurm.cluster import Cluster, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

NETWORK = """
SwitchName=s1 Nodes=n[1-2]
SwitchName=s2 Nodes=n3
SwitchName=s0 Switches=s[1-2]
"""
BY_SWITCH = ("--time=10:00", "--nodes=3", "--set", "topology.islands='switch'")


class TreeCluster(Cluster):
    """A cluster with a tree of switches."""

    def _write_config(self) -> None:
        super()._write_config()
        (self.root / "topology.conf").write_text(NETWORK)
        with (self.root / "slurm.conf").open("a") as file:
            file.write("TopologyPlugin=topology/tree\n")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with TreeCluster(tmp_path_factory.mktemp("tree")) as cluster:
        yield cluster


def test_hosts_below_one_switch_are_an_island(bench: Bench, tree: Cluster) -> None:
    mine = Bench(tree, bench.folder)
    mine.ends(mine.submit("run.toml", *BY_SWITCH))
    found = open_run(bench.folder / "runs/train").identity
    assert found["islands"] == ["s1", "s2"]
    assert found["num_ranks"] == 3


def test_without_a_tree_the_job_fails_with_the_way_out(bench: Bench) -> None:
    text = bench.ends(bench.submit("run.toml", *BY_SWITCH), "FAILED")
    assert 'topology.islands: "switch" needs the switch of every rank' in text
    assert 'give "host"' in text
    assert not (bench.folder / "runs/train/run.json").exists()


def test_ranks_of_mpirun_are_on_all_hosts_and_know_their_switches(
    tree: Cluster, bench: Bench
) -> None:
    """They have the environment of mpirun's daemon on their host."""
    mine = Bench(tree, bench.folder)
    job = mine.submit("run.toml", *BY_SWITCH, "--kind=restarting")
    text = mine.ends(job)
    assert open_run(bench.folder / "runs/train").identity["islands"] == ["s1", "s2"], text
