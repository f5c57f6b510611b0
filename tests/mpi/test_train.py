"""Training under mpirun, seen from outside: methods, ranks in lockstep, recordings, both MPIs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hpctrain.compose.replay import replay
from hpctrain.storage.read import open_run
from tests.mpi.launching import MPICH, fingerprints, run, tiny_config, train_all

pytestmark = pytest.mark.mpi

METHODS = ["ddp", "diloco", "async_nesterov", "mla", "heloco"]
BY_METHOD = {
    name: [f"method.name={name}", f"method.sync_every={1 if name == 'ddp' else 10}"]
    for name in METHODS
}
RUNS = BY_METHOD | {
    "overlap": ["method.name=mla", "method.overlap=true", "runtime.record=order"],
    "full": ["runtime.record=full"],
    "pairs": ["method.name=diloco", "topology.islands=2"],
    "async_pairs": ["method.name=mla", "topology.islands=2", "runtime.record=order"],
    "one_worker": ["topology.islands=1"],
    "minutes": ["stop.steps=1000000000", "stop.minutes=0.02"],
    "diverging": ["task.options.nan_at=15"],
    "bfloat16": ["runtime.amp=bfloat16"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of `RUNS` by four ranks, in one job."""
    config = tiny_config(tmp_path_factory.mktemp("runs"))
    return train_all(4, config, RUNS, timeout_s=300)


@pytest.mark.parametrize("name", [*METHODS, "overlap", "minutes", "bfloat16"])
def test_four_islands_train_and_lose_no_step(name: str, runs: Path) -> None:
    store = open_run(runs / name)
    rounds = store.table("round")
    assert set(rounds["worker"]) == {0, 1, 2, 3}
    assert name == "minutes" or sum(rounds["steps"]) >= 240
    updates = store.table("outer_update")
    for fragment in set(updates["fragment"]):
        merged = updates["steps"][updates["fragment"] == fragment].sum()
        assert merged == rounds["steps"].sum()
    assert np.all(store.table("evaluation")["loss"] < 5.5)  # untrained: about 6


def test_workers_of_two_ranks_compute_in_lockstep(runs: Path) -> None:
    assert set(open_run(runs / "pairs").table("round")["worker"]) == {0, 1}
    checkpoint = max((runs / "pairs" / "checkpoints").iterdir())
    models = [
        torch.load(checkpoint / f"rank-0000{rank}.pt", weights_only=True) for rank in range(4)
    ]
    first = _parameters(models[0])
    for model in models[1:]:
        other = _parameters(model)
        assert first.keys() == other.keys()
        assert all(torch.equal(first[name], other[name]) for name in first)


def test_one_worker_of_four_ranks_needs_no_other_island(runs: Path) -> None:
    assert set(open_run(runs / "one_worker").table("round")["worker"]) == {0}


def test_a_worker_that_diverges_is_refused_and_the_others_go_on(runs: Path) -> None:
    store = open_run(runs / "diverging")
    updates = store.table("outer_update")
    refused = updates["refused"] == 1
    assert set(updates["sender"][refused]) == {0}
    assert set(updates["reason"][refused]) == {"it is not finite"}
    assert np.all(np.isfinite(store.table("evaluation")["loss"]))


@pytest.mark.parametrize("name", ["overlap", "full", "async_pairs"])
def test_an_asynchronous_run_is_replayed_to_the_same_bits(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(runs / name) == 0
    assert "identical" in capsys.readouterr().out


@pytest.mark.skipif(not MPICH.exists(), reason=f"no MPICH at {MPICH}; `make setup` puts it there")
def test_mpich_trains_to_the_same_bits_as_open_mpi(runs: Path) -> None:
    config = runs / "tiny.toml"
    settings = [word for item in BY_METHOD["diloco"] for word in ("--set", item)]
    where = ("--set", f'run_dir="{runs}/mpich"')
    run(4, "train", config, *settings, *where, env={"MPI4PY_LIBMPI": str(MPICH)})
    assert fingerprints(runs / "mpich") == fingerprints(runs / "diloco")


def _parameters(part: object) -> dict[str, torch.Tensor]:
    """The tensors of the model in a part of a checkpoint, but for BatchNorm's own of each rank."""
    found: dict[str, torch.Tensor] = {}

    def visit(node: object, path: str) -> None:
        if isinstance(node, torch.Tensor) and "model" in path and "running" not in path:
            found[path] = node
        children = node.items() if isinstance(node, dict) else ()
        if isinstance(node, (list, tuple)):
            children = enumerate(node)
        for key, value in children:
            visit(value, f"{path}/{key}")

    visit(part, "")
    assert found
    return found
