"""A cluster for all tests, and a directory in which each of them works.

HPCTRAIN_SLURM_MINUTES bounds the time of all of them: a test that would begin later is skipped, and
says so. CI sets it; `make test-slurm` has no bound.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mpi.launching import TINY
from tests.slurm.bench import SEARCH, Bench
from tests.slurm.cluster import Cluster

BEGAN_S = time.monotonic()
MINUTES = "HPCTRAIN_SLURM_MINUTES"


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
    except (AssertionError, OSError, RuntimeError, subprocess.SubprocessError) as error:
        pytest.skip(f"Slurm does not start on this machine: {error}")  # nothing of ours has run yet
    yield cluster
    cluster.stop()


@pytest.fixture
def bench(slurm: Cluster, tmp_path: Path) -> Bench:
    minutes = os.environ.get(MINUTES)
    if minutes is not None and time.monotonic() - BEGAN_S > 60 * float(minutes):
        pytest.skip(f"the {minutes} minutes of {MINUTES} are over; `make test-slurm` runs it")
    tiny = TINY.format(method="heloco", sync_every=10, steps=400).replace('"none"', '"plain"')
    (tmp_path / "run.toml").write_text(f'run_dir = "runs/train"\n{tiny}')
    (tmp_path / "search.toml").write_text(SEARCH.format(evaluations=200, more=""))
    return Bench(slurm, tmp_path)
