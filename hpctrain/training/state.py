"""The state of one worker: as a learner, and as the home of fragments. Plain values throughout."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain
from hpctrain.training.guard import Lengths
from hpctrain.training.local_steps import Paces
from hpctrain.training.messages import Adopt, Fresh, Push, TrainRound
from hpctrain.training.rules.rule import Array, OuterState
from hpctrain.training.weights import PushCounts

# Names of timers begin with these.
WINDOW = "window"
ROUND = "round"

Phase = Literal["new", "training", "waiting", "leaving", "left", "finished"]


@plain
@dataclass(slots=True)
class LearnerState:
    """The learner's half.

    `training`: a round is under way; `waiting`: it is pushed and answers are missing; `leaving`:
    the round in progress is being cut short; `left`: every home was told; `finished`: all final
    fragments are here.
    `steps` are those of the next round, as told; 0: sync_every.
    With a delay, `unmerged` counts own pushes whose mean no round has started from, and `queues`
    holds the answers to them, by fragment.
    `due_s`: when the round in progress is to end by the clock; 0: it is not known yet. `step_s`:
    how long a step took in the last round, 0 where nobody asks; `ended_s`: when that ended.
    `spent`, `sent` and `next_spent` are as in `Fresh` and `Final`.
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
    steps: int = 0
    unmerged: int = 0
    queues: dict[int, list[Fresh]] = field(default_factory=dict)
    domain: int | None = None
    due_s: float = 0.0
    step_s: float = 0.0
    ended_s: float = 0.0
    sent: float = 0.0
    next_spent: float = 0.0


@plain
@dataclass(slots=True)
class Window:
    """A time in which a home waits for more: to answer together, or to complete a quorum.

    `senders` are to be answered when it closes; their `pushes` are here if they are merged then.
    """

    number: int
    closes_s: float
    senders: list[WorkerId] = field(default_factory=list)
    pushes: dict[WorkerId, Push] = field(default_factory=dict)

    def timer(self, fragment: int) -> str:
        """The name of its timer, which no other window has."""
        return f"{WINDOW} {fragment}/{self.number}"


@plain
@dataclass(slots=True)
class HomeState:
    """The half that owns fragments, by fragment index.

    `steps` were taken by all workers, whether or not their result was accepted; `rounds` is the
    number of synchronous rounds that are over.
    `spent` is the energy of all workers, and `round_spent` that of the last round of each; `sent`
    are the bytes of all pushes and their answers, if they are limited: the home of fragment 0 knows
    these.
    `collected` are pushes of synchronous rounds that are not complete: fragment -> round -> worker
    -> push.
    With a quorum they are in `pools`, fragment -> worker -> push; `members` are rounds that the
    home of fragment 0 has called and that are not merged here yet. `windows` are open, by fragment.
    `visits` are the inner steps given out in each domain, where workers change theirs.
    `ending`: the run's budget is spent, no window opens any more; `left_before` had left by then.
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
    windows: dict[int, Window] = field(default_factory=dict)
    num_windows: int = 0
    pools: dict[int, dict[WorkerId, Push]] = field(default_factory=dict)
    members: dict[int, list[tuple[WorkerId, ...]]] = field(default_factory=dict)
    ending: bool = False
    tallies: dict[int, PushCounts] = field(default_factory=dict)
    lengths: dict[int, Lengths] = field(default_factory=dict)
    paces: Paces = field(default_factory=Paces)
    visits: list[int] = field(default_factory=list)
    sent: float = 0.0
    left_before: list[WorkerId] = field(default_factory=list)


@plain
@dataclass(slots=True)
class TrainingState:
    """`held` are orders that wait for a pause to end."""

    me: WorkerId
    learner: LearnerState
    home: HomeState
    held: list[TrainRound | Adopt] = field(default_factory=list)
