"""Budgets of energy and pauses of a search, in virtual time."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.core.gate import Gate
from hpctrain.searching.desk import Child, Desk, Stock
from hpctrain.searching.history import History
from hpctrain.searching.messages import AskNumbers, NoMore, Numbers, Tally
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.stop import Stop
from hpctrain.workers.virtual_search import Imagined, imagined_topology, simulate_search
from tests.searching.conftest import PLANE, Rows, Sampler


def search(workers: int, **settings_of: object) -> tuple[Rows, object]:
    rows = Rows()
    given = SearchSettings(PLANE, lambda: Sampler(PLANE), Stop(evaluations=60))
    done = simulate_search(
        replace(given, **settings_of),  # type: ignore[arg-type]
        imagined_topology(workers),
        lambda worker, order: Imagined((order.genome[0],), 0.7 + 0.1 * worker),
        dict.fromkeys(range(workers), rows),
    )
    return rows, done


@settings(max_examples=30, deadline=None)
@given(
    workers=st.integers(1, 6),
    closed=st.lists(st.floats(0.0, 40.0), min_size=2, max_size=6, unique=True),
)
def test_no_candidate_begins_while_the_gate_is_closed(workers: int, closed: list[float]) -> None:
    edges = sorted(closed)[: len(closed) // 2 * 2]
    spells = tuple(zip(edges[::2], edges[1::2], strict=True))
    rows, _ = search(workers, gate=Gate(spells, "dear"))
    candidates = rows.of("candidate")
    assert sorted(row["number"] for row in candidates) == list(range(60))
    for row in candidates:
        assert not any(a <= row["began_s"] < b for a, b in spells)


def test_the_end_of_the_allocation_ends_a_pause() -> None:
    rows, _ = search(3, gate=Gate(((5.0, 1e9),), "dear"), allocation_s=50.0)
    assert 0 < len(rows.of("candidate")) < 60


def desk_with(stop: Stop, spent: float = 0.0) -> Desk:
    tally = Tally(finished=4, spent=spent) if spent else Tally()
    return Desk(None, {0: Child(1), 1: Child(1)}, Stock([(0, 100)]), stop, tally)


def test_a_candidate_is_begun_only_if_it_is_expected_to_fit() -> None:
    desk = desk_with(Stop(energy=10.0, energy_unit="Wh"), spent=8.0)  # 2 each so far
    (first,) = desk.ask(0, AskNumbers(1, 0, 1.0, Tally()))
    assert isinstance(first.message, Numbers)
    assert list(desk.ask(1, AskNumbers(1, 0, 1.0, Tally()))) == []  # it would be the sixth
    ended = list(desk.ask(0, AskNumbers(1, 0, 1.0, Tally(finished=1, spent=1.9))))
    (reason,) = {c.message.reason for c in ended if isinstance(c.message, NoMore)}
    assert reason == "9.9 of 10 Wh used; another candidate would exceed it"


def test_a_budget_that_is_spent_ends_the_search() -> None:
    desk = desk_with(Stop(energy=10.0, energy_unit="EUR"), spent=8.0)
    list(desk.ask(0, AskNumbers(1, 0, 1.0, Tally())))
    ended = list(desk.ask(0, AskNumbers(1, 0, 1.0, Tally(finished=1, spent=7.0))))
    assert {c.message.reason for c in ended} == {"the budget of 10 EUR is spent"}


def test_earlier_parts_count() -> None:
    rows, _ = search(2, stop=Stop(energy=5.0), history=History(tally=Tally(finished=1, spent=6.0)))
    assert len(rows.of("candidate")) <= 2


def test_a_budget_alone_is_an_end() -> None:
    assert Stop(energy=1.0).ends
    assert not Stop(target=1.0).ends
