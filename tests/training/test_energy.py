"""Budgets of energy and of bytes, and pauses, in virtual time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.core.events import Do, Finish, Started
from hpctrain.core.gate import Gate
from hpctrain.training.algorithm import Budget
from hpctrain.training.home import EnergyBudget
from hpctrain.training.methods import make_method
from tests.synthetic import Cluster, make_cluster

METHODS = {
    "heloco": make_method("heloco", sync_every=5),
    "overlap": make_method("mla", sync_every=5, overlap=True),
    "diloco": make_method("diloco", sync_every=5),
    "ddp": make_method("ddp", sync_every=1),
}
WATTS = 10.0


def used_j(cluster: Cluster, step_s: list[float]) -> float:
    return sum(WATTS * s * steps for s, steps in zip(step_s, cluster.steps, strict=True))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(METHODS)),
    step_s=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=5),
    limit=st.floats(1.0, 2000.0),
)
def test_a_budget_ends_a_run_within_a_round_of_each_worker(
    name: str, step_s: list[float], limit: float
) -> None:
    budget = Budget(energy=EnergyBudget(limit, "J"))
    cluster = make_cluster(METHODS[name], step_s, budget=budget, watts=WATTS).run()
    assert cluster.all_finished
    round_j = WATTS * sum(step_s) * METHODS[name].sync_every
    slowest_j = len(step_s) * WATTS * max(step_s) * METHODS[name].sync_every
    assert used_j(cluster, step_s) <= limit + 2 * max(round_j, slowest_j)
    if name in ("diloco", "ddp"):  # all rounds are alike: the reserve is what they take
        assert used_j(cluster, step_s) <= limit + 2 * round_j + 1e-6
        assert used_j(cluster, step_s) >= limit - 2 * round_j - 1e-6


def test_what_earlier_parts_have_used_counts() -> None:
    budget = Budget(energy=EnergyBudget(1000.0, "J", before=900.0))
    cluster = make_cluster(METHODS["diloco"], [0.1, 0.1], budget=budget, watts=WATTS).run()
    assert used_j(cluster, [0.1, 0.1]) == pytest.approx(100.0, abs=2 * 2 * 0.1 * 5 * WATTS)


def test_a_run_says_that_its_budget_of_energy_ended_it() -> None:
    budget = Budget(energy=EnergyBudget(100.0, "J"))
    cluster = make_cluster(METHODS["heloco"], [0.1, 0.1], budget=budget, watts=WATTS).run()
    (row,) = [row for notebook in cluster.notebooks for row in notebook.of("event")]
    assert row["kind"] == "energy budget"
    assert row["text"].endswith("of 100 J used; another round would exceed it")


def test_without_readings_a_budget_is_not_spent() -> None:
    budget = Budget(steps=40, energy=EnergyBudget(1.0, "J"))
    assert sum(make_cluster(METHODS["heloco"], [0.1, 0.2], budget=budget).run().steps) >= 40


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(METHODS)),
    step_s=st.lists(st.floats(0.05, 1.0), min_size=2, max_size=5),
    limit=st.floats(0.0, 20_000.0),
)
def test_a_run_does_not_send_more_than_it_may(name: str, step_s: list[float], limit: float) -> None:
    cluster = make_cluster(METHODS[name], step_s, budget=Budget(bytes=limit)).run()
    assert cluster.all_finished
    (sent,) = [d.state.home.sent for d in cluster.drivers if 0 in d.state.home.outer]
    round_bytes = 8.0 * sum(f.numel for f in cluster.fragments) * (len(step_s) - 1)  # of all
    # A first round is made before anything is known; who runs ahead has a second one under way.
    assert sent <= max(limit, round_bytes) + round_bytes
    assert sent >= limit - 2 * round_bytes


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(
    "budget", [Budget(bytes=3000.0), Budget(energy=EnergyBudget(200.0, "J"))], ids=["bytes", "J"]
)
def test_all_workers_know_of_a_finished_run_that_its_budget_is_spent(
    name: str, budget: Budget
) -> None:
    cluster = make_cluster(METHODS[name], [0.1, 0.3], budget=budget, watts=WATTS).run()
    for driver in cluster.drivers:
        _, commands = driver._algorithm.step(driver.state, Started(), cluster.simulator.now_s())
        assert commands == (Finish(),)


@pytest.mark.parametrize("name", METHODS)
def test_a_raised_budget_of_energy_is_used(name: str) -> None:
    first, more = (Budget(energy=EnergyBudget(limit, "J")) for limit in (200.0, 600.0))
    cluster = make_cluster(METHODS[name], [0.1, 0.3], budget=first, watts=WATTS).run()
    again = make_cluster(METHODS[name], [0.1, 0.3], budget=more, watts=WATTS)
    for old, new in zip(cluster.drivers, again.drivers, strict=True):
        _, commands = new._algorithm.step(old.state, Started(), cluster.simulator.now_s())
        assert any(isinstance(command, Do) for command in commands)


GATE = Gate(((2.0, 10.0), (12.0, 13.0)), "dear")


@pytest.mark.parametrize("name", METHODS)
def test_no_round_begins_while_the_gate_is_closed(name: str) -> None:
    begun: list[float] = []
    cluster = make_cluster(METHODS[name], [0.1, 0.17], budget=Budget(steps=150), gate=GATE)
    for worker in cluster.workers:
        begin = worker._begin
        worker._begin = lambda order, begin=begin: (  # type: ignore[method-assign,misc]
            begun.append(cluster.simulator.now_s()) if order.steps else None,
            begin(order),
        )
    cluster.run()
    assert cluster.all_finished
    assert sum(cluster.steps) >= 150
    assert not [at_s for at_s in begun if 2.0 <= at_s < 10.0 or 12.0 <= at_s < 13.0]
    assert any(at_s >= 10.0 for at_s in begun)
    kinds = [row["kind"] for book in cluster.notebooks for row in book.of("event")]
    assert kinds.count("pause") == kinds.count("go on") >= 1


@pytest.mark.parametrize("name", ["heloco", "overlap", "diloco"])
def test_a_run_may_be_stopped_while_it_pauses(name: str) -> None:
    cluster = make_cluster(
        METHODS[name], [0.1, 0.17], gate=Gate(((1.0, 1e9),), "dear"), stops=[(0, 5.0), (1, 6.0)]
    ).run()
    assert cluster.all_finished
    assert cluster.simulator.now_s() < 100


def test_a_pause_changes_no_bit_of_what_is_learned_by_one_worker() -> None:
    free = make_cluster(METHODS["heloco"], [0.1], budget=Budget(steps=100)).run()
    gated = make_cluster(METHODS["heloco"], [0.1], budget=Budget(steps=100), gate=GATE).run()
    assert gated.parameters(0) == free.parameters(0)
    assert gated.simulator.now_s() > free.simulator.now_s() + 8


def test_a_gate_opens_when_its_interval_ends() -> None:
    assert [GATE.opens_s(at_s) for at_s in (0.0, 2.0, 9.9, 10.0, 12.5, 13.0)] == [
        None, 10.0, 10.0, None, 13.0, None,
    ]  # fmt: skip
