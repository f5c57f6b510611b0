"""The same behaviour on a GPU: run with `pytest -m gpu` where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hpctrain.compose import train
from hpctrain.config import load_config
from hpctrain.storage.read import open_run
from hpctrain.workers.replica import Replica
from tests.mpi.launching import tiny_config

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU"),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fragments_go_to_the_gpu_and_back(dtype: torch.dtype) -> None:
    replica = Replica(nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64)).to("cuda", dtype))
    for fragment in replica.plan(num_workers=2):
        values = np.arange(fragment.numel, dtype=np.float32) % 200
        replica.write(fragment, values)
        read = replica.read(fragment)
        np.testing.assert_array_equal(read, values)
        assert torch.from_numpy(read).is_pinned()


def test_writing_waits_for_the_steps_that_are_under_way() -> None:
    model = nn.Linear(2048, 2048).to("cuda")
    replica = Replica(model)
    (fragment,) = replica.plan(num_workers=1)
    with torch.no_grad():
        for _ in range(50):
            model.weight.mul_(1.0)
    replica.write(fragment, np.ones(fragment.numel, np.float32))
    assert bool((model.weight == 1).all())


@pytest.mark.parametrize("amp", ["off", "bfloat16", "float16"])
def test_the_language_model_learns_on_a_gpu(amp: str, tmp_path: Path) -> None:
    config = load_config(
        tiny_config(tmp_path),
        [
            "task.factory='hpctrain.workloads.bytelm:task'", "runtime.device=cuda",
            f"runtime.amp={amp}", "stop.steps=120",
        ],
    )  # fmt: skip
    assert train(config) == 0
    losses = open_run(tmp_path / "run").table("evaluation")["loss"]
    assert losses[-1] < 4.0  # untrained: 5.5
