"""What workers of a search order from their ranks, and what they tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from hpctrain.core.plain import plain
from hpctrain.searching.record import Genome

Outcome = Literal["done", "failed", "stopped", "cancelled"]

# ---- orders and results -------------------------------------------------------------------------


@plain
@dataclass(frozen=True, slots=True)
class Evaluate:
    """Evaluate a candidate; `config` is its decoded genome."""

    number: int
    genome: Genome
    config: dict[str, Any]


@plain
@dataclass(frozen=True, slots=True)
class Evaluation:
    """How it went.

    Attributes:
        number: of the candidate.
        outcome: done; failed: an exception, a timeout, or a loss that is no finite number; stopped
            by a rule of fidelity; cancelled because the search ends.
        losses: one per objective; without meaning unless done.
        reason: why it is not done.
        took_s: seconds that it took.
        cost: as reported by the objective, in the user's unit; NaN if it was not.
        last_step: the last step for which it reported a value; -1 if for none.
        last_value: that value.
        spent: energy of the worker since its last evaluation ended, in the unit of the budget.
    """

    number: int
    outcome: Outcome
    losses: tuple[float, ...]
    reason: str = ""
    took_s: float = 0.0
    cost: float = float("nan")
    last_step: int = -1
    last_value: float = float("nan")
    spent: float = 0.0


@plain
@dataclass(frozen=True, slots=True)
class Interim:
    """A value on the way, such as the validation loss after an epoch; lower is better."""

    number: int
    step: int
    value: float


# ---- messages between workers -------------------------------------------------------------------


@plain
@dataclass(frozen=True, slots=True)
class Gossip:
    """News for a neighbour on the hypercube, packed by `wire`."""

    records: bytes
    interim: bytes = b""


@plain
@dataclass(frozen=True, slots=True)
class Migrants:
    """Candidates that come from another island."""

    records: bytes


@plain
@dataclass(slots=True)
class Tally:
    """What was done, as counts that can be added up."""

    finished: int = 0
    failed: int = 0
    stopped: int = 0
    cancelled: int = 0
    reused: int = 0
    busy_s: float = 0.0
    cost: float = 0.0
    best_loss: float = inf
    best_number: int = -1
    spent: float = 0.0

    def add(self, other: Tally) -> None:
        self.finished += other.finished
        self.failed += other.failed
        self.stopped += other.stopped
        self.cancelled += other.cancelled
        self.reused += other.reused
        self.busy_s += other.busy_s
        self.cost += other.cost
        self.spent += other.spent
        if other.best_loss < self.best_loss:
            self.best_loss, self.best_number = other.best_loss, other.best_number

    def count(self, outcome: Outcome, took_s: float, cost: float, spent: float = 0.0) -> None:
        """One more candidate."""
        match outcome:
            case "done":
                self.finished += 1
            case "failed":
                self.failed += 1
            case "stopped":
                self.stopped += 1
            case "cancelled":
                self.cancelled += 1
        self.busy_s += took_s
        self.cost += cost
        self.spent += spent

    @property
    def mean_s(self) -> float:
        """Seconds of an evaluation, those of no time at all included."""
        return self.busy_s / max(1, self.ended)

    @property
    def ended(self) -> int:
        """Candidates that need not be looked at again."""
        return self.finished + self.failed + self.stopped + self.cancelled + self.reused


@plain
@dataclass(frozen=True, slots=True)
class AskNumbers:
    """Please lease me numbers of candidates: `want` would be good, `idle` more have none left.

    `mean_s` is how long an evaluation takes here; 0 as long as that is not known.
    """

    idle: int
    want: int
    mean_s: float
    done: Tally


@plain
@dataclass(frozen=True, slots=True)
class Numbers:
    """A lease: half-open ranges of numbers."""

    ranges: tuple[tuple[int, int], ...]


@plain
@dataclass(frozen=True, slots=True)
class NoMore:
    """To those who wait for numbers: there are none left."""

    reason: str


@plain
@dataclass(frozen=True, slots=True)
class Wish:
    """To worker 0: the search should end."""

    reason: str
    cancel: bool


@plain
@dataclass(frozen=True, slots=True)
class StopSearch:
    """Begin no further candidate; with `cancel`, end the one in progress at its next pause."""

    reason: str
    cancel: bool


@plain
@dataclass(frozen=True, slots=True)
class LastWords:
    """To one's desk: I have evaluated my last candidate; `unused` numbers come back."""

    done: Tally
    unused: tuple[tuple[int, int], ...] = ()


@plain
@dataclass(frozen=True, slots=True)
class AllDone:
    """Everyone has: nobody waits for you any more."""
