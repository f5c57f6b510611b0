"""The state of one worker: as a learner, and as the home of fragments. Plain values throughout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain
from hpctrain.training.messages import Adopt, Push, TrainRound
from hpctrain.training.rules.rule import Array, OuterState

Phase = Literal["new", "training", "waiting", "leaving", "left", "finished"]


@plain
@dataclass(slots=True)
class LearnerState:
    """The learner's half.

    `training`: a round is under way; `waiting`: it is pushed and answers are missing; `leaving`:
    the round in progress is being cut short; `left`: every home was told; `finished`: all final
    fragments are here.
    """

    phase: Phase
    round: int
    versions: list[int]
    awaiting: list[int] = field(default_factory=list)
    arrived: dict[int, Array] = field(default_factory=dict)
    finals: dict[int, Array] = field(default_factory=dict)
    global_steps: int = 0
    stopping: bool = False
    last_round: int | None = None
    spent: float = 0.0


@plain
@dataclass(slots=True)
class HomeState:
    """The half that owns fragments, by fragment index.

    `steps` were taken by all workers, whether or not their result was accepted; `rounds` is the
    number of synchronous rounds that are over.
    `spent` is the energy of all workers, and `round_spent` that of the last round of each: the home
    of fragment 0 knows it.
    `collected` are pushes of synchronous rounds that are not complete: fragment -> round -> worker
    -> push.
    """

    outer: dict[int, OuterState]
    steps: dict[int, int]
    rounds: dict[int, int]
    left: list[WorkerId] = field(default_factory=list)
    collected: dict[int, dict[int, dict[int, Push]]] = field(default_factory=dict)
    budget_spent: bool = False
    closed: bool = False
    spent: float = 0.0
    round_spent: dict[WorkerId, float] = field(default_factory=dict)


@plain
@dataclass(slots=True)
class TrainingState:
    """`held` are orders that wait for a pause to end."""

    me: WorkerId
    learner: LearnerState
    home: HomeState
    held: list[TrainRound | Adopt] = field(default_factory=list)
