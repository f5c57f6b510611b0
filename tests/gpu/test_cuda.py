"""The same behaviour on a GPU: run with `pytest -m gpu` where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hpctrain.compose.train import train
from hpctrain.config import load_config
from hpctrain.storage.read import open_run
from hpctrain.workers.replica import Replica
from tests.mpi.launching import ROOT, run, tiny_config

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


def test_a_reading_holds_the_values_of_the_moment_it_began() -> None:
    model = nn.Linear(4096, 4096, bias=False).to("cuda")
    with torch.no_grad():
        model.weight.fill_(1.0)
    replica = Replica(model)
    (fragment,) = replica.plan(num_workers=1)
    reading = replica.begin_read(fragment)
    with torch.no_grad():
        for _ in range(50):
            model.weight.add_(1.0)
    np.testing.assert_array_equal(reading.array(), np.ones(fragment.numel, np.float32))
    assert reading.ready()
    assert bool((model.weight == 51).all())


def test_a_reading_does_not_wait_for_the_device() -> None:
    model = nn.Linear(4096, 4096, bias=False).to("cuda")
    replica = Replica(model)
    (fragment,) = replica.plan(num_workers=1)
    replica.read(fragment)  # allocates the pinned memory, which waits
    torch.cuda.synchronize()
    torch.cuda._sleep(1_000_000_000)  # a step of about half a second
    reading = replica.begin_read(fragment)
    assert not reading.ready()
    reading.array()
    assert reading.ready()


def test_staging_memory_is_not_written_before_it_was_read() -> None:
    model = nn.Linear(2048, 2048, bias=False).to("cuda")
    replica = Replica(model)
    (fragment,) = replica.plan(num_workers=1)
    for number in range(20):
        replica.write(fragment, np.full(fragment.numel, number, np.float32))
        assert bool((model.weight == number).all())
    for number in range(20):  # nobody looks in between
        replica.write(fragment, np.full(fragment.numel, number, np.float32))
    assert bool((model.weight == 19).all())


@pytest.mark.parametrize("overlap", ["false", "true"])
def test_no_step_is_lost_between_the_gpu_and_the_homes(overlap: str, tmp_path: Path) -> None:
    config = load_config(
        tiny_config(tmp_path),
        [
            "task.factory='hpctrain.workloads.bytelm:task'", "runtime.device=cuda",
            "method.name=mla", f"method.overlap={overlap}", "stop.steps=100",
        ],
    )  # fmt: skip
    assert train(config) == 0
    store = open_run(tmp_path / "run")
    updates, rounds = store.table("outer_update"), store.table("round")
    for fragment in set(updates["fragment"]):
        merged = updates["steps"][updates["fragment"] == fragment].sum()
        assert merged == rounds["steps"].sum()


@pytest.mark.parametrize("case", ["none-diloco", "ddp-diloco", "fsdp-diloco", "fsdp-heloco"])
def test_a_wrapped_model_of_one_rank_is_trained_and_saved_whole(case: str, tmp_path: Path) -> None:
    script = ROOT / "tests" / "programs" / "wrapped.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, script, tmp_path, "1", "cuda", case],
        check=True, timeout=120, env=environment,
    )  # fmt: skip
    final = torch.load(tmp_path / case / "final.pt", weights_only=True)
    left = torch.load(tmp_path / f"{case}.0.pt", weights_only=True)
    assert all(torch.equal(final[name], tensor) for name, tensor in left["model"].items())


@pytest.mark.mpi
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="torch sees fewer than two GPUs")
def test_two_gpus_of_a_worker_learn_what_their_mean_does(tmp_path: Path) -> None:
    cases = ["none-diloco", "ddp-diloco", "fsdp-diloco"]
    run(2, ROOT / "tests" / "programs" / "wrapped.py", tmp_path, "1", "cuda", *cases)
    bare, *wrapped = [
        torch.load(tmp_path / f"{case}.0.pt", weights_only=True)["model"] for case in cases
    ]
    for model in wrapped:
        for name, tensor in model.items():
            # AdamW makes the last bits of a gradient near zero into steps of up to lr = 0.01.
            torch.testing.assert_close(tensor, bare[name], rtol=0, atol=1e-2)
