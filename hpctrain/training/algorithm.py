"""Training across islands as a pure state machine: a learner and a home in every worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hpctrain.core.events import (
    Cancel,
    Command,
    Do,
    Done,
    Event,
    Finish,
    Note,
    PeerLost,
    Received,
    SetTimer,
    Started,
    StopRequested,
    TimerFired,
    WorkerId,
)
from hpctrain.core.gate import ALWAYS_OPEN, GATE_OPENS, Gate
from hpctrain.training.fragments import Fragment
from hpctrain.training.home import EnergyBudget, Home
from hpctrain.training.learner import Learner
from hpctrain.training.messages import (
    Adopt,
    BudgetSpent,
    Final,
    Fresh,
    Leave,
    Members,
    Push,
    RoundTrained,
    TrainRound,
)
from hpctrain.training.methods import Method
from hpctrain.training.rules.rule import Array, OuterState
from hpctrain.training.state import ROUND, WINDOW, HomeState, LearnerState, TrainingState
from hpctrain.training.updates import Updates

TIME_IS_UP = "time is up"


@dataclass(frozen=True, slots=True)
class Budget:
    """When a run ends by itself: inner steps of all workers, seconds, energy, or bytes sent."""

    steps: int | None = None
    seconds: float | None = None
    energy: EnergyBudget | None = None
    bytes: float | None = None


class IslandTraining:
    """`Algorithm` of all training methods.

    Args:
        fragments: the plan of the outer parameters, the same at all workers.
        method: rule, rounds and waiting.
        num_workers: K.
        initial: the initial values of a fragment, float32 of shape (P,); the same at all workers.
            It is called once per home, and the array it gives is the home's to keep.
        budget: when the run ends; without one it ends when every worker's script has.
        gate: when rounds may begin; who has none to train waits.
    """

    def __init__(
        self,
        fragments: tuple[Fragment, ...],
        method: Method,
        num_workers: int,
        initial: Callable[[Fragment], Array],
        budget: Budget = Budget(),
        gate: Gate = ALWAYS_OPEN,
    ) -> None:
        method = method.for_workers(num_workers)
        self.fragments = fragments
        self.budget = budget
        self._initial = initial
        self._method = method
        # After a synchronous round all learners know the same number of steps: they end at once.
        at_learners = budget.steps if method.synchronous else None
        at_homes = None if method.synchronous else budget.steps
        self._gate = gate
        self._home = Home(
            Updates(fragments, method, num_workers), at_homes, budget.energy, budget.bytes
        )
        self._learner = Learner(fragments, method, at_learners)

    def init(self, me: WorkerId) -> TrainingState:
        outer = {
            fragment.index: _new_outer(self._initial(fragment))
            for fragment in self.fragments
            if fragment.home == me
        }
        learner = LearnerState("new", 0, [0] * len(self.fragments))
        home = HomeState(outer, dict.fromkeys(outer, 0), dict.fromkeys(outer, 0))
        domains = self._method.domains
        if domains.count:
            learner.domain = domains.first[me]
            first = self._method.local_steps.first_steps(self._method.sync_every)
            home.visits = domains.first_visits(first)
        return TrainingState(me, learner, home)

    def step(
        self, state: TrainingState, event: Event, now_s: float
    ) -> tuple[TrainingState, tuple[Command, ...]]:
        return state, tuple(self._held(state, self._commands(state, event, now_s), now_s))

    def _held(
        self, state: TrainingState, commands: Iterator[Command], now_s: float
    ) -> Iterator[Command]:
        """Hold back rounds, and what is to be merged into them, until the gate is open."""
        for command in commands:
            match command:
                case Do(TrainRound(steps=steps) as order) if steps and not state.held:
                    opens_s = self._gate.opens_s(now_s)
                    if opens_s is None:
                        yield command
                        continue
                    state.held.append(order)
                    yield Note("event", {"kind": "pause", "text": self._gate.reason})
                    yield SetTimer(GATE_OPENS, opens_s)
                case Do(Adopt() as order) if state.held:
                    state.held.append(order)
                case Cancel() if state.held:
                    yield from self._release(state)
                    yield command
                case _:
                    yield command

    def _release(self, state: TrainingState) -> Iterator[Command]:
        held, state.held = state.held, []
        for order in held:
            yield Do(order)

    def _gate_opens(self, state: TrainingState, now_s: float) -> Iterator[Command]:
        if not state.held:
            return
        opens_s = self._gate.opens_s(now_s)
        if opens_s is not None:
            yield SetTimer(GATE_OPENS, opens_s)
            return
        yield Note("event", {"kind": "go on", "text": "the pause is over"})
        yield from self._release(state)

    def _commands(self, state: TrainingState, event: Event, now_s: float) -> Iterator[Command]:
        match event:
            case Started():
                yield from self._start(state, now_s)
            case Done(RoundTrained() as result):
                yield from self._learner.trained(state.learner, result, now_s)
            case Received(sender, message):
                yield from self._receive(state, sender, message, now_s)
            case StopRequested(reason):
                yield from self._learner.stop(state.learner, reason)
            case PeerLost(worker):
                yield from self._home.leave(state.home, worker, now_s)
                yield from self._learner.lost(state.learner, worker)
            case TimerFired(name) if name == GATE_OPENS:
                yield from self._gate_opens(state, now_s)
            case TimerFired(name) if name.startswith(WINDOW):
                yield from self._home.time_is_over(state.home, name, now_s)
            case TimerFired(name) if name.startswith(ROUND):
                yield from self._learner.time_is_over(state.learner, name)
            case TimerFired(name):
                if self._time_is_up(now_s):  # a resumed run may still have an older timer
                    yield from self._home.spend_budget(state.home, name)
            case _:
                raise TypeError(f"training does not know what to do about {event!r}")

    def _receive(
        self, state: TrainingState, sender: WorkerId, message: object, now_s: float
    ) -> Iterator[Command]:
        match message:
            case Push():
                yield from self._home.push(state.home, sender, message, now_s)
            case Fresh():
                yield from self._learner.fresh(state.learner, message, now_s)
            case Leave():
                yield from self._home.leave(state.home, sender, now_s)
            case Final():
                yield from self._learner.final(state.learner, message)
            case Members(workers):
                yield from self._home.members(state.home, workers, now_s)
            case BudgetSpent():
                yield from self._home.end(state.home, now_s)
                yield from self._learner.budget_spent(state.learner, message)
            case _:
                raise TypeError(f"training does not know the message {message!r} from {sender}")

    def _start(self, state: TrainingState, now_s: float) -> Iterator[Command]:
        learner, home = state.learner, state.home
        if learner.phase == "finished":
            if self._spent(learner, now_s):
                yield Finish()
                return
            home.left, home.budget_spent, home.closed = [], False, False
            home.ending = False
            learner.phase = "new"
        if self.budget.seconds is not None and 0 in home.outer:
            yield SetTimer(TIME_IS_UP, self.budget.seconds)
        if self.budget.energy is not None and 0 in home.outer:
            home.spent = max(home.spent, self.budget.energy.before)
            yield from self._home.check_energy(home)
        yield from self._home.check_bytes(home)
        yield from self._home.set_timers(home)
        yield from self._learner.set_timers(learner)
        if state.held:
            yield SetTimer(GATE_OPENS, now_s)
        if learner.phase == "new":
            yield from self._learner.start(learner, now_s)

    def _spent(self, learner: LearnerState, now_s: float) -> bool:
        """Is a finished run's budget spent, or was it raised (or lifted) since?"""
        steps, energy = self.budget.steps, self.budget.energy
        return (
            self._time_is_up(now_s)
            or (steps is not None and learner.global_steps >= steps)
            or (energy is not None and learner.spent + learner.next_spent > energy.limit)
            or self._home.is_sent(learner.sent, range(self._home.num_workers))
        )

    def _time_is_up(self, now_s: float) -> bool:
        return self.budget.seconds is not None and now_s >= self.budget.seconds


def _new_outer(theta: Array) -> OuterState:
    return OuterState(theta, np.zeros_like(theta), 0)
