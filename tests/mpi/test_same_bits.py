"""One run, three ways: on MPI, in virtual time, and as threads, following the same recording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.mpi.launching import ROOT, fingerprints, run, tiny_config

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("overlap", ["false", "true"])
def test_mpi_follows_a_simulated_run_to_the_same_bits(overlap: str, tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "heloco")
    same = ("--set", f"method.overlap={overlap}", "--set", "runtime.threads_per_rank=1")
    _hpctrain(
        "simulate", config, "--workers", "3", "--set", "simulate.step_s=[0.01, 0.017, 0.043]",
        "--set", "runtime.record='order'", "--set", f'run_dir="{tmp_path}/simulated"', *same,
    )  # fmt: skip
    run(3, "train", config, *same, "--set", f'runtime.follow="{tmp_path}/simulated"')
    assert fingerprints(tmp_path / "run") == fingerprints(tmp_path / "simulated")


@pytest.mark.parametrize("record", ["order", "full"])
def test_an_asynchronous_run_on_mpi_is_replayed_to_the_same_bits(
    record: str, tmp_path: Path
) -> None:
    config = tiny_config(tmp_path, "heloco")
    run(3, "train", config, "--set", f"runtime.record='{record}'", "--set", "method.overlap=true")
    answer = _hpctrain("replay", tmp_path / "run")
    assert "identical" in answer.stdout


def test_workers_of_two_ranks_are_replayed_too(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, "mla")
    run(4, "train", config, "--set", "topology.islands=2", "--set", "runtime.record='order'")
    assert "identical" in _hpctrain("replay", tmp_path / "run").stdout


def _hpctrain(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "hpctrain", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done
