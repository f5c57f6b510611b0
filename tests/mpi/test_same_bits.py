"""One run in virtual time and on MPI, following the same recording: the same bits on every home."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpctrain.compose.simulate import simulate
from hpctrain.config import load_config
from tests.mpi.launching import fingerprints, tiny_config, train_all

pytestmark = pytest.mark.mpi

CASES = {
    "heloco": ["method.name=heloco"],
    "overlap": ["method.name=mla", "method.overlap=true"],
    "ddp": ["method.name=ddp", "method.sync_every=1"],
    "grace": ["method.name=delayed_nesterov", "method.grace_s=0.1"],
    "quorum": ["method.name=rda", "method.quorum=2", "method.grace_s=0.02"],
    "co2": ["method.name=co2", "method.outer_lr=0.5"],
}


def test_mpi_follows_simulated_runs_to_the_same_bits(tmp_path: Path) -> None:
    config = tiny_config(tmp_path)
    same = ["runtime.threads_per_rank=1", "stop.steps=150"]
    for name, overrides in CASES.items():
        assert simulate(load_config(config, [
            *overrides, *same, "simulate.workers=3", "simulate.step_s=[0.01, 0.017, 0.043]",
            "runtime.record=order", f'run_dir="{tmp_path}/{name}"',
        ])) == 0  # fmt: skip
    train_all(3, config, {
        f"{name}_mpi": [*overrides, *same, f'runtime.follow="{tmp_path}/{name}"']
        for name, overrides in CASES.items()
    })  # fmt: skip
    for name in CASES:
        assert fingerprints(tmp_path / f"{name}_mpi") == fingerprints(tmp_path / name), name
