"""Calling an objective: whatever it does, the answer is an evaluation.

An objective is a function of a `Candidate` that returns a loss, several losses, or a mapping with
`loss` and perhaps `cost`; or a generator that yields values on the way and returns the loss (or
nothing: then the last value is the loss).
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from math import inf, isnan, nan
from time import perf_counter
from types import FrameType
from typing import Any

from hpctrain.searching.messages import Evaluation, Outcome
from hpctrain.workers.candidate import Candidate, StopCandidate

Objective = Callable[[Candidate], Any]

MOST_REASON = 500  # characters
RING_AGAIN_S = 0.001  # where a timeout finds a report under way


class EvaluationTimeout(BaseException):
    """The time of an evaluation is over. Not an Exception, so that objectives let it pass."""


def evaluate(
    objective: Objective,
    candidate: Candidate,
    timeout_s: float | None = None,
    note_traceback: Callable[[str], None] = lambda text: None,
) -> Evaluation:
    """Evaluate `candidate`; exceptions, timeouts and nonsense become failed evaluations.

    Args:
        objective: the user's.
        candidate: what to evaluate.
        timeout_s: seconds after which it has failed. It is raised inside of Python code in the
            main thread; code that never returns to Python is not interrupted.
        note_traceback: told the traceback of an exception.
    """
    began_s = perf_counter()
    outcome: Outcome = "done"
    losses: tuple[float, ...] = ()
    reason = ""
    try:
        if timeout_s is None:
            result = _call(objective, candidate)
        else:
            with _alarm(timeout_s, candidate):
                result = _call(objective, candidate)
        losses = losses_of(result, candidate)
    except StopCandidate as stop:
        outcome, reason = "cancelled", str(stop)
    except EvaluationTimeout:
        outcome, reason = "failed", f"it took longer than {timeout_s:g} s"
    except (Exception, SystemExit) as error:  # a failed candidate must not end the search
        outcome, reason = "failed", f"{type(error).__name__}: {error}"[:MOST_REASON]
        note_traceback(traceback.format_exc())
    cost = cost_of(candidate)
    if cost is None:
        outcome, losses, cost = "failed", (), nan
        reason = f"the cost is {candidate.cost!r}; give a number of at least 0"[:MOST_REASON]
    return Evaluation(
        candidate.number, outcome, losses, reason, perf_counter() - began_s,
        cost, candidate.last_step, candidate.last_value,
    )  # fmt: skip


def _call(objective: Objective, candidate: Candidate) -> Any:
    result = objective(candidate)
    return _drive(result, candidate) if isinstance(result, Generator) else result


def _drive(values: Generator[Any, None, Any], candidate: Candidate) -> Any:
    """Run a generator to its end; each value is a report."""
    try:
        while True:
            try:
                value = next(values)
            except StopIteration as end:
                if end.value is not None:
                    return end.value
                if candidate.last_step < 0:
                    raise TypeError("the objective yielded no value and returned none") from None
                return candidate.last_value
            if isinstance(value, tuple):
                step, loss = value
                candidate.report(_number(loss, "value"), step)
            else:
                candidate.report(_number(value, "value"))
    finally:
        values.close()


def cost_of(candidate: Candidate) -> float | None:
    """What it cost, NaN if that was not said; None if that is no cost at all."""
    cost = candidate.cost
    if cost is nan or cost is None:
        return nan
    try:
        cost = float(cost)
    except (TypeError, ValueError, OverflowError):
        return None
    return cost if 0.0 <= cost < inf or isnan(cost) else None


def losses_of(result: Any, candidate: Candidate) -> tuple[float, ...]:
    """The losses in what an objective returned.

    Raises:
        TypeError, ValueError: if there are none in it.
    """
    if isinstance(result, float):
        return (float(result),)
    if isinstance(result, Mapping):
        if "loss" not in result:
            raise ValueError(f"the objective returned {sorted(result)}; give 'loss' among them")
        if "cost" in result:
            candidate.cost = result["cost"]
        result = result["loss"]
    if hasattr(result, "tolist"):  # an array or a scalar of numpy or torch
        result = result.tolist()
    if isinstance(result, list | tuple):
        return tuple(_number(loss, "loss") for loss in result)
    return (_number(result, "loss"),)


def _number(value: Any, what: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(
            f"the {what} is {value!r} of type {type(value).__name__}; give a number"
        ) from None


@contextmanager
def _alarm(seconds: float, candidate: Candidate) -> Iterator[None]:
    """Raise `EvaluationTimeout` in the main thread after `seconds`, but not inside of a report."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        if candidate.reporting:  # messages are being handled, and none may be lost
            signal.setitimer(signal.ITIMER_REAL, RING_AGAIN_S)
        else:
            raise EvaluationTimeout

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
