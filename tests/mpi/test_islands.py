"""Islands that are made of what the ranks find where they are: switches, kinds of GPUs."""

from __future__ import annotations

from pathlib import Path

from hpctrain.storage.read import open_run
from tests.mpi.launching import ROOT, run, tiny_config

PROGRAM = ROOT / "tests" / "programs" / "below_switches.py"
TREE = "switch.switch.node"


def test_ranks_below_one_switch_are_an_island(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    addresses = "s0.s2.n1,s0.s1.n2,s0.s2.n3,s0.s1.n4"
    run(4, PROGRAM, addresses, TREE, "train", config, "--set", "topology.islands='switch'")
    found = open_run(tmp_path / "run").identity
    assert found["islands"] == ["s2", "s1"]
    assert found["num_workers"] == 2


def test_where_a_switch_is_not_known_all_ranks_stop_with_the_way_out(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    words = ["train", config, "--set", "topology.islands='switch'"]
    answer = run(2, PROGRAM, "n1,n2", "node", *words, code=2)
    assert 'topology.islands: "switch" needs the switch of every rank' in answer.stderr
    assert 'give "host"' in answer.stderr
    assert "Traceback" not in answer.stderr


def test_ranks_without_gpus_are_one_island(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    more = ["--set", "topology.islands='gpu'", "--set", "runtime.device='cpu'"]
    run(2, "train", config, *more)
    assert open_run(tmp_path / "run").identity["islands"] == ["cpu"]
