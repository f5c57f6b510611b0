"""Rounds that come late to the host, on MPI: with and without a service thread, and recorded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpctrain.compose.replay import replay
from hpctrain.storage.read import open_run
from tests.mpi.launching import ROOT, run, tiny_config

pytestmark = pytest.mark.mpi

COMMON = ["method.overlap=true", "runtime.record=order", "task.options.sleep_s=0.004"]
RUNS = {
    "served": ["runtime.service_thread=true"],
    "unserved": ["runtime.service_thread=false"],
    "pairs": ["runtime.service_thread=true", "topology.islands=2"],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs of `RUNS` by four ranks, in one job."""
    config = tiny_config(tmp_path_factory.mktemp("late"), "mla")
    words: list[str] = []
    for name, settings in RUNS.items():
        words += ["--"] if words else []
        words += [f'run_dir="{config.parent}/{name}"', *COMMON, *settings]
    answer = run(4, ROOT / "tests" / "programs" / "late.py", config, *words)
    asked = [int(n) for n in re.findall(r"not yet: (\d+)", answer.stdout)]
    assert len(asked) == 4
    assert max(asked) > 20  # several in each of the rounds of a leader
    return config.parent


@pytest.mark.parametrize("name", RUNS)
def test_no_step_of_a_late_round_is_lost(name: str, runs: Path) -> None:
    store = open_run(runs / name)
    updates, trained = store.table("outer_update"), store.table("round")["steps"].sum()
    assert trained >= 240
    for fragment in set(updates["fragment"]):
        assert updates["steps"][updates["fragment"] == fragment].sum() == trained


@pytest.mark.parametrize("name", RUNS)
def test_a_late_run_is_replayed_by_one_that_is_not_to_the_same_bits(
    name: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay(runs / name) == 0
    assert "identical" in capsys.readouterr().out
