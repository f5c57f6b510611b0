"""Imagined energy of a simulation in two parts: nothing is booked twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hpctrain.compose.simulate import Simulation
from hpctrain.config import build_config
from hpctrain.storage.read import open_run

RUN: dict[str, Any] = {
    "task": {"factory": "tests.programs.tiny_task:task"},
    "method": {"name": "heloco", "sync_every": 5},
    "simulate": {"workers": 2, "step_s": [0.1, 0.2], "watts": 100.0, "idle_watts": 20.0},
    "progress": {"show": "none"},
}


def test_parts_of_a_run_add_up_to_what_the_whole_run_used(tmp_path: Path) -> None:
    own = {"run_dir": str(tmp_path / "run")}
    Simulation(build_config(RUN | own | {"stop": {"steps": 100}}, "test")).run()
    more = {"stop": {"steps": 200}, "checkpoint": {"resume": True}}
    Simulation(build_config(RUN | own | more, "test")).run()
    run = open_run(tmp_path / "run")
    rounds, rows = run.table("round"), run.table("energy")
    assert len(rows["joules"]) == 2 * 2 * 2  # parts, workers, phases
    assert rows["duration_s"].sum() == pytest.approx(2 * rounds["time_s"].max(), rel=0.02)
    compute_s = rows["duration_s"][rows["name"] == "compute"].sum()
    assert compute_s == pytest.approx(rounds["compute_s"].sum(), rel=0.02)
    joules = 100.0 * compute_s + 20.0 * (rows["duration_s"].sum() - compute_s)
    assert rows["joules"].sum() == pytest.approx(joules)
