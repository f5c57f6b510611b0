"""The rows of the run store about rounds: steps, losses, bytes, and where the time went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from hpctrain.runtime.ports import Notebook
from hpctrain.training.messages import TrainRound
from hpctrain.workers.phases import Phases


@dataclass(slots=True)
class RoundLog:
    """Counts what happens in a round, and notes it at the round's end.

    Attributes:
        notebook: for rows of the run store.
        phases: what this rank does with its time.
        bytes_moved: bytes sent and received so far.
    """

    notebook: Notebook
    phases: Phases = field(default_factory=Phases)
    bytes_moved: Callable[[], tuple[int, int]] = lambda: (0, 0)
    _losses: list[torch.Tensor] = field(default_factory=list)
    _bytes_noted: tuple[int, int] = (0, 0)

    def loss(self, loss: torch.Tensor) -> None:
        """The loss of a step; it is not looked at before its round is noted."""
        self._losses.append(loss.detach())

    def closed(
        self, number: int, steps: int, tokens: int, version: int, global_steps: int
    ) -> Callable[[], None]:
        """Count for the next round from here on; the round's row is noted by the call returned."""
        sent, received = self.bytes_moved()
        losses, self._losses = self._losses, []
        row = {
            "round": number,
            "steps": steps,
            "tokens": tokens,
            "base_version_min": version,
            "global_steps": global_steps,
            "bytes_sent": sent - self._bytes_noted[0],
            "bytes_received": received - self._bytes_noted[1],
        } | self.phases.lap()
        self._bytes_noted = (sent, received)
        return lambda: self.notebook.note("round", {**row, "loss_mean": _mean(losses)})

    def closed_round(
        self, order: TrainRound, steps: int, tokens: int, global_steps: int
    ) -> Callable[[], None]:
        """As `closed`; a round without steps leaves no row."""
        if not steps:
            return lambda: None
        return self.closed(order.round, steps, tokens, order.version, global_steps)

    def saved(self) -> dict[str, Any]:
        """What a checkpoint keeps of the counts."""
        return {
            "bytes": list(self.bytes_moved()),
            "bytes_noted": list(self._bytes_noted),
            "phases": self.phases.saved(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on counting from `saved`."""
        self._bytes_noted = (saved["bytes_noted"][0], saved["bytes_noted"][1])
        self.phases.restore(saved["phases"])


def _mean(losses: list[torch.Tensor]) -> float:
    return float(torch.stack(losses).mean()) if losses else float("nan")
