"""What a simulation writes down: all of its messages; and the same schedule without work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.compose.simulate import Simulation
from hpctrain.compose.studies.one_run import run_once
from hpctrain.config import build_config
from hpctrain.storage.read import open_run


def simulated(folder: Path, **more: Any) -> tuple[Simulation, Any]:
    settings = {
        "task": {"factory": "tests.programs.tiny_task:task"},
        "method": {"name": "galoco", "sync_every": 10},
        "simulate": {"workers": 3, "step_s": [0.1, 0.4, 0.4]},
        "progress": {"show": "none"},
        "stop": {"steps": 300},
        "run_dir": str(folder),
    } | more
    simulation = Simulation(build_config(settings, "test"))
    assert simulation.run() == 0
    return simulation, open_run(folder)


@pytest.mark.parametrize("name", ["galoco", "heloco", "diloco", "ddp"])
def test_the_store_has_all_bytes_and_all_of_the_time(tmp_path: Path, name: str) -> None:
    method = {"name": name, "sync_every": 1 if name == "ddp" else 10}
    simulation, run = simulated(tmp_path, method=method)
    rounds = run.table("round")
    assert rounds["bytes_sent"].sum() == sum(simulation.simulator.bytes_sent)
    for me in range(3):
        mine = rounds["worker"] == me
        passed_s = rounds["compute_s"][mine].sum() + rounds["wait_s"][mine].sum()
        assert passed_s == pytest.approx(simulation.simulator.now_s())


def test_without_work_the_schedule_is_the_same(tmp_path: Path) -> None:
    costs = {"workers": 3, "step_s": [0.1, 0.4, 0.4]}
    tables = [
        simulated(tmp_path / work, simulate=costs | {"work": work})[1].table("round")
        for work in ("train", "timing")
    ]
    for column in ("worker", "round", "steps", "bytes_sent", "time_s"):
        np.testing.assert_array_equal(tables[0][column], tables[1][column], column)


def test_a_run_of_a_study_tells_of_all_workers_of_an_island() -> None:
    outcome = run_once({
        "task": {"factory": "tests.programs.tiny_task:task"},
        "topology": {"islands": 2},
        "simulate": {"workers": 4, "step_s": [0.1, 0.1, 0.4, 0.4]},
        "progress": {"show": "none"},
        "stop": {"steps": 300},
    })  # fmt: skip
    assert len(outcome["idle"]) == len(outcome["weight"]) == 4
    assert sum(outcome["steps_by_worker"]) == outcome["steps"] >= 300
