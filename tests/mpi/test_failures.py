"""Nobody hangs: a rank that fails, a launcher of another MPI, settings that are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hpctrain.storage.read import open_run
from tests.mpi.launching import MPICH, ROOT, run, tiny_config

pytestmark = pytest.mark.mpi


def test_an_exception_on_one_rank_ends_the_job_with_its_traceback(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "diloco", steps=10**7)  # the others wait for its pushes
    began_s = time.monotonic()
    answer = run(
        3, "train", config, "--set", "task.options.fail_at=30",
        "--set", "task.options.fail_rank=1000000", code=None, timeout_s=90,
    )  # fmt: skip
    assert time.monotonic() - began_s < 80
    assert "[rank 1] RuntimeError: the tiny task fails on purpose" in answer.stderr
    events = open_run(tmp_path / "run").table("event")
    assert "abort" in set(events["kind"])


@pytest.mark.skipif(not MPICH.exists(), reason=f"no MPICH at {MPICH}; `make setup` puts it there")
def test_the_launcher_of_another_mpi_is_an_error_and_not_n_runs(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    answer = subprocess.run(
        [
            MPICH.parents[1] / "bin" / "mpiexec", "-n", "2",
            sys.executable, "-m", "hpctrain", "train", config,
        ],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "OMPI_MCA_btl": "self"},
    )  # fmt: skip
    assert answer.returncode != 0
    assert "started 2 ranks, but MPI sees 1" in answer.stderr
    assert not (tmp_path / "run").exists()


def test_settings_that_do_not_fit_the_ranks_end_every_rank_with_one_line(tmp_path: Path) -> None:
    answer = run(3, "train", tiny_config(tmp_path), "--set", "topology.islands=2", code=2)
    assert "topology.islands" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "run").exists()
