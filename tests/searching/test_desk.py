"""The lease office by itself: who gets which numbers, and when it closes."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.core.events import Send
from hpctrain.searching.desk import Child, Desk, Stock
from hpctrain.searching.history import History, ranges_of
from hpctrain.searching.messages import (
    AllDone,
    AskNumbers,
    LastWords,
    NoMore,
    Numbers,
    StopSearch,
    Tally,
)
from hpctrain.searching.stop import Stop


def desk(count: int, children: int = 2, upstream: int | None = None, **stop: Any) -> Desk:
    workers = {worker: Child(1) for worker in range(children)}
    return Desk(upstream, workers, Stock([(0, count)] if count else []), Stop(**stop))


def ask(
    of: Desk, worker: int, idle: int = 1, done: Tally | None = None, mean_s: float = 1.0
) -> Any:
    return list(of.ask(worker, AskNumbers(idle, 1, mean_s, done or Tally())))


def numbers(sends: list[Send]) -> dict[int, int]:
    """How many numbers each child got."""
    return {
        send.to: sum(b - a for a, b in send.message.ranges)
        for send in sends
        if isinstance(send.message, Numbers)
    }


@given(
    st.lists(st.integers(0, 30), max_size=8),
    st.lists(st.integers(1, 9), min_size=1, max_size=30),
)
def test_a_stock_gives_every_number_once_and_in_order(lengths: list[int], takes: list[int]) -> None:
    ranges, at = [], 0
    for length in lengths:
        if length:
            ranges.append((at, at + length))
        at += length + 3
    stock = Stock(ranges)
    every = [number for a, b in ranges for number in range(a, b)]
    taken = [number for take in takes for a, b in stock.take(take) for number in range(a, b)]
    while stock:
        taken.append(stock.pop())
    assert taken == every


def test_who_is_idle_gets_one_number_as_long_as_nothing_is_known() -> None:
    assert numbers(ask(desk(100), 0, mean_s=0.0)) == {0: 1}


def test_blocks_last_at_most_a_fraction_of_the_time_that_is_left() -> None:
    office = desk(100, children=2)
    done = Tally(finished=10, busy_s=10.0)
    wanted = list(office.ask(0, AskNumbers(1, 50, 1.0, done)))
    assert numbers(wanted) == {0: 12}  # 100 s of work for two workers: a quarter of 50 s


def test_a_slow_worker_gets_smaller_blocks() -> None:
    office = desk(1000, children=2)
    done = Tally(finished=10, busy_s=10.0)
    fast = numbers(list(office.ask(0, AskNumbers(1, 500, 1.0, done))))[0]
    slow = numbers(list(office.ask(1, AskNumbers(1, 500, 10.0, Tally()))))[1]
    assert 8 <= fast / slow <= 13


def test_a_slow_worker_gets_nothing_that_the_others_will_have_done_sooner() -> None:
    office = desk(3, children=3)
    ask(office, 0, idle=0, done=Tally(finished=50, busy_s=50.0))
    ask(office, 1, idle=0)
    assert numbers(ask(office, 2, mean_s=30.0)) == {}
    assert numbers(ask(office, 0)) == {0: 1}
    assert numbers(ask(office, 1)) == {1: 1}
    last = ask(office, 0)
    assert numbers(last) == {0: 1}
    assert [send.to for send in last if isinstance(send.message, NoMore)] == [2]


def test_a_slow_worker_is_served_when_the_others_have_left() -> None:
    office = desk(3, children=2)
    ask(office, 0, idle=0)
    assert numbers(ask(office, 1, mean_s=90.0)) == {}
    assert numbers(list(office.leave(0, LastWords(Tally())))) == {1: 1}


def test_an_islands_desk_asks_upstream_for_those_who_wait() -> None:
    office = desk(0, upstream=7)
    (first,) = ask(office, 0)
    assert (first.to, first.message.idle) == (7, 1)
    (second,) = ask(office, 1)
    assert second.message.idle == 1  # one more, not two
    assert numbers(list(office.lease(Numbers(((4, 6),))))) == {0: 1, 1: 1}


def test_tallies_reach_worker_0_exactly_once() -> None:
    office = desk(0, upstream=7)
    sends = ask(office, 0, done=Tally(finished=3)) + ask(office, 1, done=Tally(finished=4))
    assert sum(send.message.done.finished for send in sends) == 7


def test_numbers_that_come_back_are_handed_out_again() -> None:
    office = desk(2)
    ask(office, 0)
    assert numbers(ask(office, 1)) == {1: 1}
    # 1 leaves with its number unused while 0 works; 0 gets it
    assert office.closed is not None  # nothing was left
    office = desk(3)
    ask(office, 0)
    ask(office, 1)
    list(office.leave(1, LastWords(Tally(), ((1, 2),))))
    assert numbers(ask(office, 0)) == {0: 1}
    assert numbers(ask(office, 0)) == {0: 1}


def test_when_all_have_left_everybody_may_go() -> None:
    office = desk(0, children=3)
    for worker in range(2):
        assert not any(
            isinstance(send.message, AllDone) for send in office.leave(worker, LastWords(Tally()))
        )
    sends = list(office.leave(2, LastWords(Tally())))
    assert [send.to for send in sends if isinstance(send.message, AllDone)] == [0, 1, 2]


def test_a_stop_reaches_every_child_once() -> None:
    office = desk(10, children=3)
    assert [send.to for send in office.close("enough", False)] == [0, 1, 2]
    assert list(office.close("enough", False)) == []
    cancelled = list(office.close("a signal", True))
    assert all(send.message == StopSearch("a signal", True) for send in cancelled)
    assert office.closed == "enough"


def test_a_budget_of_cost_admits_one_candidate_at_a_time() -> None:
    office = desk(100, children=3, cost=10.0)
    assert numbers(ask(office, 0)) == {0: 1}
    assert numbers(ask(office, 1)) == {1: 1}
    done = Tally(finished=1, cost=4.0, busy_s=1.0)
    assert numbers(ask(office, 0, done=done)) == {}  # 4 spent, 4 under way: another may not fit
    cheap = Tally(finished=1, cost=1.0, busy_s=1.0)
    assert numbers(ask(office, 1, done=cheap)) == {0: 1, 1: 1}  # 5 spent, 2.5 each


@given(st.sets(st.integers(0, 60)), st.integers(0, 50))
def test_what_is_left_of_a_run_is_what_has_not_ended(ended: set[int], evaluations: int) -> None:
    history = History((), ranges_of(ended))
    left = [number for a, b in history.left(evaluations) for number in range(a, b)]
    assert left == [number for number in range(evaluations) if number not in ended]


def test_the_same_wish_of_every_rank_is_passed_on_once() -> None:
    of = desk(10)
    first = [*of.close("SIGTERM", True), *of.close("SIGTERM", True), *of.close("bad luck", False)]
    assert [(send.to, send.message) for send in first] == [
        (worker, StopSearch("SIGTERM", True)) for worker in (0, 1)
    ]
    assert list(of.close("once more", True)) == []
    assert of.closed == "SIGTERM"


def test_numbers_that_come_back_open_a_desk_that_had_run_dry() -> None:
    of = desk(2)
    ask(of, 0)
    assert numbers(ask(of, 1)) == {1: 1}
    assert of.closed == "all evaluations are done"
    list(of.leave(0, LastWords(Tally(), ((0, 1),))))
    assert of.closed is None
    assert numbers(ask(of, 1, done=Tally(finished=1))) == {1: 1}
    assert of.closed == "all evaluations are done"


def test_a_target_that_was_reached_before_a_resume_ends_the_search_at_once() -> None:
    of = desk(10, target=0.5)
    of.tally.best_loss = 0.4
    assert ask(of, 0)[0].message == StopSearch("the target of 0.5 is reached", False)


def test_a_budget_that_nothing_is_paid_from_ends_the_search() -> None:
    of = desk(1000, cost=5.0)
    for _ in range(12):
        ask(of, 0, done=Tally(finished=1))
    assert of.closed is None
    ask(of, 0, done=Tally(finished=1))
    assert of.closed == "no evaluation has reported a cost, so the budget would never be spent"
