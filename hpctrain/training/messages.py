"""What workers and homes tell each other, and what is ordered from the ranks of a worker.

Arrays are flat float32 of the fragment's length and are never written again once they are in a
message.
"""

from __future__ import annotations

from dataclasses import dataclass

from hpctrain.core.plain import plain
from hpctrain.training.fragments import Fragment
from hpctrain.training.rules.rule import Array


@plain
@dataclass(frozen=True, slots=True)
class Push:
    """Worker to home: what a round of training learned about a fragment.

    `data` is the pseudo-gradient `theta_start - theta_end`; of a buffer fragment the values
    themselves; for `ddp` the gradient of one step. `base_version` is the home's version that the
    round started from. `spent` is the energy of the round, in the unit of the budget; it is told
    with fragment 0. `speed` is in steps per second of computing, 0 where nobody asks.
    """

    fragment: int
    round: int
    base_version: int
    steps: int
    tokens: int
    data: Array
    spent: float = 0.0
    speed: float = 0.0


@plain
@dataclass(frozen=True, slots=True)
class Fresh:
    """Home to worker: the fragment to go on from, after `global_steps` of all workers.

    `spent` is the energy of all of them until then, as far as the home of fragment 0 knows, and
    `sent` the bytes that they have exchanged, if those are limited. It may also tell the inner
    steps of the worker's rounds from now on, the domain of the next one, and in how many seconds
    the round in progress is to end.
    """

    fragment: int
    version: int
    global_steps: int
    data: Array
    spent: float = 0.0
    next_steps: int | None = None
    domain: int | None = None
    ends_in_s: float | None = None
    sent: float = 0.0


@plain
@dataclass(frozen=True, slots=True)
class Members:
    """Home of fragment 0 to the others: whose pushes make the next round, with a quorum.

    So a round is of the same workers in all fragments, and nobody can wait for a home that waits
    for somebody who waits for another home.
    """

    workers: tuple[int, ...]


@plain
@dataclass(frozen=True, slots=True)
class Leave:
    """Worker to homes: no push of mine will follow."""


@plain
@dataclass(frozen=True, slots=True)
class Final:
    """Home to worker: everyone has left; this is how the fragment ended.

    `rounds` is the number of synchronous rounds so far, also for who has missed some of them. The
    home of fragment 0 also tells what was spent and sent, as in `Fresh`, and what another round of
    all was expected to spend, `next_spent`: so all know alike whether a budget is spent.
    """

    fragment: int
    version: int
    global_steps: int
    rounds: int
    data: Array
    spent: float = 0.0
    sent: float = 0.0
    next_spent: float = 0.0


@plain
@dataclass(frozen=True, slots=True)
class BudgetSpent:
    """Home of fragment 0 to all: the run's budget is spent; push what you have, and leave.

    With a `last_round`, finish that one first: replicas of `ddp` are alike only after whole rounds.
    """

    reason: str
    last_round: int | None = None


@plain
@dataclass(frozen=True, slots=True)
class TrainRound:
    """Order: adopt the fragments in `adopt`, then take `steps` inner steps.

    `version` is the oldest base version among the fragments. With overlap, `expects` names the
    fragments whose answers are still under way: each comes as an `Adopt`, and the round does not
    end before they are merged (a pseudo-gradient taken from the old start would count the last
    round twice). `again` names fragments that are to be set back to what the last round started
    from (`co2`, before the first mean is there). `domain` is what to train on, where that changes.
    `sent` is as in `Fresh`.
    """

    round: int
    steps: int
    version: int
    global_steps: int
    adopt: dict[int, Array]
    expects: tuple[int, ...]
    again: tuple[int, ...] = ()
    domain: int | None = None
    sent: float = 0.0


@plain
@dataclass(frozen=True, slots=True)
class Adopt:
    """Order in the middle of a round: merge a fresh fragment, keep the steps since the push."""

    fragment: int
    version: int
    global_steps: int
    data: Array


@plain
@dataclass(frozen=True, slots=True)
class AdoptFinal:
    """Order: the run has ended; these are the final fragments."""

    global_steps: int
    adopt: dict[int, Array]


@plain
@dataclass(frozen=True, slots=True)
class Initial:
    """The head of a full recording: the fragments of the run and their initial values."""

    fragments: tuple[Fragment, ...]
    values: list[Array]


@plain
@dataclass(frozen=True, slots=True)
class RoundTrained:
    """Result of `TrainRound`: one array per fragment, as in `Push.data`.

    `steps` may be fewer than ordered; `spent` is the energy since the last round. `seconds` of
    computing are told where local steps depend on them.
    """

    round: int
    steps: int
    tokens: int
    data: list[Array]
    spent: float = 0.0
    seconds: float = 0.0
