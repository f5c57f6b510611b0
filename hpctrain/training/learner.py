"""The learner of a worker: trains a round, pushes what it learned, goes on from what comes back.

Without overlap a worker waits for the answers of all homes; with overlap the next round is ordered
at once, each fragment is merged when its answer arrives, and only the round after that waits for
it. With a delay (`co2`) the next round is ordered at once too, but it starts from the merged
parameters as they were a round ago, and so waits only for the answers to the push before the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hpctrain.core.events import Cancel, Command, Do, Finish, Note, Send, SetTimer, WorkerId
from hpctrain.training.fragments import Fragment
from hpctrain.training.messages import (
    Adopt,
    AdoptFinal,
    BudgetSpent,
    Final,
    Fresh,
    Leave,
    Push,
    RoundTrained,
    TrainRound,
)
from hpctrain.training.methods import Method
from hpctrain.training.state import ROUND, LearnerState

Commands = Iterator[Command]

MOST_ELSE = 4  # times computing that a round may have taken: more was a pause, and is no measure
UNTOLD_ROUND = 10  # rounds: at most so much is trained before somebody says when it ends


@dataclass(frozen=True, slots=True)
class Learner:
    """The rules of a learner; its state is a `LearnerState`."""

    fragments: tuple[Fragment, ...]
    method: Method
    total_steps: int | None

    def start(self, state: LearnerState, now_s: float) -> Commands:
        """Begin, or begin again after the end of a run whose budget was raised."""
        state.stopping, state.last_round = False, None
        state.unmerged, state.queues = 0, {}
        state.phase, state.ended_s = "training", now_s
        yield from self._order(state, brief=True)

    def trained(self, state: LearnerState, result: RoundTrained, now_s: float) -> Commands:
        """A round is done, in full or cut short."""
        if result.steps > 0:
            yield from self._push(state, result, self._seconds(state, result, now_s))
            state.round += 1
        if result.steps > 0 and self.method.delay:
            state.phase = "waiting"
            yield from self._go_on_late(state)
        elif result.steps > 0 and self.method.synchronous:
            state.phase = "waiting"
        elif state.phase == "leaving" or self._is_last(state):
            yield from self._leave(state)
        elif self.method.overlap:
            yield from self._order(state, brief=result.steps == 0)
        else:
            state.phase = "waiting"

    def fresh(self, state: LearnerState, fresh: Fresh, now_s: float) -> Commands:
        """A home answered."""
        if fresh.fragment not in state.awaiting:
            return
        state.awaiting.remove(fresh.fragment)
        if fresh.next_steps is not None:
            state.steps = fresh.next_steps
        if fresh.domain is not None:
            state.domain = fresh.domain
        if fresh.ends_in_s is not None and state.phase == "training":
            state.due_s = now_s + fresh.ends_in_s
            yield from self.set_timers(state)
        if self.method.delay:
            state.queues.setdefault(fresh.fragment, []).append(fresh)
            if state.phase == "waiting":
                yield from self._go_on_late(state)
            return
        state.versions[fresh.fragment] = fresh.version
        state.global_steps = max(state.global_steps, fresh.global_steps)
        state.spent = max(state.spent, fresh.spent)
        state.sent = max(state.sent, fresh.sent)
        if state.phase in ("training", "leaving"):  # with overlap: the round goes on
            yield Do(Adopt(fresh.fragment, fresh.version, fresh.global_steps, fresh.data))
        elif state.phase == "waiting":
            state.arrived[fresh.fragment] = fresh.data
            if not state.awaiting:
                state.phase = "training"
                yield from self._order(state)

    def set_timers(self, state: LearnerState) -> Commands:
        """Ask for the end of the round in progress; also when a run goes on that was saved.

        A round ends with the step in which its timer fires: half a step early, it ends with the
        step whose end is nearest to the moment.
        """
        if state.due_s and state.phase == "training":
            yield SetTimer(f"{ROUND} {state.round}", state.due_s - state.step_s / 2)

    def time_is_over(self, state: LearnerState, timer: str) -> Commands:
        """A round by the clock is over, if it is still the one that the timer was for."""
        if state.phase == "training" and timer == f"{ROUND} {state.round}":
            state.due_s = 0.0
            yield Cancel("the round's time is over")

    def stop(self, state: LearnerState, reason: str) -> Commands:
        """Leave in good order: a round in progress is cut short and pushed.

        Who waits for the mean of a synchronous round still gets it, so that replicas end alike.
        """
        state.stopping = True
        if state.phase == "training":
            state.phase = "leaving"
            yield Cancel(reason)
        elif state.phase == "new" or (state.phase == "waiting" and not self.method.synchronous):
            yield from self._leave(state)

    def budget_spent(self, state: LearnerState, spent: BudgetSpent) -> Commands:
        """The run ends: leave at once, or after the round that all are to take part in."""
        if spent.last_round is None:
            yield from self.stop(state, spent.reason)
        else:
            state.last_round = spent.last_round

    def final(self, state: LearnerState, final: Final) -> Commands:
        """A home has closed."""
        state.finals[final.fragment] = final.data
        state.versions[final.fragment] = final.version
        state.global_steps = max(state.global_steps, final.global_steps)
        state.round = max(state.round, final.rounds)
        if final.fragment == 0:
            state.spent, state.sent, state.next_spent = final.spent, final.sent, final.next_spent
        if len(state.finals) == len(self.fragments):
            state.phase = "finished"
            yield Do(AdoptFinal(state.global_steps, state.finals))
            state.finals, state.queues, state.unmerged = {}, {}, 0
            yield Finish()

    def lost(self, state: LearnerState, worker: WorkerId) -> Commands:
        """Another worker is gone for good. Without one of its homes a learner cannot go on."""
        homes = {fragment.home for fragment in self.fragments}
        if worker in homes and state.phase != "finished":
            state.phase = "finished"
            text = f"worker {worker} was lost, and with it the fragments that lived there"
            yield Note("event", {"kind": "lost", "text": text})
            yield Cancel(text)
            yield Finish()

    def _go_on_late(self, state: LearnerState) -> Commands:
        """With a delay: order the next round, if the answers that it starts from are here."""
        again: tuple[int, ...] = ()
        if state.unmerged <= self.method.delay:
            again = tuple(fragment.index for fragment in self.fragments)
        else:
            if any(not state.queues.get(fragment.index) for fragment in self.fragments):
                return
            state.unmerged -= 1
            for index, queue in state.queues.items():
                fresh = queue.pop(0)
                state.arrived[index], state.versions[index] = fresh.data, fresh.version
                state.global_steps = max(state.global_steps, fresh.global_steps)
                state.spent = max(state.spent, fresh.spent)
                state.sent = max(state.sent, fresh.sent)
        state.phase = "training"
        yield from self._order(state, again)

    def _order(
        self, state: LearnerState, again: tuple[int, ...] = (), brief: bool = False
    ) -> Commands:
        """Order the next round; when the run ends, one of no steps: the last merge is still due.

        By the clock, a `brief` one is of few steps: the first of all, and the one after a round
        that time has ended before it began.
        """
        steps = state.steps or self.method.sync_every
        if self.method.local_steps.by_clock:
            steps = state.steps or self.method.sync_every * UNTOLD_ROUND
            steps = self.method.local_steps.first_steps(self.method.sync_every) if brief else steps
        adopt, state.arrived = state.arrived, {}
        expects = () if self.method.delay else tuple(state.awaiting)
        yield Do(
            TrainRound(
                state.round,
                0 if self._is_last(state) else steps,
                min(state.versions),
                state.global_steps,
                adopt,
                expects,
                again,
                state.domain,
                state.sent,
            )
        )

    def _seconds(self, state: LearnerState, result: RoundTrained, now_s: float) -> float:
        """What the round took: of computing, or by the clock, evaluations and all included."""
        before_s, state.ended_s = state.ended_s, now_s
        if not self.method.local_steps.by_clock:
            return result.seconds
        return min(max(now_s - before_s, result.seconds), MOST_ELSE * result.seconds)

    def _push(self, state: LearnerState, result: RoundTrained, seconds: float) -> Commands:
        speed = result.steps / seconds if seconds > 0 else 0.0
        state.step_s = result.seconds / result.steps
        for fragment in self.fragments:
            push = Push(
                fragment.index,
                result.round,
                state.versions[fragment.index],
                result.steps,
                result.tokens,
                result.data[fragment.index],
                result.spent if fragment.index == 0 else 0.0,
                speed if fragment.index == 0 or self.method.asks_speeds else 0.0,
            )
            yield Send(fragment.home, push)
        pushed = [fragment.index for fragment in self.fragments]
        state.awaiting = state.awaiting + pushed if self.method.delay else pushed
        state.unmerged += self.method.delay > 0

    def _leave(self, state: LearnerState) -> Commands:
        state.phase = "left"
        state.arrived = {}
        for home in sorted({fragment.home for fragment in self.fragments}):
            yield Send(home, Leave())

    def _is_last(self, state: LearnerState) -> bool:
        spent = self.total_steps is not None and state.global_steps >= self.total_steps
        over = state.last_round is not None and state.round > state.last_round
        return spent or over or state.stopping
