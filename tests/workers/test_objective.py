"""Whatever an objective does, the answer is an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpctrain.core.seeds import stream
from hpctrain.searching.messages import Evaluation
from hpctrain.workers.candidate import Candidate, Place, StopCandidate
from hpctrain.workers.objective import evaluate


def candidate(
    tmp_path: Path = Path("nowhere"),
    on_report: Callable[[int, int, float], None] = lambda number, step, value: None,
) -> Candidate:
    place = Place(2, 1, 0, 1, tmp_path)
    return Candidate({"lr": 0.1}, 7, 3, place, on_report, lambda number, step, value: None)


def outcome(objective: Callable[[Candidate], Any], **more: Any) -> Evaluation:
    return evaluate(objective, candidate(), **more)


@pytest.mark.parametrize(
    ("returned", "losses"),
    [
        (1, (1.0,)),
        (np.float32(0.5), (0.5,)),
        ((1.0, 2), (1.0, 2.0)),
        ([3.0], (3.0,)),
        ({"loss": 4.0}, (4.0,)),
        ({"loss": (1.0, 2.0), "cost": 3}, (1.0, 2.0)),
        (inf, (inf,)),
        (np.float64(0.25), (0.25,)),
        (np.array([1.0, 2.0]), (1.0, 2.0)),
        (np.array(3.0), (3.0,)),
    ],
)
def test_what_counts_as_a_loss(returned: Any, losses: tuple[float, ...]) -> None:
    found = outcome(lambda c: returned)
    assert (found.outcome, found.losses, found.number) == ("done", losses, 7)
    assert {type(loss) for loss in found.losses} == {float}


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        (None, "the loss is None of type NoneType; give a number"),
        ("low", "the loss is 'low' of type str; give a number"),
        ({"error": 1.0}, "the objective returned ['error']; give 'loss' among them"),
        ({"loss": 1.0, "cost": -inf}, "the cost is -inf; give a number of at least 0"),
        ({"loss": 1.0, "cost": "much"}, "the cost is 'much'; give a number of at least 0"),
    ],
)
def test_what_does_not(returned: Any, reason: str) -> None:
    found = outcome(lambda c: returned)
    assert found.outcome == "failed"
    assert reason in found.reason


def test_an_exception_is_a_failed_evaluation_with_its_traceback() -> None:
    def broken(c: Candidate) -> float:
        return 1.0 / 0.0

    traces: list[str] = []
    found = outcome(broken, note_traceback=traces.append)
    assert (found.outcome, found.reason) == ("failed", "ZeroDivisionError: float division by zero")
    assert "in broken" in traces[0]


def test_a_parameter_that_is_not_there_is_named() -> None:
    found = outcome(lambda c: c["momentum"])
    assert "candidate 7 has no 'momentum'; it has lr" in found.reason


def test_a_timeout_ends_python_code() -> None:
    def endless(c: Candidate) -> float:
        try:
            while True:
                time.sleep(0.01)
        except Exception:  # not even this catches it
            return 0.0

    began_s = time.monotonic()
    found = outcome(endless, timeout_s=0.1)
    assert time.monotonic() - began_s < 2.0
    assert (found.outcome, found.reason) == ("failed", "it took longer than 0.1 s")


def test_a_timeout_does_not_tear_a_report_apart() -> None:
    handled = []

    def on_report(number: int, step: int, value: float) -> None:
        time.sleep(0.1)
        handled.append(step)

    def reports(c: Candidate) -> float:
        while True:
            c.report(1.0)

    found = evaluate(reports, candidate(on_report=on_report), timeout_s=0.05)
    assert found.reason == "it took longer than 0.05 s"
    assert handled == list(range(1, found.last_step + 1))


def test_a_step_that_cannot_be_written_is_refused() -> None:
    found = outcome(lambda c: c.report(1.0, 2**70))
    assert "give a whole number from 0 to 2^53" in found.reason


@pytest.mark.parametrize("cost", [np.float32(2.0), 2, "2"])
def test_a_cost_may_be_any_number(cost: Any) -> None:
    def objective(c: Candidate) -> float:
        c.cost = cost
        return 1.0

    found = outcome(objective)
    assert found.cost == 2.0
    assert type(found.cost) is float


def test_a_generator_reports_what_it_yields_and_returns_the_loss() -> None:
    seen: list[tuple[int, float]] = []

    def curve(c: Candidate) -> Iterator[Any]:
        yield 3.0
        yield 2.0
        yield (10, 1.5)
        return 1.0

    found = evaluate(curve, candidate(on_report=lambda n, step, value: seen.append((step, value))))
    assert seen == [(1, 3.0), (2, 2.0), (10, 1.5)]
    assert (found.losses, found.last_step, found.last_value) == ((1.0,), 10, 1.5)


def test_without_a_return_the_last_value_is_the_loss() -> None:
    def curve(c: Candidate) -> Iterator[float]:
        yield 3.0
        yield 2.5

    assert outcome(curve).losses == (2.5,)


def test_a_generator_that_yields_nothing_has_failed() -> None:
    def nothing(c: Candidate) -> Iterator[float]:
        yield from ()

    assert "yielded no value" in outcome(nothing).reason


def test_a_candidate_that_is_stopped_cleans_up_and_keeps_its_cost() -> None:
    closed: list[bool] = []

    def stop(number: int, step: int, value: float) -> None:
        if step == 2:
            raise StopCandidate("not worth it")

    def curve(c: Candidate) -> Iterator[float]:
        try:
            for step in range(5):
                c.cost = float(step)
                yield 1.0
        finally:
            closed.append(True)

    found = evaluate(curve, candidate(on_report=stop))
    assert (found.outcome, found.reason) == ("cancelled", "not worth it")
    assert (found.cost, found.last_step) == (1.0, 2)
    assert closed == [True]


def test_a_function_may_report_too_and_is_ended_though_it_catches_exceptions() -> None:
    def stop(number: int, step: int, value: float) -> None:
        raise StopCandidate("enough")

    def stubborn(c: Candidate) -> float:
        try:
            c.report(1.0)
        except Exception:
            return 0.0
        return 0.0

    assert evaluate(stubborn, candidate(on_report=stop)).outcome == "cancelled"


def test_a_cost_is_missing_unless_reported() -> None:
    assert isnan(outcome(lambda c: 1.0).cost)
    assert outcome(lambda c: {"loss": 1.0, "cost": 2.5}).cost == 2.5


def test_a_candidate_is_a_mapping_with_a_seed_and_a_place(tmp_path: Path) -> None:
    one = candidate(tmp_path)
    assert dict(one) == {"lr": 0.1}
    assert (one.worker, one.island, one.rank, one.size, one.comm) == (2, 1, 0, 1, None)
    assert one.seed == stream(3, 7, "candidate")
    assert not (tmp_path / "candidates").exists()
    assert one.directory == tmp_path / "candidates" / "000007"
    assert one.directory.is_dir()
    assert one.last_value is nan or isnan(one.last_value)
