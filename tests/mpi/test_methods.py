"""Training under mpirun with what makes homes wait, and workers take steps by their speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpctrain.compose.replay import replay
from hpctrain.storage.read import open_run
from tests.mpi.launching import run, tiny_config, train_all

pytestmark = pytest.mark.mpi

PACE = ["pace.step_s=0.002", "pace.factors=[1, 1, 2, 4]"]
RUNS = {
    "grace": ["method.name=delayed_nesterov", "method.grace_s=0.05", "runtime.record=order"],
    "mean": ["method.name=mla", "method.grace_s=0.05", "method.group=mean"],
    "dylu": ["method.name=fedbuff", "method.local_steps=dylu", "runtime.record=full", *PACE],
    "groups": ["method.name=async_sgd", "method.local_steps=groups", "method.grace_s=0.01", *PACE],
    "quorum": ["method.name=diloco", "method.quorum=2", "method.grace_s=0.005", *PACE],
    "rda": ["method.name=rda", "method.quorum=0.5", "runtime.record=full", *PACE],
    "co2": ["method.name=co2", "method.outer_lr=0.5", "runtime.record=order"],
    "domains": ["method.name=mla", "method.domains=least_visited", "topology.data=own"],
    "galoco": ["method.name=galoco", "method.sync_every=20", "runtime.record=full", *PACE],
    "age_adam": ["method.name=age_adam", "method.arrival_weight=token_weighted"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of `RUNS` by four ranks, in one job."""
    config = tiny_config(tmp_path_factory.mktemp("runs"))
    return train_all(4, config, RUNS, timeout_s=300)


@pytest.mark.parametrize("name", RUNS)
def test_a_run_ends_and_loses_no_step(name: str, runs: Path) -> None:
    store = open_run(runs / name)
    rounds, updates = store.table("round"), store.table("outer_update")
    assert set(rounds["worker"]) == {0, 1, 2, 3}
    assert sum(rounds["steps"]) >= 240
    assert not np.any(updates["refused"] == 1)
    for fragment in set(updates["fragment"]):
        assert updates["steps"][updates["fragment"] == fragment].sum() == rounds["steps"].sum()
    assert np.all(np.isfinite(store.table("evaluation")["loss"]))


@pytest.mark.parametrize("name", ["grace", "dylu", "rda", "co2", "galoco"])
def test_a_run_with_timers_is_replayed_to_the_same_bits(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(runs / name) == 0
    assert "identical" in capsys.readouterr().out


def test_slow_workers_take_fewer_steps_when_steps_go_by_speed(runs: Path) -> None:
    rounds = open_run(runs / "dylu").table("round")
    later = rounds["round"] >= 2
    steps = [rounds["steps"][later & (rounds["worker"] == worker)].max() for worker in (0, 3)]
    assert steps[1] < steps[0] <= 10


def test_a_round_with_a_quorum_is_of_the_same_workers_in_all_fragments(runs: Path) -> None:
    updates = open_run(runs / "quorum").table("outer_update")
    fragments = sorted(set(updates["fragment"]))
    made = [list(updates["contributors"][updates["fragment"] == f]) for f in fragments]
    assert all(one == made[0] for one in made)
    assert min(made[0][:3]) >= 2


@pytest.mark.parametrize("name", ["grace", "quorum", "co2"])
def test_a_finished_run_goes_on_with_a_larger_budget(name: str, runs: Path) -> None:
    unrecorded = [item for item in RUNS[name] if not item.startswith("runtime.record")]
    settings = [word for item in unrecorded for word in ("--set", item)]
    more = ("--set", f'run_dir="{runs}/{name}"', "--set", "stop.steps=360", "--resume")
    run(4, "train", runs / "tiny.toml", *settings, *more)
    assert open_run(runs / name).table("round")["steps"].sum() >= 360
