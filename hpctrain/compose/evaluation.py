"""Held-out losses: when they are measured, by whom, and where they go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hpctrain.runtime.ports import Notebook
from hpctrain.training.messages import TrainRound

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.workloads.task import Task

DDP_ROUNDS = 50  # a round of ddp is a single step: by default every 50th is evaluated


class Evaluator:
    """Evaluates fresh outer parameters at the start of rounds, and the outcome at the end.

    A worker with a domain of its own evaluates that; without one the workers take turns.
    """

    def __init__(self, task: Task, notebook: Notebook, worker: int, every_rounds: int) -> None:
        self._task = task
        self._notebook = notebook
        self._worker = worker
        self._every = every_rounds
        self._count = 0

    def at_round(self, order: TrainRound) -> dict[str, float]:
        """Evaluate if it is time to."""
        if not self._every or order.round % self._every:
            return {}
        self._count += 1
        domains = self._task.domains
        turn = domains[(self._worker + self._count) % len(domains)]
        return self.evaluate(
            [self._task.own_domain or turn], order.round, order.version, order.global_steps
        )

    def evaluate(
        self, domains: Sequence[str], round: int, version: int, global_steps: int
    ) -> dict[str, float]:
        """Evaluate `domains` now and note the result."""
        losses = self._task.evaluate(list(domains))
        for domain, loss in losses.items():
            row = {"round": round, "version_mean": float(version), "global_steps": global_steps}
            self._notebook.note("evaluation", row | {"domain": domain, "loss": loss})
        return losses


def rounds_between_evaluations(config: RunConfig) -> int:
    """As asked; for `ddp`, whose rounds are steps, every 50 unless asked otherwise."""
    if config.method.name == "ddp" and "every_rounds" not in config.evaluate.model_fields_set:
        return DDP_ROUNDS
    return config.evaluate.every_rounds
