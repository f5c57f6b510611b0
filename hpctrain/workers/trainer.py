"""The loop of `hpctrain train`: a task's batches through its model, one step at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from time import perf_counter, sleep
from typing import Any, Protocol

import torch

from hpctrain.workers.generators import OwnGenerators

AMP_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class TrainableTask(Protocol):
    """What the loop needs of a task; see `hpctrain.workloads.task.Task`."""

    @property
    def model(self) -> torch.nn.Module: ...

    @property
    def optimizer(self) -> torch.optim.Optimizer: ...

    @property
    def scheduler(self) -> Any: ...

    @property
    def clip_norm(self) -> float | None: ...

    def next_batch(self) -> Any: ...

    def loss(self, batch: Any) -> torch.Tensor: ...

    def num_tokens(self, batch: Any) -> int: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Trainer:
    """Takes the inner steps of one rank.

    Args:
        task: model, optimizer and data.
        count: told the tokens and the loss of each batch.
        amp: `bfloat16` or `float16`: mixed precision; `off`: none.
        step_s: no step is shorter than this many seconds: emulates a slower machine by sleeping.
        generators: this rank's global generators, where it shares the process with other ranks.
        average: averages the gradient over the ranks of the worker; called before clipping.
        pause: called when everything that belongs to a step is done.
    """

    def __init__(
        self,
        task: TrainableTask,
        count: Callable[[int, torch.Tensor], None],
        amp: str = "off",
        step_s: float = 0.0,
        generators: OwnGenerators | None = None,
        average: Callable[[], None] = lambda: None,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.task = task
        self._count = count
        self._device = next(task.model.parameters()).device.type
        self._dtype = AMP_DTYPES.get(amp)
        self.scaler = torch.amp.GradScaler(self._device, enabled=amp == "float16")
        self._step_s = step_s
        self.generators = generators
        self._average = average
        self._pause = pause
        task.model.train()

    def step(self) -> None:
        """One inner step."""
        began_s = perf_counter()
        self.compute_gradient()
        left_s = self._step_s - (perf_counter() - began_s)
        if left_s > 0:
            sleep(left_s)
        self.apply_gradient()
        self._pause()

    def compute_gradient(self) -> None:
        """Forward and backward on the next batch; clips."""
        with nullcontext() if self.generators is None else self.generators.active():
            self._backward()
        self._clip()

    def _backward(self) -> None:
        task = self.task
        batch = task.next_batch()
        task.optimizer.zero_grad(set_to_none=True)
        with self._precision():
            loss = task.loss(batch)
        self._count(task.num_tokens(batch), loss)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def _clip(self) -> None:
        task = self.task
        self._average()
        if task.clip_norm is not None:
            self.scaler.unscale_(task.optimizer)
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), task.clip_norm)

    def apply_gradient(self) -> None:
        """The optimizer's step, and the scheduler's."""
        self.scaler.step(self.task.optimizer)
        self.scaler.update()
        if self.task.scheduler is not None:
            self.task.scheduler.step()

    def apply_owed_gradient(self) -> None:
        """The step that a resumed run still owes: its gradient is there, and unscaled."""
        self.task.optimizer.step()
        if self.task.scheduler is not None:
            self.task.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        """Everything but the model: optimizer, scheduler, scaler, data."""
        scheduler = self.task.scheduler
        return {
            "optimizer": self.task.optimizer.state_dict(),
            "scheduler": None if scheduler is None else scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "task": self.task.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.task.optimizer.load_state_dict(state["optimizer"])
        if state["scheduler"] is not None:
            self.task.scheduler.load_state_dict(state["scheduler"])
        self.scaler.load_state_dict(state["scaler"])
        self.task.load_state_dict(state["task"])

    def _precision(self) -> AbstractContextManager[Any]:
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self._device, self._dtype)
