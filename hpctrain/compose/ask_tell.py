"""A search whose loop is the caller's."""

from __future__ import annotations

from math import nan
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hpctrain.compose.search_outcome import SearchResult
from hpctrain.errors import HpctrainError
from hpctrain.searching.messages import Evaluate, Evaluation, Outcome
from hpctrain.workers.candidate import Candidate
from hpctrain.workers.objective import cost_of, losses_of

if TYPE_CHECKING:
    from hpctrain.compose.search_run import SearchRun


class Search:
    """Ask and tell, for those who own their loop; under mpirun on every rank.

    search = ht.Search(space, stop={"evaluations": 100})
    while (candidate := search.ask()) is not None:
        search.tell(candidate, loss_of(candidate))
    result = search.close()
    """

    def __init__(self, run: SearchRun) -> None:
        self._run = run
        self._order: Evaluate | None = None
        self._asked_s = 0.0
        self._over = False
        self._result: SearchResult | None = None

    def ask(self) -> Any:
        """The next candidate to evaluate; None when the search is over.

        Raises:
            HpctrainError: if the last one has not been told of.
        """
        if self._order is not None:
            raise HpctrainError(
                f"candidate {self._order.number} was not told of; call tell(candidate, loss) or "
                "fail(candidate, reason) before asking for the next"
            )
        if self._over:
            return None
        self._order = self._run.loop.next_order()
        self._over, self._asked_s = self._order is None, perf_counter()
        return None if self._order is None else self._run.loop.candidate(self._order)

    def tell(
        self, candidate: Any, loss: Any, took_s: float | None = None, cost: float | None = None
    ) -> None:
        """Say what the loss (or the losses) of `candidate` is.

        Args:
            candidate: as `ask` gave it.
            loss: what an objective may return.
            took_s: seconds of the evaluation; None: since `ask`.
            cost: of the evaluation, if `candidate.cost` does not say it.

        Raises:
            HpctrainError: if it is not the candidate that was asked for, or this is no loss.
        """
        self._check(candidate)
        if cost is not None:
            candidate.cost = cost
        try:
            losses = losses_of(loss, candidate)
        except (TypeError, ValueError) as error:
            raise HpctrainError(
                f"candidate {candidate.number}: {error}, or call fail(candidate, reason)"
            ) from None
        spent = cost_of(candidate)
        if spent is None:
            raise HpctrainError(
                f"candidate {candidate.number}: the cost is {candidate.cost!r}; give a number of "
                "at least 0"
            )
        self._finish(candidate, "done", losses, "", took_s, spent)

    def fail(self, candidate: Any, reason: str, took_s: float | None = None) -> None:
        """Say that the evaluation of `candidate` has failed, or was ended by `StopCandidate`."""
        self._check(candidate)
        ended = self._run.loop.orders.cancelled is not None
        self._finish(candidate, "cancelled" if ended else "failed", (), reason, took_s, nan)

    def close(self) -> SearchResult:
        """Collective, once `ask` has returned None (or to end early, on all ranks)."""
        if self._result is None:
            if not self._over:
                self._run.loop.leave(self._order, "the script has ended")
            self._order, self._over = None, True
            self._result = self._run.close()
        return self._result

    def _check(self, candidate: Any) -> None:
        number = getattr(candidate, "number", candidate)
        if self._order is None or self._order.number != number:
            asked = "none was" if self._order is None else f"number {self._order.number} was"
            raise HpctrainError(f"candidate {number} is told of, but {asked} asked for last")

    def _finish(
        self,
        candidate: Candidate,
        outcome: Outcome,
        losses: tuple[float, ...],
        reason: str,
        took_s: float | None,
        cost: float,
    ) -> None:
        seconds = perf_counter() - self._asked_s if took_s is None else took_s
        last = (candidate.last_step, candidate.last_value)
        self._order = None
        self._run.loop.finish(
            Evaluation(candidate.number, outcome, losses, reason, seconds, cost, *last)
        )
