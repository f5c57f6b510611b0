"""A cluster for all tests, and a directory in which each of them works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mpi.launching import TINY
from tests.slurm.bench import SEARCH, Bench
from tests.slurm.cluster import Cluster


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster


@pytest.fixture
def bench(slurm: Cluster, tmp_path: Path) -> Bench:
    tiny = TINY.format(method="heloco", sync_every=10, steps=400).replace('"none"', '"plain"')
    (tmp_path / "run.toml").write_text(f'run_dir = "runs/train"\n{tiny}')
    (tmp_path / "search.toml").write_text(SEARCH.format(evaluations=200, more=""))
    return Bench(slurm, tmp_path)
