"""A task that takes no time: a small network with BatchNorm on data that it makes itself."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpctrain.core.seeds import stream
from hpctrain.workloads.task import TaskContext
from tests.programs.uncompiled import leave_out

if "OMPI_COMM_WORLD_SIZE" in os.environ or "PMI_SIZE" in os.environ:  # not within pytest
    leave_out()


def task(context: TaskContext) -> TinyTask:
    return TinyTask(context)


class TinyTask:
    """Regression on a line. Options: `fail_at`, `nan_at` (a step), `fail_rank`, `sleep_s`."""

    clip_norm = None
    scheduler = None
    domains = ("even", "odd")

    def __init__(self, context: TaskContext) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(stream(context.seed, 0, "tiny"))
            self.model = nn.Sequential(
                nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 1)
            )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-2)
        self.own_domain = self.domains[context.island % 2]
        self._context = context
        self._step = 0

    def next_batch(self) -> tuple[Tensor, Tensor]:
        options = self._context.options
        time.sleep(float(options.get("sleep_s", 0.0)))
        mine = options.get("fail_rank", 0) == self._context.stream_id
        if mine and self._step == options.get("fail_at", -1):
            raise RuntimeError("the tiny task fails on purpose")
        self._step += 1
        seed = stream(self._context.seed, self._context.stream_id, f"batch {self._step}")
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(seed))
        if mine and self._step == options.get("nan_at", -1):
            x = x * float("nan")
        return x, x[:, :1] * 2 + x[:, 1:2]

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.mse_loss(self.model(batch[0]), batch[1])

    def train_on(self, domain: str) -> None:
        self.own_domain = domain

    def num_tokens(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[0])

    def evaluate(self, domains: Sequence[str] | None = None) -> dict[str, float]:
        x = torch.randn(64, 8, generator=torch.Generator().manual_seed(7))
        self.model.eval()
        with torch.no_grad():
            loss = float(nn.functional.mse_loss(self.model(x), x[:, :1] * 2 + x[:, 1:2]))
        self.model.train()
        return dict.fromkeys(domains or self.domains, loss)

    def state_dict(self) -> dict[str, Any]:
        return {"step": self._step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._step = state["step"]
