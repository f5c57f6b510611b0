"""Training under mpirun, seen from outside: every method, ranks in lockstep, both MPIs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpctrain.storage.read import open_run
from tests.mpi.launching import MPICH, fingerprints, run, tiny_config

pytestmark = pytest.mark.mpi

METHODS = ["ddp", "diloco", "async_nesterov", "mla", "heloco"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_four_islands_and_loses_no_step(method: str, tmp_path: Path) -> None:
    run(4, "train", tiny_config(tmp_path, method))
    rounds = open_run(tmp_path / "run").table("round")
    assert set(rounds["worker"]) == {0, 1, 2, 3}
    assert sum(rounds["steps"]) >= 240
    updates = open_run(tmp_path / "run").table("outer_update")
    for fragment in set(updates["fragment"]):
        merged = updates["steps"][updates["fragment"] == fragment].sum()
        assert merged == rounds["steps"].sum()
    losses = open_run(tmp_path / "run").table("evaluation")["loss"]
    assert np.all(losses < 5.5)  # untrained: about 6


def test_workers_of_two_ranks_compute_in_lockstep(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "diloco")
    run(4, "train", config, "--set", "topology.islands=2")
    store = open_run(tmp_path / "run")
    assert set(store.table("round")["worker"]) == {0, 1}
    checkpoint = max((tmp_path / "run" / "checkpoints").iterdir())
    models = [
        torch.load(checkpoint / f"rank-0000{rank}.pt", weights_only=True) for rank in range(4)
    ]
    for model in models[1:]:
        first, other = (_parameters(m) for m in (models[0], model))
        assert first.keys() == other.keys()
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_one_worker_of_two_ranks_needs_no_other_island(tmp_path: Path) -> None:
    run(2, "train", tiny_config(tmp_path, "heloco"), "--set", "topology.islands=1")
    assert set(open_run(tmp_path / "run").table("round")["worker"]) == {0}


def test_overlap_trains_on_while_answers_are_under_way(tmp_path: Path) -> None:
    run(3, "train", tiny_config(tmp_path, "mla"), "--set", "method.overlap=true")
    rounds = open_run(tmp_path / "run").table("round")
    updates = open_run(tmp_path / "run").table("outer_update")
    assert updates["steps"][updates["fragment"] == 0].sum() == rounds["steps"].sum()


def test_a_budget_in_minutes_ends_the_run(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "heloco", steps=10**9)
    run(2, "train", config, "--set", "stop.minutes=0.03")
    assert fingerprints(tmp_path / "run")


@pytest.mark.skipif(not MPICH.exists(), reason=f"no MPICH at {MPICH}; `make setup` puts it there")
def test_mpich_trains_like_open_mpi(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "diloco")
    run(2, "train", config)
    run(
        2,
        "train",
        config,
        "--set",
        f'run_dir="{tmp_path}/mpich"',
        env={"MPI4PY_LIBMPI": str(MPICH)},
    )
    assert fingerprints(tmp_path / "run") == fingerprints(tmp_path / "mpich")


def _parameters(part: dict) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}

    def visit(node: object, path: str) -> None:
        if isinstance(node, torch.Tensor) and "model" in path and "running" not in path:
            found[path] = node
        items = node.items() if isinstance(node, dict) else ()
        for key, value in items:
            visit(value, f"{path}/{key}")
        if isinstance(node, (list, tuple)):
            for index, value in enumerate(node):
                visit(value, f"{path}/{index}")

    visit(part, "")
    assert found
    return found
