"""A user's script with all the trimmings, alone and on islands, stopped and resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hpctrain.storage.read import open_run
from tests.mpi.launching import (
    ROOT,
    fingerprints,
    finish,
    rounds_so_far,
    run,
    wait_until,
)

SCRIPT = ROOT / "tests" / "programs" / "script.py"


def test_a_script_alone_stops_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    def command(*words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, SCRIPT, *words],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )  # fmt: skip

    whole, stopped = str(tmp_path / "whole"), str(tmp_path / "stopped")
    first = finish(command(whole))
    process = command(stopped, "slow")
    wait_until(lambda: rounds_so_far(Path(stopped)) >= 9)  # in the second epoch
    process.send_signal(signal.SIGTERM)
    assert "go on with resume=True" in finish(process).stdout
    second = finish(command(stopped, "resume"))
    assert fingerprints(Path(stopped)) == fingerprints(Path(whole))
    assert first.stdout == second.stdout  # the final model too
    reports = open_run(stopped).table("report")
    assert list(reports["value"][reports["name"] == "epoch"]) == [0, 1, 2, 3]


@pytest.mark.mpi
def test_a_script_on_two_islands_ends_with_the_same_model_everywhere(tmp_path: Path) -> None:
    answer = run(2, SCRIPT, tmp_path / "run")
    finals = [line for line in answer.stdout.splitlines() if line.startswith("finished")]
    assert len(finals) == 2
    assert finals[0] == finals[1]
    rounds = open_run(tmp_path / "run").table("round")
    assert set(rounds["worker"]) == {0, 1}
    assert rounds["tokens"].sum() == 4 * 512  # every sample once an epoch, on one of the islands


@pytest.mark.mpi
def test_a_script_that_fails_on_all_ranks_does_not_hang(tmp_path: Path) -> None:
    answer = run(2, "-c", "import hpctrain as ht; ht.init(method='dilco')", code=2)
    assert "dilco" in answer.stderr
    assert "Traceback" not in answer.stderr
