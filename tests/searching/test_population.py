"""What a worker remembers is bounded, and depends on records, not on the order they came in."""

from __future__ import annotations

from math import inf, nan
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from hpctrain.searching.gossip import MOST_RECORDS, Grapevine
from hpctrain.searching.memory import MOST_GENOMES, Memory, averaged
from hpctrain.searching.pareto import crowding, fronts, pareto_front
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import INACTIVE, Record, failed_record
from hpctrain.searching.wire import GONE, PENDING, RecordWire, pack_interim, unpack_interim

losses = st.floats(-1e6, 1e6)
many = st.lists(losses, min_size=1, max_size=80)


def records(values: list[float]) -> list[Record]:
    return [Record(loss, number, (float(number), loss)) for number, loss in enumerate(values)]


@given(many, st.integers(1, 20), st.randoms())
def test_the_elite_are_the_best_in_any_order_of_arrival(
    values: list[float], size: int, random: Random
) -> None:
    arriving = records(values)
    random.shuffle(arriving)
    population = Population(Needs(size))
    for record in arriving:
        population.add(record)
    assert population.elites == sorted(records(values))[:size]


@given(many, st.randoms())
def test_the_sample_is_even_and_does_not_depend_on_the_order(
    values: list[float], random: Random
) -> None:
    def sample(arriving: list[Record]) -> set[int]:
        population = Population(Needs(3, sample=10))
        for record in arriving:
            population.add(record)
        return {record.number for record in population.sample}

    shuffled = records(values)
    random.shuffle(shuffled)
    assert sample(shuffled) == sample(records(values))
    assert len(sample(shuffled)) == min(10, len(values))


def test_adding_tells_whether_it_is_news() -> None:
    population = Population(Needs(2))
    assert population.add(Record(3.0, 0, (0.0,)))
    assert population.add(Record(1.0, 1, (1.0,)))
    assert not population.add(Record(1.0, 1, (1.0,)))
    assert not population.add(Record(9.0, 2, (2.0,)))
    assert population.add(Record(2.0, 3, (3.0,)))
    assert [record.number for record in population.elites] == [1, 3]


def test_of_two_evaluations_that_are_not_averaged_the_better_is_kept() -> None:
    population = Population(Needs(4))
    population.add(Record(2.0, 0, (0.5,)))
    assert population.add(Record(1.0, 1, (0.5,)))
    assert not population.add(Record(3.0, 2, (0.5,)))
    assert population.elites == [Record(1.0, 1, (0.5,))]
    assert population.add(Record(1.5, 3, (0.5,), times=2))
    assert population.best == Record(1.5, 3, (0.5,), times=2)


def test_failed_evaluations_are_never_elite() -> None:
    population = Population(Needs(5, recent=5))
    for loss in (nan, inf, -inf):
        assert not population.add(Record(loss, 0, (0.0,)))
    assert not population.add(failed_record(1, (0.0,), 2))
    assert population.elites == []
    assert len(population.recent) == 4


def test_who_has_moved_is_forgotten() -> None:
    population = Population(Needs(5))
    population.add(Record(1.0, 4, (0.0,)))
    assert population.remove(4)
    assert not population.remove(4)
    assert population.elites == []


@given(st.lists(st.tuples(losses, losses), min_size=1, max_size=30, unique=True))
def test_no_member_of_the_front_is_dominated(pairs: list[tuple[float, float]]) -> None:
    all_of_them = [Record(a, i, (a, b), (b,)) for i, (a, b) in enumerate(pairs)]
    front = pareto_front(all_of_them)
    for record in front:
        assert not any(
            other.loss <= record.loss
            and other.more[0] <= record.more[0]
            and other.losses != record.losses
            for other in all_of_them
        )
    assert sorted(r.number for one in fronts(all_of_them) for r in one) == list(range(len(pairs)))


def test_crowding_prefers_who_stands_alone() -> None:
    front = [Record(float(x), i, (x,), (-float(x),)) for i, x in enumerate((0, 1, 2, 9, 10))]
    apart = crowding(front)
    assert apart[0] == apart[4] == inf
    assert apart[3] > apart[1]


def test_several_objectives_keep_the_front_in_bounded_space() -> None:
    population = Population(Needs(8))
    for number in range(200):
        x = number / 199
        population.add(Record(x, number, (x,), (1.0 - x,)))
        population.add(Record(x + 1.0, 1000 + number, (x + 1.0,), (2.0 - x,)))
    assert len(population.elites) == 8
    assert all(abs(record.loss + record.more[0] - 1.0) < 1e-12 for record in population.elites)


def test_memory_forgets_the_oldest_and_averages() -> None:
    memory = Memory()
    for number in range(MOST_GENOMES + 5):
        memory.remember(Record(1.0, number, (float(number),)))
    assert len(memory) == MOST_GENOMES
    assert (4.0,) not in memory
    assert (5.0,) in memory
    mean = averaged(Record(1.0, 0, (0.0,), (3.0,), 3), Record(5.0, 1, (0.0,), (7.0,)))
    assert (mean.losses, mean.times, mean.number) == ((2.0, 4.0), 4, 1)


@given(st.lists(st.tuples(losses, st.integers(-5, 2**60), losses, losses), max_size=20))
def test_records_come_out_of_the_wire_as_they_went_in(
    rows: list[tuple[float, int, float, float]],
) -> None:
    wire = RecordWire(2, 2, False)
    sent = [Record(a, n, (b, c), (a + 1.0,), 1) for a, n, b, c in rows]
    assert list(wire.unpack(wire.pack(sent))) == sent


def test_inactive_genes_are_the_same_object_after_the_wire() -> None:
    wire = RecordWire(2, 1, True)
    sent = [Record(1.0, 1, (INACTIVE, 2.0)), Record(1.0, 2, (1.0, INACTIVE), (), PENDING)]
    assert list(wire.unpack(wire.pack(sent))) == sent
    assert GONE < 0
    values = [(1, 2, 3.5), (4, 5, inf)]
    assert list(unpack_interim(pack_interim(values))) == values


@given(st.integers(1, 70))
def test_the_grapevine_connects_an_island_of_any_size(size: int) -> None:
    wire = RecordWire(1, 1, False)
    vines = [Grapevine(worker, range(size), wire) for worker in range(size)]
    told = {0}
    vines[0].tell(Record(1.0, 0, (0.0,)))
    rounds = 0
    while len(told) < size:
        rounds += 1
        arriving = [(i, vine.next()) for i, vine in enumerate(vines)]
        for sender, news in arriving:
            if news is not None and news[0] not in told:
                told.add(news[0])
                vines[news[0]].tell(Record(1.0, 0, (0.0,)), sender)
        assert rounds < 4 * size.bit_length() + 4


def test_a_message_holds_the_best_that_there_is_to_tell() -> None:
    wire = RecordWire(1, 1, False)
    vine = Grapevine(0, [0, 1], wire)
    for number in range(100):
        vine.tell(Record(float(number % 50), number, (0.0,)))
    news = vine.next()
    assert news is not None
    kept = list(wire.unpack(news[1].records))
    assert len(kept) == MOST_RECORDS
    assert max(record.loss for record in kept) < 8.5
    assert vine.next() is None
