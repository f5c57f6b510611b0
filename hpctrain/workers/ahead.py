"""Steps ahead: the next round begins while what the last one learned is on its way to the host.

To the algorithm nothing is different. Until the result is there nothing else is handled, so it
comes right after the step that ended its round, if later by the clock; and the order that answers
it is recorded at that step too, although the model may be some steps further by then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hpctrain.core.events import Done
from hpctrain.runtime.driver import Driver
from hpctrain.training.messages import TrainRound
from hpctrain.training.state import TrainingState
from hpctrain.workers.round_log import RoundLog
from hpctrain.workers.rounds import EndedRound, Round


@dataclass(frozen=True, slots=True)
class _Late:
    ended: EndedRound
    note: Callable[[], None]


class Ahead:
    """The round that has ended and was not handed in yet, if there is one.

    Args:
        round: of the session.
        log: of the session.
        allowed: only with overlap, and not while a recording is followed.
    """

    def __init__(self, round: Round, log: RoundLog, allowed: bool) -> None:
        self.ended_at: int | None = None  # the step after which orders are still to be carried out
        self._round = round
        self._log = log
        self._allowed = allowed
        self._late: _Late | None = None

    @property
    def pending(self) -> bool:
        """Is a result on its way?"""
        return self._late is not None

    def possible(self, driver: Driver[TrainingState]) -> bool:
        """Will another round be ordered at once, which brings nothing that steps must wait for?"""
        learner = driver.state.learner
        training = learner.phase == "training" and not learner.stopping
        return self._allowed and training and not self._round.state.cancelled

    def end_round(
        self, driver: Driver[TrainingState], order: TrainRound, step: int, spent: float
    ) -> None:
        """End the round after `step`, and hand in what it learned now or later."""
        ended = self._round.end(spent)
        global_steps = self._round.state.global_steps
        note = self._log.closed_round(order, ended.steps, ended.tokens, global_steps)
        self._late, self.ended_at = _Late(ended, note), step
        if self.hand_in(driver):
            self.ended_at = None

    def hand_in(self, driver: Driver[TrainingState], wait: bool = False) -> bool:
        """Hand in the result, if there is one, once it is on the host; False: it is not yet.

        Nothing else may be handled before. Any thread may call it, under the session's lock.
        """
        late = self._late
        if late is None:
            return True
        if not wait and not late.ended.ready():
            return False
        result = self._round.result_of(late.ended)
        self._late = None
        late.note()
        driver.handle(Done(result))
        return True

    def may_step(self) -> bool:
        """May a step of the next round be taken, instead of waiting for the last one's result?

        Not beyond the end of the next round, which must have been ordered by then.
        """
        late = self._late
        if late is None or late.ended.ready():
            return False
        return self._round.state.steps < late.ended.order.steps
