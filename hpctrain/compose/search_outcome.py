"""What a search has found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpctrain.errors import HpctrainError


@dataclass(frozen=True, slots=True)
class Found:
    """One candidate of the outcome.

    Attributes:
        config: its parameters.
        losses: one per objective.
        number: of the candidate.
    """

    config: dict[str, Any]
    losses: tuple[float, ...]
    number: int

    @property
    def loss(self) -> float:
        return self.losses[0]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search has found; the same on all ranks.

    Attributes:
        front: the candidates that none dominates, by the first loss; one with a single objective.
        evaluations: finished, in all parts of the run.
        failed, stopped, cancelled, reused: likewise; see the guide.
        cost: as reported by the objective.
        seconds: on the clock of the run.
        reason: why it ended.
        run_dir: where everything lies.
        energy_j: joules of all hosts in this part of the run; None without readings.
        energy: the same for people, with what kind of number it is.
    """

    front: tuple[Found, ...]
    evaluations: int
    failed: int
    stopped: int
    cancelled: int
    reused: int
    cost: float
    seconds: float
    reason: str
    run_dir: Path
    energy_j: float | None = None
    energy: str = ""

    @property
    def found(self) -> bool:
        return bool(self.front)

    @property
    def best(self) -> Found:
        """The best by the first objective.

        Raises:
            HpctrainError: if no evaluation gave a usable loss.
        """
        if not self.front:
            raise HpctrainError(
                f"the search in {self.run_dir} has no usable evaluation: {self.failed} failed; "
                f"`hpctrain show {self.run_dir}` says why"
            )
        return self.front[0]
