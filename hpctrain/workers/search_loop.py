"""The loop of a search on one worker: take an order, evaluate it, say how it went.

The leader of a worker has the driver; its other ranks do what it says. While an objective runs, a
thread answers other workers where MPI allows threads; and every report of the objective does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from math import isnan, nan
from threading import RLock
from time import monotonic, sleep
from typing import Any, Protocol

from hpctrain.core.events import Done, Reported, Started
from hpctrain.errors import HpctrainError
from hpctrain.runtime.driver import Driver
from hpctrain.searching.algorithm import SearchState
from hpctrain.searching.messages import Evaluate, Evaluation, Interim
from hpctrain.workers.candidate import Candidate, Place, StopCandidate
from hpctrain.workers.candidate_energy import CandidateEnergy
from hpctrain.workers.objective import Objective, evaluate
from hpctrain.workers.service import ServiceThread

LOOK_EVERY_S = 0.005  # of the thread: costs a few thousandths of a core
PUMP_EVERY_S = 0.001  # at most: looking for messages costs as much as a short evaluation
SHORTEST_PAUSE_S = 0.00005
LONGEST_PAUSE_S = 0.005

NO_READING = "there is no reading of energy, which is one of the losses"
UNLIKE = (
    "the first rank of the worker has ended, and this one still reports; let all ranks of an "
    "objective report alike"
)

SearchDriver = Driver[SearchState]


class RankGroup(Protocol):
    """The ranks of one worker; `hpctrain.mpi` has it."""

    rank: int
    size: int

    def tell(self, item: Any, patience_s: float | None = None) -> Any:
        """The leader's plain value, on all ranks; waiting costs no processor time.

        Raises:
            TimeoutError: if nobody tells anything for `patience_s`.
        """
        ...

    def vote(
        self, complaint: str, patience_s: float, amounts: tuple[float, float]
    ) -> tuple[list[str], tuple[float, float]]:
        """The complaints of all ranks, empty texts for none; and the sums of their amounts.

        Raises:
            TimeoutError: on a rank that complains, if the others do not come.
        """
        ...


class OneRank:
    """A worker of a single rank has nobody to tell."""

    rank = 0
    size = 1

    def tell(self, item: Any, patience_s: float | None = None) -> Any:
        return item

    def vote(
        self, complaint: str, patience_s: float, amounts: tuple[float, float]
    ) -> tuple[list[str], tuple[float, float]]:
        return [complaint], amounts


class Orders:
    """The `Workplace` of a search: at most one order, and whether it is to end."""

    def __init__(self) -> None:
        self.queue: deque[Evaluate] = deque()
        self.cancelled: str | None = None

    def order(self, work: Any) -> None:
        self.cancelled = None
        self.queue.append(work)

    def cancel(self, reason: str) -> None:
        self.cancelled = reason


class SearchLoop:
    """One rank of a search.

    Args:
        driver: of the worker, at its leader; else None.
        orders: the workplace of that driver.
        group: the ranks of the worker.
        place: for candidates.
        seed: of the search.
        note: writes a row that is no algorithm's.
        at_pause: called after every evaluation, and while the loop waits.
    """

    def __init__(
        self,
        driver: SearchDriver | None,
        orders: Orders,
        group: RankGroup,
        place: Place,
        seed: int,
        note: Callable[[str, dict[str, Any]], None],
        at_pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.driver = driver
        self.orders = orders
        self.lock = RLock()
        self.stop_reason: str | None = None
        self.evaluations = 0
        self.energy: CandidateEnergy | None = None
        self.energy_is_a_loss = False
        self._used_j: float | None = None  # of the whole worker, by the evaluation that ended
        self._spent = self._spent_before = 0.0
        self._group = group
        self._place = place
        self._seed = seed
        self._note = note
        self._at_pause = at_pause
        self._service: ServiceThread | None = None
        self._pump_due_s = 0.0
        self._seen = -1
        self._evaluating = False
        self._over = False  # has the leader ended its evaluation?

    def run(self, objective: Objective, timeout_s: float | None, patience_s: float) -> None:
        """Evaluate until the search is over. All ranks of the worker call it."""
        while (order := self.next_order()) is not None:
            self.finish(self.evaluate(order, objective, timeout_s, patience_s))

    def start(self) -> None:
        """Begin; only the leader does anything."""
        if self.driver is not None:
            with self.lock:
                self.driver.handle(Started())

    def next_order(self) -> Evaluate | None:
        """Wait for the next candidate; None when the search is over. All ranks call it."""
        order = self._wait_for_order() if self.driver is not None else None
        if self._group.size > 1:
            order = self._group.tell(order)
            self._over = False
        self._evaluating = order is not None
        if self.energy is not None and order is not None:
            self.energy.begins(order.number)
        return order

    def leave(self, order: Evaluate | None, reason: str) -> None:
        """End before the search is over; what has begun is cancelled. All ranks call it."""
        self.request_stop(reason)
        self._wait_for_the_stop()
        order = order or self.next_order()
        while order is not None:
            self.finish(Evaluation(order.number, "cancelled", (), reason))
            order = self.next_order()

    def finish(self, evaluation: Evaluation) -> None:
        """Say how an evaluation went; the row of it is durable when this returns."""
        self._evaluating = False
        self.evaluations += 1
        if self.energy is not None:
            evaluation = self._with_energy(self.energy, evaluation)
        if self.driver is None:
            return
        with self.lock:
            self._pass_on_stop()
            self.driver.handle(Done(evaluation))
            due = monotonic() >= self._pump_due_s
            if due:
                self.driver.pump()
        if due:
            self._pump_due_s = monotonic() + PUMP_EVERY_S
            self._at_pause()

    def _with_energy(self, energy: CandidateEnergy, evaluation: Evaluation) -> Evaluation:
        """Book what it took, and say it as the last loss if that is asked for."""
        if self._group.size == 1:
            self._used_j, self._spent = energy.used_j(), energy.spent()
        energy.ends()
        spent, self._spent_before = self._spent - self._spent_before, self._spent
        evaluation = replace(evaluation, spent=spent)
        if not self.energy_is_a_loss or evaluation.outcome != "done":
            return evaluation
        if self._used_j is None or isnan(self._used_j):
            return replace(evaluation, outcome="failed", losses=(), reason=NO_READING)
        return replace(evaluation, losses=(*evaluation.losses, self._used_j))

    def candidate(self, order: Evaluate) -> Candidate:
        """What the objective sees of an order."""
        return Candidate(
            order.config, order.number, self._seed, self._place, self._report, self._report_alone
        )

    def evaluate(
        self, order: Evaluate, objective: Objective, timeout_s: float | None, patience_s: float
    ) -> Evaluation:
        """Evaluate `order` on all ranks of the worker.

        Raises:
            HpctrainError: if the objective failed on one rank while the others wait for it.
        """
        trace: list[str] = []
        evaluation = evaluate(objective, self.candidate(order), timeout_s, trace.append)
        if trace:
            text = _trace_text(order, trace[0])
            with self.lock:
                self._note("event", {"kind": "failed candidate", "text": text})
        if self._group.size == 1:
            return evaluation
        return self._agreed(evaluation, patience_s, trace)

    def serve(self, failed: Callable[[BaseException], None]) -> None:
        """Start the thread that answers others while an objective runs."""
        self._service = ServiceThread(self._look, self.lock, failed, LOOK_EVERY_S)
        self._service.start()

    def stop_service(self) -> None:
        if self._service is not None:
            self._service.stop()

    def request_stop(self, reason: str) -> None:
        """End the search as soon as possible; may be called from a signal handler."""
        self.stop_reason = reason

    def _wait_for_order(self) -> Evaluate | None:
        driver, orders = self.driver, self.orders
        assert driver is not None
        pause_s = SHORTEST_PAUSE_S
        if self.energy is not None and not orders.queue:
            self.energy.enter("wait")
        while not orders.queue:
            if driver.finished:
                return None
            with self.lock:
                before = driver.num_handled
                self._pass_on_stop()
                driver.pump()
            if driver.num_handled == before:
                self._at_pause()
                sleep(pause_s)
                pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
        return orders.queue.popleft()

    def _report(self, number: int, step: int, value: float) -> None:
        reason = self._report_alone(number, step, value)
        if self._group.size > 1:
            self._over, reason = self._group.tell((False, reason))
            if self._over:
                raise RuntimeError(UNLIKE)
        if reason is not None:
            raise StopCandidate(reason)

    def _report_alone(self, number: int, step: int, value: float) -> str | None:
        if self.driver is None:
            return None
        with self.lock:
            self._pass_on_stop()
            self.driver.handle(Reported(Interim(number, step, value)))
            self.driver.pump()
            return self.orders.cancelled

    def _agreed(self, evaluation: Evaluation, patience_s: float, trace: list[str]) -> Evaluation:
        """The worker's evaluation: it has failed if it has failed on any rank."""
        complaint = evaluation.reason if evaluation.outcome == "failed" else ""
        try:
            self._hear_the_rest(patience_s if complaint else None)
            complaints, (self._used_j, self._spent) = self._group.vote(
                complaint, patience_s, self._amounts()
            )
        except TimeoutError:
            raise HpctrainError(
                f"candidate {evaluation.number} failed on rank {self._group.rank} of its worker, "
                f"and the other ranks did not end within {patience_s:g} s: do they wait for it? "
                "The search can be resumed; let all ranks of an objective fail together\n"
                + "".join(trace)
            ) from None
        for rank, text in enumerate(complaints):
            if text:
                reason = f"on rank {rank} of the worker: {text}"
                return replace(evaluation, outcome="failed", losses=(), reason=reason)
        return evaluation

    def _amounts(self) -> tuple[float, float]:
        """What this rank has used for the candidate, and in all; NaN joules if it cannot know."""
        if self.energy is None:
            return nan, 0.0
        used_j = self.energy.used_j()
        return (nan if used_j is None else used_j), self.energy.spent()

    def _hear_the_rest(self, patience_s: float | None) -> None:
        """Who reported less often than the leader hears what it missed, up to the leader's end."""
        if self._group.rank == 0:
            self._group.tell((True, None))
            return
        while not self._over:
            self._over, _ = self._group.tell(None, patience_s)

    def _wait_for_the_stop(self) -> None:
        """Worker 0 hears the wish to stop, and tells all."""
        driver = self.driver
        while driver is not None and driver.state.stopping is None and not driver.finished:
            with self.lock:
                self._pass_on_stop()
                driver.pump()
            if driver.state.stopping is None:
                sleep(PUMP_EVERY_S)

    def _look(self) -> None:
        """The thread: help only where an evaluation takes long, and leave short ones alone."""
        driver = self.driver
        if driver is None or driver.finished or not self._evaluating:
            return
        if self._seen == self.evaluations:
            self._pass_on_stop()
            driver.pump()
        self._seen = self.evaluations

    def _pass_on_stop(self) -> None:
        if self.stop_reason is not None and self.driver is not None:
            reason, self.stop_reason = self.stop_reason, None
            self.driver.stop(reason)


def _trace_text(order: Evaluate, trace: str) -> str:
    return f"candidate {order.number}: {trace[-2000:]}"
