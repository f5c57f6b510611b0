"""Scripts whose model is wrapped in DDP, or sharded by FSDP2, over the ranks of each worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hpctrain.storage.read import open_run
from tests.mpi.launching import ROOT, fingerprints, finish, rounds_so_far, run, start, wait_until

pytestmark = [pytest.mark.mpi, pytest.mark.slow]

SCRIPT = ROOT / "tests" / "programs" / "wrapped.py"
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo"}
# Means of two gradients are exact but for the order of the sums inside a matrix product: sharded
# and whole models differ by some units in the last place, which AdamW makes into steps of 1e-7.
ROUND_OFF = {"rtol": 0.0, "atol": 1e-5}

ONE_WORKER = ["none-diloco", "ddp-diloco", "fsdp-diloco"]
TWO_WORKERS = [*ONE_WORKER, "none-ddp", "ddp-ddp", "fsdp-ddp", "ddp-heloco", "fsdp-heloco"]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases on one worker of two ranks, in one job."""
    folder = tmp_path_factory.mktemp("one")
    run(2, SCRIPT, folder, "1", *ONE_WORKER, env=LOOPBACK)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases on two workers of two ranks, in one job."""
    folder = tmp_path_factory.mktemp("two")
    run(4, SCRIPT, folder, "2", *TWO_WORKERS, env=LOOPBACK, timeout_s=240)
    return folder


@pytest.mark.parametrize("wrapping", ["ddp", "fsdp"])
def test_gradients_of_a_wrapped_model_are_averaged_exactly_once(wrapping: str, one: Path) -> None:
    ours, theirs = seen(one, "none-diloco", range(2)), seen(one, f"{wrapping}-diloco", range(2))
    assert_close(theirs[0]["model"], ours[0]["model"])


@pytest.mark.parametrize("method", ["diloco", "ddp"])
@pytest.mark.parametrize("wrapping", ["ddp", "fsdp"])
def test_two_wrapped_workers_learn_what_two_bare_ones_do(
    wrapping: str, method: str, two: Path
) -> None:
    ours, theirs = seen(two, f"none-{method}", range(4)), seen(two, f"{wrapping}-{method}", [0])
    assert_close(theirs[0]["model"], ours[0]["model"])


@pytest.mark.parametrize("case", TWO_WORKERS)
def test_all_ranks_end_with_the_same_outer_parameters(case: str, two: Path) -> None:
    first, *others = seen(two, case, range(4))
    for other in others:
        for name, tensor in first["model"].items():
            assert torch.equal(tensor, other["model"][name]), name


@pytest.mark.parametrize("case", TWO_WORKERS)
def test_the_final_model_is_whole_and_has_its_own_names(case: str, two: Path) -> None:
    final = torch.load(two / case / "final.pt", weights_only=True)
    (first,) = seen(two, case, [0])
    assert {name: tensor.shape for name, tensor in final.items()} == {
        "0.weight": (9, 7), "0.bias": (9,), "2.weight": (5, 9), "2.bias": (5,),
        "3.weight": (1, 5), "3.bias": (1,),
    }  # fmt: skip
    assert all(torch.equal(final[name], tensor) for name, tensor in first["model"].items())


def test_a_sharded_model_computes_with_the_outcome_after_an_evaluation(two: Path) -> None:
    for case in ("fsdp-diloco", "fsdp-heloco"):
        for rank in seen(two, case, range(4)):
            torch.testing.assert_close(rank["answer"], answer_of(rank["model"]))


def test_asynchronous_wrapped_workers_lose_no_step(two: Path) -> None:
    for case in ("ddp-heloco", "fsdp-heloco"):
        store = open_run(two / case)
        updates, trained = store.table("outer_update"), store.table("round")["steps"].sum()
        assert trained == 2 * 3 * 30  # workers, epochs, batches of each rank
        for fragment in set(updates["fragment"]):
            assert updates["steps"][updates["fragment"] == fragment].sum() == trained


def test_a_sharded_run_that_was_stopped_resumes_to_the_same_bits(two: Path) -> None:
    run_dir = two / "fsdp-diloco-stopped"
    process = start(4, SCRIPT, two, "2", "slow", run_dir.name, env=LOOPBACK)
    wait_until(lambda: rounds_so_far(run_dir) >= 10)
    process.send_signal(signal.SIGTERM)
    assert "go on with resume=True" in finish(process).stdout
    run(4, SCRIPT, two, "2", "resume", run_dir.name, env=LOOPBACK)
    assert fingerprints(run_dir) == fingerprints(two / "fsdp-diloco")
    assert open_run(run_dir).table("round")["steps"].sum() == 2 * 3 * 30


def test_shards_are_not_loaded_into_a_model_that_is_whole(one: Path) -> None:
    (one / "none-diloco-other").mkdir()
    os.rename(one / "fsdp-diloco", one / "none-diloco-other")
    answer = run(2, SCRIPT, one, "1", "resume", "none-diloco-other", code=None, env=LOOPBACK)
    assert "it is not sharded" in answer.stderr


def seen(folder: Path, case: str, ranks: Sequence[int]) -> list[dict[str, Any]]:
    """What each rank left of `case`."""
    return [torch.load(folder / f"{case}.{rank}.pt", weights_only=True) for rank in ranks]


def assert_close(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        torch.testing.assert_close(tensor, theirs[name], **ROUND_OFF)


def answer_of(parameters: dict[str, torch.Tensor]) -> torch.Tensor:
    """What the network of the script computes for ones."""
    linear = torch.nn.functional.linear
    x = torch.tanh(linear(torch.ones(1, 7), parameters["0.weight"], parameters["0.bias"]))
    for layer in ("2", "3"):
        x = linear(x, parameters[f"{layer}.weight"], parameters[f"{layer}.bias"])
    return x
