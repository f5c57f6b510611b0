"""Candidates that are trainings themselves, on the ranks of their worker."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hpctrain.storage.read import open_run
from tests.mpi.launching import run, tiny_config

pytestmark = pytest.mark.mpi

SEARCH = """
[topology]
islands = "rank"
[search]
ranks_per_worker = 2
[search.stop]
evaluations = 4
[search.fidelity]
rule = "asha"
[search.space]
"method.sync_every" = [5, 10]
"method.outer_lr" = { low = 0.1, high = 0.9 }
"""


def test_trainings_on_two_ranks_each_are_searched_and_the_best_is_trained(tmp_path: Path) -> None:
    path = tiny_config(tmp_path, steps=120)
    path.write_text(path.read_text() + SEARCH)
    answer = run(4, "search", path, timeout_s=180)
    found = open_run(tmp_path / "run").table("candidate")
    assert sorted(found["number"]) == [0, 1, 2, 3]
    assert set(found["outcome"]) <= {"done", "stopped"}
    done = found["outcome"] == "done"
    for number, outer_lr in zip(
        found["number"][done], found["param.method.outer_lr"][done], strict=True
    ):
        trained = open_run(tmp_path / "run" / "candidates" / f"{number:06d}" / "run")
        assert len(trained.ranks) == 2
        assert trained.identity["config_resolved"]["method"]["outer_lr"] == outer_lr
        assert trained.table("round")["steps"].sum() >= 120
    values = open_run(tmp_path / "run").table("candidate_value")
    assert set(values["step"]) <= set(range(1, 10))
    assert len(values["step"]) >= 4
    best = tmp_path / "run" / "best.toml"
    numbers = dict(zip(found["number"].tolist(), found["loss"].tolist(), strict=True))
    winner = min((n for n, d in zip(found["number"], done, strict=True) if d), key=numbers.get)
    settings = tomllib.loads(best.read_text())
    place = found["number"].tolist().index(winner)
    assert settings["method"]["outer_lr"] == found["param.method.outer_lr"][place]
    assert "search" not in settings
    assert answer.stdout == ""  # progress.show is "none"
    run(2, "train", best, "--set", "stop.steps=40")
    assert (tmp_path / "run" / "best" / "final.pt").exists()


def test_a_parameter_that_is_no_setting_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = tiny_config(tmp_path, steps=120)
    path.write_text(path.read_text() + SEARCH.replace("outer_lr", "outer_rate"))
    answer = run(4, "search", path, code=2)
    assert "search.space" in answer.stderr
    assert "method.outer_rate: unknown key; did you mean outer_lr?" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "run").exists()
