"""The island search as a whole, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log2, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.core.events import Reported
from hpctrain.searching.fidelity import MedianRule, Rungs, SuccessiveHalving
from hpctrain.searching.history import History, ranges_of
from hpctrain.searching.messages import Evaluate, Interim, Tally
from hpctrain.searching.population import Needs
from hpctrain.searching.record import Record
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.space import Space
from hpctrain.searching.stop import Stop
from hpctrain.searching.travel import Travel
from hpctrain.workers.virtual_search import Imagined, imagined_topology, simulate_search
from tests.searching.conftest import (
    PLANE,
    Climber,
    Rows,
    Sampler,
    Simulated,
    genome_of,
    sphere,
)

Simulate = Callable[..., Simulated]


def test_every_number_is_evaluated_once_and_all_workers_end(simulate: Simulate) -> None:
    done = simulate(imagined_topology(6, 2))
    assert done.numbers == list(range(200))
    assert done.all_finished
    assert done.reason == "all evaluations are done"


@settings(max_examples=150, deadline=None)
@given(
    workers=st.integers(1, 12),
    islands=st.integers(1, 4),
    evaluations=st.integers(1, 80),
    times=st.lists(st.floats(0.001, 50.0), min_size=1, max_size=7),
    moves=st.booleans(),
    pattern=st.sampled_from(["ring", "complete", "none"]),
)
def test_whatever_the_speeds_nothing_is_lost_done_twice_or_left_hanging(
    workers: int, islands: int, evaluations: int, times: list[float], moves: bool, pattern: Any
) -> None:
    rows = Rows()
    topology = imagined_topology(workers, min(islands, workers))

    def imagine(worker: int, order: Evaluate) -> Imagined:
        return Imagined((order.genome[0],), times[(worker + order.number) % len(times)])

    found = simulate_search(
        SearchSettings(
            PLANE,
            lambda: Climber(PLANE),
            Stop(evaluations=evaluations),
            travel=Travel(pattern, 0.5, moves),
        ),
        topology,
        imagine,
        dict.fromkeys(range(workers), rows),
    )
    assert sorted(row["number"] for row in rows.of("candidate")) == list(range(evaluations))
    assert all(driver.finished for driver in found.simulator.drivers)


def test_a_candidate_is_the_same_at_any_number_of_workers(simulate: Simulate) -> None:
    def genomes(workers: int) -> list[tuple[float, ...]]:
        done = simulate(workers, propagator=lambda: Sampler(PLANE))
        return [genome_of(row) for row in done.candidates]

    assert genomes(1) == genomes(3) == genomes(16)


def test_a_search_is_repeated_bit_for_bit(simulate: Simulate) -> None:
    first, second = simulate(5), simulate(5)
    assert first.candidates == second.candidates


def test_a_slow_worker_holds_nobody_back(simulate: Simulate) -> None:
    def imagine(worker: int, order: Evaluate) -> Imagined:
        return Imagined((order.genome[0],), 10.0 if worker == 3 else 1.0)

    done = simulate(4, imagine, stop=Stop(evaluations=400))
    ideal_s = 400 / 3.1
    assert done.search.seconds < ideal_s + 10.0
    assert done.search.utilisation > 0.97


def test_short_evaluations_cost_hardly_any_messages(simulate: Simulate) -> None:
    def imagine(worker: int, order: Evaluate) -> Imagined:
        return Imagined((sum(x * x for x in order.genome),), 1e-3)

    done = simulate(4, imagine, stop=Stop(evaluations=8000))
    leases = done.search.num_messages["AskNumbers"] + done.search.num_messages["Numbers"]
    assert leases < 400  # of 8,000 evaluations: blocks of a fifth of a second
    assert done.search.num_messages["Gossip"] < 2000


@pytest.mark.parametrize("workers", [16, 64, 256])
def test_news_reaches_everyone_in_about_log2_of_the_workers(workers: int) -> None:
    """One candidate is best by far; how many evaluations later does everybody know?"""
    seen: dict[int, int] = {}
    counts = [0] * workers

    def imagine(worker: int, order: Evaluate) -> Imagined:
        counts[worker] += 1
        best = order.number == workers  # the first of the second round
        return Imagined((-1.0 if best else 1.0 + order.genome[0] ** 2,), 1.0)

    class Watcher(Climber):
        def observe(self, record: Record, made_by: str) -> None:
            if record.loss == -1.0:
                seen[id(self)] = counts[0]

    simulate_search(
        SearchSettings(PLANE, lambda: Watcher(PLANE), Stop(evaluations=40 * workers)),
        imagined_topology(workers),
        imagine,
    )
    assert len(seen) == workers
    assert max(seen.values()) - min(seen.values()) <= 2 * log2(workers)


def test_gossip_is_at_most_one_message_per_evaluation(simulate: Simulate) -> None:
    for workers in (2, 8, 50):
        done = simulate(workers, stop=Stop(evaluations=600))
        assert done.search.num_messages["Gossip"] <= 600


def test_islands_learn_from_each_other_only_by_travel(simulate: Simulate) -> None:
    def knows_best(pattern: Any) -> int:
        done = simulate(
            imagined_topology(6, 3), travel=Travel(pattern, 0.5), stop=Stop(evaluations=600)
        )
        best = min(row["loss"] for row in done.candidates)
        elites = [state.knowledge.population.elites for state in done.search.states]
        return sum(best == records[0].loss for records in elites)

    assert knows_best("none") == 2  # its own island
    assert knows_best("ring") > 2


def test_who_migrates_is_gone_from_the_island(simulate: Simulate) -> None:
    done = simulate(
        imagined_topology(4, 2),
        travel=Travel("complete", 0.3, moves=True),
        stop=Stop(evaluations=400),
    )
    islands: list[set[int]] = [set(), set()]
    for state in done.search.states:
        numbers = {record.number for record in state.knowledge.population.elites}
        islands[state.island] |= numbers
    shared = islands[0] & islands[1]
    assert len(shared) <= 3  # tombstones that were still on their way at the end


@pytest.mark.parametrize("seed", range(6))
def test_the_best_is_found_though_it_was_moving_when_the_search_ended(
    simulate: Simulate, seed: int
) -> None:
    done = simulate(
        imagined_topology(6, 3),
        propagator=lambda: Sampler(PLANE),
        travel=Travel("complete", 0.9, moves=True),
        stop=Stop(evaluations=60),
        seed=seed,
    )
    known = [record.loss for state in done.search.states for record in state.knowledge.best]
    assert min(known) == min(row["loss"] for row in done.candidates)


def test_a_late_value_of_a_candidate_that_has_ended_says_nothing_about_the_next(
    simulate: Simulate,
) -> None:
    done = simulate(1, stop=Stop(evaluations=3), fidelity=SuccessiveHalving())
    driver = done.search.simulator.drivers[0]
    driver.handle(Reported(Interim(0, 1, 99.0)))
    assert done.rows.of("candidate_value") == []
    assert driver.state.rungs.by_rung == {}


def test_a_target_ends_the_search(simulate: Simulate) -> None:
    done = simulate(stop=Stop(evaluations=100_000, target=0.5))
    assert done.reason == "the target of 0.5 is reached"
    assert len(done.numbers) < 5000
    assert done.all_finished


def test_no_improvement_ends_the_search(simulate: Simulate) -> None:
    def flat(worker: int, order: Evaluate) -> Imagined:
        return Imagined((1.0,), 1.0)

    done = simulate(imagine=flat, stop=Stop(patience=30))
    assert done.reason == "no improvement in 30 evaluations"
    assert 30 <= len(done.numbers) <= 45


def test_hours_end_the_search_and_nothing_is_begun_that_would_take_longer(
    simulate: Simulate,
) -> None:
    def slow(worker: int, order: Evaluate) -> Imagined:
        return Imagined((1.0,), 100.0)

    done = simulate(imagine=slow, stop=Stop(hours=1.0))
    assert done.search.seconds <= 3600.01  # the last messages
    assert {state.stopping for state in done.search.states} == {"1 hours are over"}
    assert {row["outcome"] for row in done.candidates} == {"done"}
    assert 4 * 35 <= len(done.numbers) <= 4 * 36


def test_after_a_resume_nothing_is_begun_that_would_take_longer_than_before(
    simulate: Simulate,
) -> None:
    past = History(ended=((0, 4),), tally=Tally(finished=4, busy_s=4 * 4000.0))
    done = simulate(stop=Stop(hours=1.0), history=past)
    assert done.candidates == []
    assert done.all_finished


def test_the_end_of_the_time_cancels_what_is_longer_than_expected(simulate: Simulate) -> None:
    def imagine(worker: int, order: Evaluate) -> Imagined:
        steps = [(step, 1.0) for step in range(1, 100)]
        return Imagined((1.0,), 100.0 if order.number < 4 else 10_000.0, steps)

    done = simulate(imagine=imagine, stop=Stop(hours=1.0))
    assert done.all_finished
    assert done.search.seconds < 3700.0
    assert [row["outcome"] for row in done.candidates] == ["done"] * 4 + ["cancelled"] * 4


@settings(max_examples=30, deadline=None)
@given(
    budget=st.floats(5.0, 60.0),
    workers=st.integers(1, 9),
    costs=st.lists(st.floats(0.1, 4.0), min_size=1, max_size=5),
    islands=st.integers(1, 3),
)
def test_a_budget_of_cost_is_exceeded_by_at_most_one_evaluation_per_worker(
    budget: float, workers: int, costs: list[float], islands: int
) -> None:
    rows = Rows()

    def imagine(worker: int, order: Evaluate) -> Imagined:
        return Imagined((1.0,), 1.0 + worker, cost=costs[order.number % len(costs)])

    found = simulate_search(
        SearchSettings(PLANE, lambda: Sampler(PLANE), Stop(cost=budget)),
        imagined_topology(workers, min(islands, workers)),
        imagine,
        dict.fromkeys(range(workers), rows),
    )
    spent = [row["cost"] for row in rows.of("candidate")]
    assert all(driver.finished for driver in found.simulator.drivers)
    assert sum(spent) <= budget + workers * max(costs)
    assert sum(spent) >= min(budget - max(costs) * (workers + 1), budget / 2)


def test_failures_are_rows_with_a_reason_and_nobody_breeds_from_them(simulate: Simulate) -> None:
    def imagine(worker: int, order: Evaluate) -> Imagined:
        loss = [1.0, nan, inf, 2.0][order.number % 4]
        return Imagined((loss,), 1.0, outcome="failed" if order.number % 7 == 0 else "done")

    done = simulate(imagine=imagine)
    assert done.numbers == list(range(200))
    failed = [row for row in done.candidates if row["outcome"] == "failed"]
    assert {row["reason"] for row in failed} == {"", "the loss is nan", "the loss is inf"}
    for state in done.search.states:
        assert all(record.usable for record in state.knowledge.population.elites)


def test_nothing_is_paid_for_twice_and_a_small_space_is_exhausted(simulate: Simulate) -> None:
    space = Space({"a": ["x", "y"], "b": (1, 5)})
    done = simulate(3, space=space)
    evaluated = [row for row in done.candidates if row["outcome"] == "done"]
    assert len({genome_of(row, space) for row in evaluated}) == 10
    assert len(evaluated) <= 13  # workers that begin at the same moment cannot know each other's
    assert done.reason == "every configuration has been evaluated"
    assert done.all_finished


def test_noisy_losses_are_averaged(simulate: Simulate) -> None:
    space = Space({"a": ["x", "y"]})

    def noisy(worker: int, order: Evaluate) -> Imagined:
        return Imagined((order.genome[0] + (-1.0) ** order.number,), 1.0)

    done = simulate(
        1, noisy, space, lambda: Sampler(space), duplicates="average", stop=Stop(evaluations=60)
    )
    assert len(done.numbers) == 60
    state = next(iter(done.search.states))
    assert sum(record.times for record in state.knowledge.population.elites) == 60
    for record in state.knowledge.population.elites:
        losses = [row["loss"] for row in done.candidates if genome_of(row, space) == record.genome]
        assert record.loss == pytest.approx(sum(losses) / len(losses))


def test_a_resumed_search_goes_on_with_what_was_lost_and_what_is_left(simulate: Simulate) -> None:
    best = Record(-7.0, 3, (0.0, 0.0))
    history = History((best,), ranges_of([0, 1, 3, 4, 9]), Tally(finished=5, best_loss=-7.0))
    done = simulate(stop=Stop(evaluations=20), history=history)
    assert done.numbers == [2, 5, 6, 7, 8, *range(10, 20)]
    assert all(s.knowledge.population.best == best for s in done.search.states)


def test_a_search_that_has_nothing_left_ends_at_once(simulate: Simulate) -> None:
    history = History((), ranges_of(range(20)), Tally(finished=20))
    done = simulate(imagined_topology(4, 2), stop=Stop(evaluations=20), history=history)
    assert done.numbers == []
    assert done.all_finished


def test_given_candidates_come_first(simulate: Simulate) -> None:
    given_genomes = [(1.0, 2.0), (3.0, 4.0)]
    done = simulate(given=given_genomes)
    assert [genome_of(row) for row in done.candidates[:2]] == given_genomes
    assert [row["made_by"] for row in done.candidates[:3]] == ["given", "given", "random"]


def staircase(worker: int, order: Evaluate) -> Imagined:
    """Twenty-seven steps, on all of which better candidates have better values."""
    quality = order.genome[0] ** 2
    return Imagined((quality,), 27.0, [(step, quality + 1 / step) for step in range(1, 28)])


def test_successive_halving_ends_most_candidates_early_and_finds_as_good(
    simulate: Simulate,
) -> None:
    def run(fidelity: Any) -> Simulated:
        return simulate(
            8,
            staircase,
            propagator=lambda: Sampler(PLANE),
            fidelity=fidelity,
            stop=Stop(evaluations=300),
        )

    plain, asha = run(None), run(SuccessiveHalving(1, 3.0))
    stopped = [row for row in asha.candidates if row["outcome"] == "stopped"]
    assert len(stopped) > 150
    assert all("were better" in row["reason"] for row in stopped)
    assert asha.search.seconds < 0.5 * plain.search.seconds
    best = min(row["loss"] for row in plain.candidates)
    done = [row["loss"] for row in asha.candidates if row["outcome"] == "done"]
    assert min(done) == best  # the same candidates: the best is best at every step


def test_the_median_rule_ends_the_worse_half_at_every_step(simulate: Simulate) -> None:
    done = simulate(4, staircase, propagator=lambda: Sampler(PLANE), fidelity=MedianRule(3, 5))
    outcomes = [row["outcome"] for row in done.candidates]
    assert 0.5 < outcomes.count("stopped") / len(outcomes) < 0.95
    assert all(row["last_step"] >= 3 for row in done.candidates if row["outcome"] == "stopped")


def test_several_objectives_leave_a_front(simulate: Simulate) -> None:
    def two(worker: int, order: Evaluate) -> Imagined:
        x, y = order.genome
        return Imagined((x * x + y * y, (x - 2) ** 2 + y * y), 1.0)

    done = simulate(imagine=two, num_objectives=2, stop=Stop(evaluations=500))
    state = next(iter(done.search.states))
    front = [record.losses for record in state.knowledge.population.elites]
    assert all("loss_1" in row for row in done.candidates)
    assert not any(a[0] < b[0] and a[1] < b[1] for a in front for b in front if a is not b)
    assert min(losses[0] for losses in front) < 0.5
    assert min(losses[1] for losses in front) < 0.5


def test_pending_candidates_are_known_to_others_who_want_to_know(simulate: Simulate) -> None:
    seen: list[int] = []

    class Curious(Sampler):
        def breed(self, population: Any, number: int, draws: Any) -> Any:
            seen.append(len(population.pending))
            return super().breed(population, number, draws)

    needs = Needs(10, recent=50, pending=True)
    done = simulate(4, propagator=lambda: Curious(PLANE, needs))
    assert max(seen) >= 2
    assert max(seen) <= 8
    assert done.numbers == list(range(200))


def test_memory_does_not_grow_with_evaluations(simulate: Simulate) -> None:
    def quick(worker: int, order: Evaluate) -> Imagined:
        return Imagined((sum(x * x for x in order.genome),), 1e-3)

    done = simulate(2, quick, stop=Stop(evaluations=12_000))
    for state in done.search.states:
        knowledge = state.knowledge
        assert len(knowledge.population.elites) == 10
        assert len(knowledge.memory) <= 10_000
        assert not knowledge.population.pending


def test_a_signal_at_one_worker_ends_the_search_everywhere() -> None:
    rows = Rows()
    topology = imagined_topology(5, 2)
    settings_ = SearchSettings(PLANE, lambda: Climber(PLANE), Stop(evaluations=10_000))

    def imagine(worker: int, order: Evaluate) -> Imagined:
        found = sphere(worker, order)
        return Imagined(found.losses, found.seconds, [(step, 1.0) for step in range(1, 5)])

    from hpctrain.workers import virtual_search

    class Stopping(virtual_search.Simulator):
        def start(self) -> None:
            super().start()
            self.request_stop(3, "SIGTERM", 10.0)

    original = virtual_search.Simulator
    virtual_search.Simulator = Stopping  # type: ignore[misc]
    try:
        found = simulate_search(settings_, topology, imagine, dict.fromkeys(range(5), rows))
    finally:
        virtual_search.Simulator = original  # type: ignore[misc]
    assert all(driver.finished for driver in found.simulator.drivers)
    assert found.seconds < 10.1
    assert [row["outcome"] for row in rows.of("candidate")].count("cancelled") == 5


@pytest.mark.parametrize("factor", [1.0 + 1e-9, 1.5, 3.0])
def test_rungs_are_powers_of_the_factor_however_small_it_is(factor: float) -> None:
    rule = SuccessiveHalving(2, factor)
    steps = [step for step in range(30) if rule.rung_of(step) == step]
    expected = {1.5: [2, 3, 4, 7, 10, 15, 23], 3.0: [2, 6, 18]}
    assert steps == expected.get(factor, list(range(2, 30)))
    assert rule.rung_of(10**15 + 1) <= 10**15 + 1


def test_a_value_after_a_rung_counts_for_it_once() -> None:
    rungs = Rungs(SuccessiveHalving(3, 3.0))
    assert not rungs.learn(7, 2, 1.0)
    assert rungs.learn(7, 4, 1.0)
    assert not rungs.learn(7, 8, 1.0)
    assert rungs.learn(7, 10, 1.0)
    assert sorted(rungs.by_rung) == [3, 9]


def test_the_median_rule_remembers_few_steps_of_long_trainings() -> None:
    rungs = Rungs(MedianRule(5, 5))
    for step in range(20_000):
        rungs.learn(1, step, 1.0)
    assert len(rungs.by_rung) < 300
    assert not rungs.learn(1, 4, 1.0)


def test_the_end_of_the_allocation_ends_the_search_in_time(simulate: Simulate) -> None:
    def slow(worker: int, order: Evaluate) -> Imagined:
        return Imagined((1.0,), 100.0)

    done = simulate(imagine=slow, stop=Stop(evaluations=10_000, hours=5.0), allocation_s=1000.0)
    assert done.search.seconds <= 1000.01
    assert done.reason == "the allocation ends"
    assert {row["outcome"] for row in done.candidates} == {"done"}
    assert done.all_finished
