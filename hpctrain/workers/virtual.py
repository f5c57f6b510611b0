"""A worker's ranks in virtual time: real inner steps, taken when their results are needed.

Steps are taken lazily: all that matters is that those before a merge are taken before it, and those
after it after. So a merge in the middle of a round (overlap) or a round cut short happens at the
very step at which it would happen on a machine with the speeds of the cost model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from hpctrain.core.events import Done, WorkerId
from hpctrain.core.plain import plain
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.simulator import Simulator
from hpctrain.training.messages import Adopt, AdoptFinal, RoundTrained, TrainRound
from hpctrain.workers.rounds import Round


class Trainee(Protocol):
    """Takes inner steps; `Trainer` does."""

    def compute_gradient(self) -> None: ...

    def apply_gradient(self) -> None: ...


class NoWork:
    """Takes no steps at all: for simulations of time and traffic alone."""

    def compute_gradient(self) -> None:
        """Do nothing."""

    def apply_gradient(self) -> None:
        """Do nothing."""


@plain
@dataclass(slots=True)
class VirtualState:
    """Where a worker is within its round; a plain value."""

    ticket: int = 0
    began_s: float = 0.0
    step_s: float = 0.0
    last_step: int = 0  # of this round: fewer than ordered once it is cancelled
    taken: int = 0  # of this round
    before: int = 0  # of earlier rounds
    due: bool = False  # the last step is taken, but fragments are still to be merged
    gradient_owed: bool = False  # ddp: the mean gradient is there, the optimizer has not used it


class VirtualWorker:
    """`VirtualWorkplace` for training.

    Args:
        me: this worker.
        round: its model and what it owes.
        trainee: takes the steps.
        simulator: keeps the time.
        on_round: told when a round has begun with fresh parameters.
        on_result: told the round and its result, for the run store.
        spend: energy since the last round ended, in the unit of the budget, given the seconds of
            computing in it.
    """

    def __init__(
        self,
        me: WorkerId,
        round: Round,
        trainee: Trainee,
        simulator: Simulator,
        on_round: Callable[[TrainRound], None] = lambda order: None,
        on_result: Callable[[TrainRound, RoundTrained, float], None] = lambda o, r, s: None,
        spend: Callable[[float], float] = lambda compute_s: 0.0,
    ) -> None:
        self.state = VirtualState()
        self.round = round
        self.driver: Driver[Any] | None = None
        self._me = me
        self._trainee = trainee
        self._simulator = simulator
        self._on_round = on_round
        self._on_result = on_result
        self._spend = spend
        round.seconds = self._computed_s

    def steps_done(self) -> int:
        """Inner steps completed by now, on the machine that is imagined."""
        state = self.state
        taken = state.taken
        if self.round.state.order is not None:
            taken = max(taken, self._steps_at(self._simulator.now_s(), math.floor))
        return state.before + taken - state.gradient_owed  # ddp: a step ends with its mean applied

    def order(self, work: Any) -> None:
        match work:
            case TrainRound():
                self._begin(work)
            case Adopt():
                self._advance(self._steps_at(self._simulator.now_s(), math.ceil))
                self.round.merge(work)
                self._carried_out()
                if self.state.due:
                    self._end_if_complete()
            case AdoptFinal():
                self.round.adopt_final(work)
                self._carried_out()

    def cancel(self, reason: str) -> None:
        state = self.state
        state.last_step = self._steps_at(self._simulator.now_s(), math.ceil)
        self.round.state.cancelled = True
        if not state.due:
            self._call_back()

    def finish(self, ticket: int) -> None:
        if ticket == self.state.ticket:
            self._advance(self.state.last_step)
            self.state.due = True
            self._end_if_complete()

    def _begin(self, order: TrainRound) -> None:
        state, round = self.state, self.round
        round.begin(order)
        self._carried_out()
        if state.gradient_owed:
            self._trainee.apply_gradient()
            state.gradient_owed = False
        state.before += state.taken
        state.taken, state.due = 0, False
        state.began_s, state.last_step = self._simulator.now_s(), order.steps
        state.step_s = self._simulator.cost.round_step_s(self._me, order.round)
        if order.steps:
            self._on_round(order)
        self._call_back()

    def _call_back(self) -> None:
        state = self.state
        state.ticket += 1
        at_s = state.began_s + state.last_step * state.step_s
        self._simulator.call_back(self._me, max(at_s, self._simulator.now_s()), state.ticket)

    def _advance(self, steps: int) -> None:
        """Take the steps of this round up to `steps`."""
        state = self.state
        if isinstance(self._trainee, NoWork):
            taken = max(0, min(steps, state.last_step) - state.taken)
            self.round.state.steps += 0 if self.round.gradients else taken
            state.taken += taken
            return
        for _ in range(state.taken, min(steps, state.last_step)):
            self._trainee.compute_gradient()
            if self.round.gradients:
                state.gradient_owed = True
            else:
                self._trainee.apply_gradient()
                self.round.state.steps += 1
            state.taken += 1

    def _end_if_complete(self) -> None:
        state, round = self.state, self.round
        order = round.state.order
        if order is None or round.state.expects:
            return
        assert self.driver is not None
        compute_s = self._computed_s()
        result = round.result(round.gradients and state.taken > 0, self._spend(compute_s))
        if result.steps:
            self._on_result(order, result, compute_s)
        self.driver.handle(Done(result), self._simulator.now_s())

    def _computed_s(self) -> float:
        return self.state.taken * self.state.step_s

    def _steps_at(self, now_s: float, whole: Callable[[float], int]) -> int:
        state = self.state
        if not state.step_s:
            return state.last_step
        return min(state.last_step, whole((now_s - state.began_s) / state.step_s))

    def _carried_out(self) -> None:
        assert self.driver is not None
        self.driver.carried_out()
