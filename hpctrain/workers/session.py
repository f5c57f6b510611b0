"""A training run from inside one rank: hooks on the optimizer, and what happens at each pause.

The user's loop stays the user's. A hook before each optimizer step averages gradients over the
ranks of the worker (and, for `ddp`, over all workers); a hook after it is a *pause*: messages are
handled, fresh parameters are merged, rounds end and begin. Between two pauses, a service thread may
answer other workers (see `service.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import RLock
from time import sleep
from typing import Any

import torch

from hpctrain.core.events import Done
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import Notebook
from hpctrain.training.messages import Adopt, AdoptFinal, TrainRound
from hpctrain.training.state import TrainingState
from hpctrain.workers.ahead import Ahead
from hpctrain.workers.lockstep import Lockstep, Word
from hpctrain.workers.orders import Orders
from hpctrain.workers.round_log import RoundLog
from hpctrain.workers.rounds import Round
from hpctrain.workers.saving import SaveClock

PAUSE_S = 0.0005  # between two looks at the mailbox while there is nothing to compute
HELD_S = 0.02  # ... while a run pauses
BRIEF_S = 0.00005  # the first looks come quicker: most answers are already on their way


class RunStopped(SystemExit):
    """The run was saved and is to end now; resuming goes on from here. Exit code 0."""

    def __init__(self, reason: str) -> None:
        super().__init__(0)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs to know besides its ports.

    Attributes:
        gradients, overlap: of the method.
        late: let steps of the next round begin while what a round learned is on its way to the host
            (only with overlap).
        save_every_s: worker 0 takes a snapshot every so many seconds; None: only when asked to.
        deadline_s: seconds on the run's clock at which to save and stop; None: no wall-time.
    """

    gradients: bool
    overlap: bool
    late: bool = False
    save_every_s: float | None = None
    deadline_s: float | None = None


class Session:
    """One rank's part in a training run, from the first order to the last merge.

    Args:
        lockstep: the model of this worker.
        driver: of this worker's algorithm; None on ranks that follow a leader.
        orders: where the driver puts the orders it has for this worker.
        notebook: for rows of the run store.
        now_s: the run's clock.
        settings: of this run.
    """

    def __init__(
        self,
        lockstep: Lockstep,
        driver: Driver[TrainingState] | None,
        orders: Orders,
        notebook: Notebook,
        now_s: Callable[[], float],
        settings: SessionSettings,
    ) -> None:
        self.lockstep = lockstep
        self.driver = driver
        self.orders = orders
        self.round = Round(lockstep, settings.gradients, settings.overlap)
        self.log = RoundLog(notebook)
        self.phases = self.log.phases
        lockstep.waits = lambda waiting: self.phases.enter("wait" if waiting else "exchange")
        self.ahead = Ahead(self.round, self.log, settings.late)
        self.lock = RLock()
        self.steps_done = 0
        self.tokens_done = 0
        self.ended = False
        self.stopped: RunStopped | None = None
        self.stray_steps = 0  # taken after the run had ended
        self.pauses_later = False
        self._pause_due = False
        self._averaged = False
        self._spent_before = 0.0
        self._outcome: AdoptFinal | None = None
        self.gradient_owed = False  # ddp: handed in, and the optimizer has not had the mean yet
        self.on_round: Callable[[TrainRound], None] = lambda order: None
        self.on_pause: Callable[[], None] = lambda: None
        self._settings = settings
        self._saving = SaveClock(now_s, settings.save_every_s, settings.deadline_s)

    def tally(self) -> dict[str, Any]:
        """What a checkpoint keeps of the counts, so that a resumed run reports them in full."""
        return {"steps": self.steps_done, "tokens": self.tokens_done, **self.log.saved()}

    def restore_tally(self, tally: Mapping[str, Any]) -> None:
        """Go on counting from `tally`."""
        self.steps_done, self.tokens_done = tally["steps"], tally["tokens"]
        self.log.restore(tally)

    @property
    def steps_told(self) -> int:
        """Inner steps as the algorithm knows them: without those taken ahead of an order."""
        ended_at = self.ahead.ended_at
        return self.steps_done if ended_at is None else ended_at

    @property
    def waited_s(self) -> float:
        """Seconds without anything to do, up to the last round."""
        return self.phases.total.get("wait", 0.0)

    def attach(self, optimizer: torch.optim.Optimizer) -> None:
        """Install the hooks on the user's optimizer."""
        optimizer.register_step_pre_hook(self._before_step)
        optimizer.register_step_post_hook(self._after_step)

    def start(self) -> None:
        """Begin: the first order is carried out before this returns."""
        self._pause()

    def count(self, tokens: int, loss: torch.Tensor | None = None) -> None:
        """A batch is about to be trained on."""
        self.round.state.tokens += tokens
        self.tokens_done += tokens
        if loss is not None:
            self.log.loss(loss)

    def average_gradients(self) -> None:
        """Average over the ranks of the worker now, before the loop clips, and not at the step."""
        if not self.ended:
            self.lockstep.average_gradients()
            self._averaged = True

    def pause_if_due(self) -> None:
        """Pause, if a step has been taken since the last pause.

        A loop that has more to do after the optimizer's step (schedulers, a scaler) sets
        `pauses_later` and calls this when all that is done, so that a checkpoint holds it too.
        """
        if self._pause_due and not self.ended:
            self._pause_due = False
            self._pause()

    def request_stop(self, reason: str) -> None:
        """Save everything at the next pause and stop. Safe in a signal handler."""
        self._saving.stop_reason = reason

    def finish(self) -> None:
        """The loop has ended: push what there is, wait until all have left, adopt the outcome."""
        if self.ended:
            self._adopt_again()
            return
        if self.driver is not None and not self.driver.finished:
            with self.lock:
                self._catch_up(self.driver)
                self.driver.stop("the loop has ended")
        self._pause_due = False
        self._pause(until_finished=True)

    def _adopt_again(self) -> None:
        """A loop that went on after the end has changed the model: take over the outcome again."""
        if not self.stray_steps:
            return
        if self.driver is None:
            self.lockstep.follow()
        elif self._outcome is not None:
            self.round.adopt_final(self._outcome)
            self.lockstep.say(Word.END)

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.ended or self.gradient_owed:
            return
        self.pause_if_due()
        self.phases.enter("exchange")
        if not self._averaged:
            self.lockstep.average_gradients()
        self._averaged = False
        if self._settings.gradients:
            self._exchange_gradients()
        self.phases.enter("compute")

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self.ended:
            self.stray_steps += 1
            return
        self.steps_done += 1
        self.gradient_owed = False
        if not self._settings.gradients:
            self.round.state.steps += 1
        self._pause_due = True
        if not self.pauses_later:
            self.pause_if_due()

    def _exchange_gradients(self) -> None:
        """`ddp`: hand in the gradient of this step and go on with the mean of all workers."""
        if self.driver is None:
            self.gradient_owed = True
            if self.lockstep.follow() is Word.FROZEN:
                self._stop_following()
            self.gradient_owed = False
            return
        driver = self.driver
        with self.lock:
            order = self.round.state.order
            if order is None or self.round.state.cancelled or order.steps == 0:
                self.lockstep.say(Word.GO)
                return
            self._end_round(gradients=True)
        self.gradient_owed = True
        self._settle(lambda: self.round.state.order is not None or driver.finished)
        self._stop_if_saved()
        self.gradient_owed = False
        self.lockstep.say(Word.GO)

    def _pause(self, until_finished: bool = False) -> None:
        """Between two steps: do what there is to do, return when the next step may be taken."""
        self.phases.enter("exchange")
        if self.driver is None:
            self._follow()
        else:
            self._lead(self.driver, until_finished)
        self.phases.enter("compute")

    def _lead(self, driver: Driver[TrainingState], until_finished: bool) -> None:
        with self.lock:
            steps_on = self.ahead.may_step() and not until_finished
            if not steps_on:
                self._catch_up(driver)
                self._saving.look(driver)
        if steps_on:
            self.lockstep.say(Word.GO)
            return
        self._settle(self._may_leave if until_finished else self._may_step)
        self.on_pause()
        self._stop_if_saved()
        self.ended = driver.finished and self._may_leave()
        self.lockstep.say(Word.END if self.ended else Word.GO)

    def _follow(self) -> None:
        word = self.lockstep.follow()
        self.ended = word is not Word.GO
        if word is Word.FROZEN:
            self._stop_following()

    def _settle(self, satisfied: Callable[[], bool]) -> None:
        """Handle messages, orders and ends of rounds until `satisfied`."""
        looks = 0
        while True:
            with self.lock:
                handled = self._handled()
                if self._turn() or (not self._frozen() and satisfied()):
                    return
                if self._handled() == handled:  # the look itself was part of the wait
                    self.phases.call_it("wait")
                self._look_while_held()
            self.phases.enter("wait")
            sleep(self._pause_s(looks))
            self.phases.enter("exchange")
            looks += 1

    def _look_while_held(self) -> None:
        """A pause may last for hours: it is saved when it begins, and the wall-time may come."""
        driver = self.driver
        if driver is not None and driver.state.held and not self._frozen():
            self._saving.look(driver)
            self.on_pause()

    def _pause_s(self, looks: int) -> float:
        if self.driver is not None and self.driver.state.held:
            return HELD_S
        return BRIEF_S if looks < 20 else PAUSE_S

    def _handled(self) -> int:
        return self.driver.num_handled if self.driver is not None else 0

    def _turn(self) -> bool:
        """One look at everything. True: the run was saved and stops here."""
        driver = self.driver
        assert driver is not None
        while True:
            driver.pump(at_pause=True)
            if self._frozen():
                assert driver.snapshots is not None
                return driver.snapshots.stopped
            progress = self._carry_out_orders(driver)
            if self.round.complete and driver.may_finish_work():
                self._end_round()
                if self.ahead.pending:
                    return False
                progress = True
            if not progress:
                return False

    def _frozen(self) -> bool:
        assert self.driver is not None
        return self.driver.snapshots is not None and self.driver.snapshots.frozen

    def _may_step(self) -> bool:
        assert self.driver is not None
        if self.driver.finished:
            return self._may_leave()
        if self.ahead.pending:
            return True
        if self.round.state.order is None:
            return False
        # Following a recording, a round that was cut short there went on to the recorded step.
        may_end = self.round.complete and self.driver.may_finish_work()
        return not may_end and self.driver.caught_up()

    def _may_leave(self) -> bool:
        driver = self.driver
        assert driver is not None
        busy = driver.snapshots is not None and driver.snapshots.busy
        return driver.finished and not self.orders.waiting and not busy

    def _carry_out_orders(self, driver: Driver[TrainingState]) -> bool:
        progress = False
        while self.orders.waiting and driver.may_carry_out():
            begun = False
            match self.orders.waiting.popleft():
                case TrainRound() as order:
                    self.round.begin(order)
                    begun = True
                    self.on_round(order)
                case Adopt() as order:
                    self.round.merge(order)
                case AdoptFinal() as order:
                    self.round.adopt_final(order)
                    self._outcome = order
            driver.carried_out()
            if begun:
                self.ahead.ended_at = None
            progress = True
        if self.orders.cancelled and self.round.state.order is not None:
            self.round.state.cancelled, self.orders.cancelled = True, False
        return progress

    def _end_round(self, gradients: bool = False) -> None:
        driver, order = self.driver, self.round.state.order
        assert driver is not None
        assert order is not None
        if self.ahead.possible(driver):
            self.ahead.end_round(driver, order, self.steps_done, self._spent())
            return
        result = self.round.result(gradients, self._spent())
        self.log.closed_round(order, result.steps, result.tokens, self.round.state.global_steps)()
        driver.handle(Done(result))

    def _spent(self) -> float:
        """Energy of the worker since the last round ended."""
        before, self._spent_before = self._spent_before, self.lockstep.spent_by_all()
        return self._spent_before - before

    def _catch_up(self, driver: Driver[TrainingState]) -> None:
        """Hand in the last round, and begin the one whose first steps have been taken already."""
        if self.ahead.ended_at is not None:
            self.ahead.hand_in(driver, wait=True)
            self._carry_out_orders(driver)
            assert self.ahead.ended_at is None

    def note_the_rest(self) -> None:
        """Note what came after the last round, as a round of no steps: waiting, an exchange."""
        if self.driver is not None:
            learner, told = self.driver.state.learner, self.round.state.global_steps
            self.log.closed(learner.round, 0, 0, min(learner.versions, default=0), told)()

    def _stop_following(self) -> None:
        self.ended = True
        self.stopped = RunStopped("the leader of this worker was asked to stop")
        raise self.stopped

    def _stop_if_saved(self) -> None:
        assert self.driver is not None
        if self.driver.snapshots is None or not self.driver.snapshots.stopped:
            return
        self.ended = True
        self.lockstep.say(Word.FROZEN)
        reason = self._saving.stop_reason or "another worker was asked to stop"
        self.stopped = RunStopped(reason)
        raise self.stopped
