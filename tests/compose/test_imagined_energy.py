"""Imagined energy of a simulation in two parts: nothing is booked twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hpctrain.cli import main
from hpctrain.storage.read import open_run

RUN = """
run_dir = "{folder}/run"
task.factory = "tests.programs.tiny_task:task"
method.sync_every = 5
stop.steps = 100
simulate = {{ workers = 2, step_s = [0.1, 0.2], watts = 100.0, idle_watts = 20.0 }}
progress.show = "none"
"""


@pytest.mark.slow
def test_parts_of_a_run_add_up_to_what_the_whole_run_used(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(RUN.format(folder=tmp_path))
    for more in ((), ("--resume", "--set", "stop.steps=200")):
        done = CliRunner().invoke(main, ["simulate", str(path), *more])
        assert done.exit_code == 0, done.output
    run = open_run(tmp_path / "run")
    end_s, rows = run.table("round")["time_s"].max(), run.table("energy")
    assert rows["duration_s"].sum() == pytest.approx(2 * end_s, rel=0.02)
    compute = rows["name"] == "compute"
    assert rows["joules"][compute].sum() == pytest.approx(100.0 * rows["duration_s"][compute].sum())
    assert rows["duration_s"][compute].sum() == pytest.approx(
        sum(run.table("round")["compute_s"]), rel=0.02
    )
