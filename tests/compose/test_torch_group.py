"""What becomes of torch's process group when the interpreter ends."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
import torch

from hpctrain.compose import torch_group
from hpctrain.compose.torch_group import leave_worker_group, let_gloo_rest


def thread(threads: Path, number: int, name: str, state: str) -> None:
    (threads / str(number)).mkdir(parents=True, exist_ok=True)
    (threads / str(number) / "stat").write_text(f"{number} ({name}) {state} 1 2 3")


def test_a_process_group_of_ours_is_given_up_and_no_other() -> None:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    leave_worker_group(ours=False)
    assert torch.distributed.is_initialized()
    leave_worker_group(ours=True)
    assert not torch.distributed.is_initialized()
    leave_worker_group(ours=True)


def test_a_thread_of_gloo_that_still_works_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_group, "THREADS", tmp_path)
    thread(tmp_path, 7, "python", "R")
    thread(tmp_path, 8, "pt_gloo_runloop", "R")
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            thread(tmp_path, 8, "pt_gloo_runloop", "S")

    monkeypatch.setattr(torch_group.time, "sleep", nap)
    let_gloo_rest()
    assert len(naps) == 3


def test_the_wait_for_gloo_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_group, "THREADS", tmp_path)
    thread(tmp_path, 8, "pt_gloo_runloop", "R")
    began = monotonic()
    let_gloo_rest(patience_s=0.1)
    assert 0.1 <= monotonic() - began < 5


def test_without_gloo_nothing_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_group, "THREADS", tmp_path)
    thread(tmp_path, 7, "python", "R")
    monkeypatch.setattr(torch_group.time, "sleep", lambda seconds: pytest.fail("slept"))
    let_gloo_rest()
