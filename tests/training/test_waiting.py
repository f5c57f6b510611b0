"""Grace periods, quorums, delays, local steps and the guard: whole clusters, and single events."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from hpctrain.core.events import PeerLost, Received, SetTimer, Started, TimerFired
from hpctrain.runtime.codec import from_bytes, to_bytes
from hpctrain.training.algorithm import Budget
from hpctrain.training.domains import Domains
from hpctrain.training.guard import Guard
from hpctrain.training.local_steps import LocalSteps
from hpctrain.training.messages import BudgetSpent, Leave, Members, Push
from hpctrain.training.methods import Waiting, make_method
from tests.synthetic import Bowl, bowls, make_cluster
from tests.training.test_steps import Actor, fresh, messages, ones, orders, push, trained

GRACE = Waiting(0.5)


def windows(commands: list[Any]) -> list[SetTimer]:
    return [command for command in commands if isinstance(command, SetTimer)]


def equal(name: Any, **options: Any) -> Any:
    """Three equal workers for ten rounds; one fragment, no time for messages."""
    method = make_method(name, sync_every=4, outer_lr=0.6, outer_momentum=0.8, **options)
    return make_cluster(
        method, [0.1] * 3, budget=Budget(steps=120), latency_s=0.0, num_fragments=1
    ).run()


# --- what equals what ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["delayed_nesterov", "fedbuff"])
def test_with_grace_and_equal_speeds_a_buffer_of_all_is_synchronous_diloco(name: str) -> None:
    sync, late = equal("diloco"), equal(name, waiting=GRACE)
    (fragment,) = sync.fragments
    # Ten rounds; the sum of three float32 arrays is rounded elsewhere.
    np.testing.assert_allclose(
        late.outer(fragment).theta, sync.outer(fragment).theta, rtol=0, atol=1e-5
    )
    assert late.steps == sync.steps
    assert late.outer(fragment).version == 3 * sync.outer(fragment).version


def test_a_window_as_one_mean_of_all_is_diloco_too() -> None:
    sync = equal("diloco")
    late = equal("async_nesterov", waiting=Waiting(0.5, "mean"), arrival_weight="one")
    (fragment,) = sync.fragments
    assert late.outer(fragment).version == 10
    np.testing.assert_allclose(
        late.outer(fragment).theta, sync.outer(fragment).theta, rtol=0, atol=1e-5
    )


def test_rda_of_equal_pushes_is_their_mean() -> None:
    def alike(fragments: Any, starts: Any, me: int) -> Bowl:
        return bowls(fragments, starts, 0)

    thetas = []
    for name in ("diloco", "rda"):
        method = make_method(name, sync_every=4)
        cluster = make_cluster(method, [0.1] * 3, budget=Budget(steps=60), make_model=alike).run()
        thetas.append(np.concatenate([cluster.outer(f).theta for f in cluster.fragments]))
    np.testing.assert_allclose(*thetas, rtol=0, atol=1e-5)


def test_co2_starts_each_round_from_the_mean_of_the_one_before_the_last() -> None:
    cluster = equal("co2")
    (fragment,) = cluster.fragments
    models = [bowls(cluster.fragments, cluster.starts, me) for me in range(3)]
    thetas = [cluster.starts[0].astype(np.float64)] * 2
    momentum = np.zeros_like(thetas[0])
    for _ in range(cluster.outer(fragment).version):
        ends = []
        for model in models:
            model.write(fragment, thetas[-2].astype(np.float32))
            for _ in range(4):
                model.compute_gradient()
                model.apply_gradient()
            ends.append(model.read(fragment).astype(np.float64))
        momentum = 0.8 * momentum + np.mean([thetas[-2] - end for end in ends], axis=0)
        thetas.append(thetas[-1] - 0.6 * momentum)
    np.testing.assert_allclose(cluster.outer(fragment).theta, thetas[-1], rtol=0, atol=2e-5)


def test_co2_hides_the_time_that_messages_take() -> None:
    def seconds(name: Any) -> float:
        method = make_method(name, sync_every=10)
        cluster = make_cluster(method, [0.1, 0.1], budget=Budget(steps=400), latency_s=0.4)
        return cluster.run().simulator.now_s()

    assert seconds("diloco") == pytest.approx(20 * (1.0 + 0.8), rel=0.1)
    assert seconds("co2") == pytest.approx(21 * 1.0, rel=0.1)


# --- grace ---------------------------------------------------------------------------------------


def test_who_arrives_within_the_grace_is_answered_together_and_goes_on_alike() -> None:
    actor = Actor("mla", num_workers=3, waiting=GRACE)
    (timer,) = actor.told(push(1, 0), 10.0)
    assert timer.at_s == 10.5
    assert actor.told(push(2, 0), 10.3) == []
    assert [note.fields["staleness"] for note in actor.notes] == [0, 1]
    one, two = actor.told(TimerFired(timer.name), 10.5)
    assert (one.to, two.to, one.message.version) == (1, 2, 2)
    assert one.message.data is two.message.data
    assert actor.told(TimerFired(timer.name), 10.6) == []
    (second,) = actor.told(push(0, 0), 11.0)
    assert second.name != timer.name


def test_a_window_closes_when_nobody_can_come_any_more() -> None:
    actor = Actor("mla", waiting=GRACE)
    actor.told(push(1, 0))
    assert messages(actor.told(push(0, 0))) == [(1, "Fresh"), (0, "Fresh")]


@pytest.mark.parametrize("group", ["each", "mean"])
@pytest.mark.parametrize(
    "end", [Received(0, Leave()), PeerLost(2), Received(0, BudgetSpent("time is up"))]
)
def test_the_end_of_a_run_or_of_a_worker_closes_windows_at_once(group: Any, end: Any) -> None:
    actor = Actor("mla", num_workers=3, waiting=Waiting(100.0, group))
    actor.told(push(1, 0))
    assert (1, "Fresh") in messages(actor.told(end, 1.0))
    assert (actor.outer.version, actor.state.home.steps[0]) == (1, 4)


def test_no_window_opens_when_the_run_ends() -> None:
    actor = Actor("mla", num_workers=3, waiting=GRACE)
    actor.told(Received(0, BudgetSpent("time is up")))
    assert messages(actor.told(push(1, 0))) == [(1, "Fresh")]


def test_the_mean_of_a_window_is_one_step_with_the_weights_of_its_pushes() -> None:
    actor = Actor(
        "async_sgd", num_workers=4, outer_lr=1.0, waiting=Waiting(1.0, "mean"),
        arrival_weight="polynomial",
    )  # fmt: skip
    (timer,) = actor.told(push(3, 0, value=1.0))
    actor.told(push(1, 0, value=3.0))
    np.testing.assert_array_equal(actor.outer.theta, ones(0.0))
    actor.told(TimerFired(timer.name), 1.0)
    np.testing.assert_allclose(actor.outer.theta, -(0.5 * 1.0 + 0.5 * 3.0) / 2)
    (row,) = [note.fields for note in actor.notes]
    assert (row["sender"], row["contributors"], row["steps"], row["weight"]) == (-1, 2, 8, 0.5)


def test_a_window_that_was_open_is_open_again_after_a_resume() -> None:
    actor = Actor("mla", num_workers=3, waiting=GRACE).at_work()
    (timer,) = actor.told(push(1, 0), 10.0)
    again = Actor("mla", num_workers=3, waiting=GRACE)
    again.state = from_bytes(to_bytes(actor.state))
    assert windows(again.told(Started(), 10.2)) == [timer]
    assert messages(again.told(TimerFired(timer.name), 10.5)) == [(1, "Fresh")]


def test_timers_of_two_fragments_have_names_of_their_own() -> None:
    actor = Actor("mla", num_workers=1, waiting=GRACE)
    home = actor.algorithm._home
    names = {next(home._open_window(actor.state.home, fragment, 0.0)).name for fragment in (0, 1)}
    assert len(names) == 2


# --- quorum --------------------------------------------------------------------------------------


def test_a_quorum_waits_for_more_for_the_grace_and_no_longer() -> None:
    actor = Actor("diloco", num_workers=3, waiting=Waiting(2.0, quorum=2))
    assert actor.told(push(0, 0), 1.0) == []
    (timer,) = actor.told(push(2, 0), 5.0)
    assert timer.at_s == 7.0
    commands = actor.told(TimerFired(timer.name), 7.0)
    assert messages(commands) == [(1, "Members"), (0, "Fresh"), (2, "Fresh")]
    assert commands[0].message == Members((0, 2))


def test_a_part_of_the_workers_is_not_one_more_by_round_off() -> None:
    assert 0.28 * 25 > 7
    actor = Actor("diloco", num_workers=25, waiting=Waiting(quorum=0.28))
    assert [len(actor.told(push(worker, 0))) > 0 for worker in range(7)] == [False] * 6 + [True]


def test_who_is_late_takes_part_in_the_next_round() -> None:
    actor = Actor("diloco", outer_lr=1.0, outer_momentum=0.0, num_workers=3,
                  waiting=Waiting(quorum=0.5))  # fmt: skip
    actor.told(push(0, 0, value=1.0))
    actor.told(push(1, 0, value=3.0))
    np.testing.assert_allclose(actor.outer.theta, -2.0)
    assert actor.told(push(2, 0, value=6.0)) == []
    assert messages(actor.told(push(0, 1, base=1, value=2.0)))[1:] == [(0, "Fresh"), (2, "Fresh")]
    np.testing.assert_allclose(actor.outer.theta, -6.0)
    assert [note.fields["staleness"] for note in actor.notes] == [0, 1]
    assert [note.fields["contributors"] for note in actor.notes] == [2, 2]
    assert [note.fields["round"] for note in actor.notes] == [0, 1]


def test_the_other_homes_merge_whom_the_first_has_called() -> None:
    other = Actor("diloco", num_workers=3, waiting=Waiting(quorum=1))
    other.state = other.algorithm.init(other.fragments[1].home)

    def arrives(sender: int) -> Received:
        return Received(sender, Push(1, 0, 0, 4, 40, ones(1.0, 1)))

    assert other.told(arrives(2)) == []
    assert other.told(Received(0, Members((0, 2)))) == []
    assert messages(other.told(arrives(0))) == [(0, "Fresh"), (2, "Fresh")]
    other.told(arrives(1))
    assert messages(other.told(Received(0, Members((1, 0))))) == []
    assert messages(other.told(PeerLost(0))) == [(1, "Fresh")]


def test_a_fast_fleet_does_not_wait_for_a_slow_worker() -> None:
    method = make_method("diloco", sync_every=5, waiting=Waiting(0.05, quorum=3))
    cluster = make_cluster(method, [0.1, 0.1, 0.1, 1.0], budget=Budget(seconds=50.0)).run()
    assert cluster.steps[0] == pytest.approx(50 / 0.55 * 5, rel=0.05)  # 0.05 s of grace a round
    assert cluster.steps[3] == pytest.approx(50, rel=0.2)
    for fragment in cluster.fragments:
        rows = cluster.updates(fragment)
        assert {row["contributors"] for row in rows[:-2]} == {3, 4}
        late = [row["staleness"] for row in rows if row["contributors"] == 4]
        assert max(late) == pytest.approx(10, abs=2)


@pytest.mark.parametrize("seed", range(12))
def test_no_quorum_lets_workers_wait_for_each_other(seed: int) -> None:
    """Many homes, messages that overtake each other, quorums of less than half."""
    method = make_method("diloco", sync_every=2, waiting=Waiting(0.01 * (seed % 3), quorum=2))
    cluster = make_cluster(
        method, [0.1] * 5, budget=Budget(steps=200), jitter=0.9, sizes=(3, 4, 5, 6, 7),
        latency_s=0.1, bandwidth_bytes_per_s=200.0, seed=seed,
    ).run()  # fmt: skip
    assert cluster.all_finished
    rounds = [
        [row["contributors"] for row in cluster.updates(fragment) if row["steps"]]
        for fragment in cluster.fragments
    ]
    assert all(of_one == rounds[0] for of_one in rounds)


# --- weights -------------------------------------------------------------------------------------


def weight_per_worker(name: Any) -> list[float]:
    method = make_method("mla", sync_every=5, arrival_weight=name)
    step_s = [0.1, 0.6, 0.6, 0.6, 0.6]
    cluster = make_cluster(method, step_s, budget=Budget(seconds=900.0)).run()
    sums = [0.0] * 5
    for row in cluster.updates(cluster.fragments[0]):
        sums[row["sender"]] += row["weight"]
    return [total / sum(sums) for total in sums]


def test_rate_corrected_weights_are_alike_for_all_islands_per_unit_of_time() -> None:
    assert weight_per_worker("rate_corrected") == pytest.approx([0.2] * 5, rel=0.05)
    assert weight_per_worker("base") == pytest.approx([0.6, 0.1, 0.1, 0.1, 0.1], rel=0.05)


# --- local steps ---------------------------------------------------------------------------------


def round_seconds(cluster: Any, step_s: list[float]) -> list[float]:
    fragment = cluster.fragments[0]
    last = {row["sender"]: row["steps"] for row in cluster.updates(fragment)[:-5]}
    return [last[worker] * seconds for worker, seconds in enumerate(step_s)]


@pytest.mark.parametrize("overlap", [False, True])
def test_with_dylu_all_rounds_take_the_same_time(overlap: bool) -> None:
    step_s = [0.1, 0.6, 0.6, 0.3]
    method = make_method("mla", sync_every=60, overlap=overlap, local_steps=LocalSteps("dylu"))
    cluster = make_cluster(method, step_s, budget=Budget(seconds=300.0)).run()
    assert round_seconds(cluster, step_s) == pytest.approx([6.0] * 4)


def test_dylu_ends_the_waiting_of_diloco() -> None:
    def steps(local_steps: LocalSteps) -> list[int]:
        method = make_method("diloco", sync_every=70, local_steps=local_steps)
        return make_cluster(method, [0.1, 0.6], budget=Budget(seconds=240.0)).run().steps

    assert steps(LocalSteps()) == [420, 400]  # in the last round the slow one is cut short
    fast, slow = steps(LocalSteps("dylu", mean=True))
    # A first round of 70 steps each takes 42 s, all others 120 and 20 steps, 12 s.
    assert fast == pytest.approx(70 + 198 / 12 * 120, rel=0.05)
    assert slow == pytest.approx(70 + 198 / 12 * 20, rel=0.05)


def test_groups_arrive_together() -> None:
    method = make_method(
        "mla", sync_every=20, waiting=Waiting(0.2, "mean"),
        local_steps=LocalSteps("groups", min_steps=4),
    )  # fmt: skip
    cluster = make_cluster(method, [0.1, 0.35, 0.4], budget=Budget(seconds=200.0)).run()
    rows = [row for row in cluster.updates(cluster.fragments[0]) if row["time_s"] > 20]
    together = sum(row["contributors"] > 1 for row in rows)
    assert together > len(rows) / 3
    assert all(row["steps"] >= 4 for row in rows[:-3])


def test_a_worker_is_told_its_steps_by_the_first_home_alone() -> None:
    actor = Actor("mla", sync_every=60, num_workers=2, local_steps=LocalSteps("dylu")).at_work()

    def fast(sender: int, speed: float, fragment: int = 0) -> Received:
        return Received(sender, Push(fragment, 0, 0, 4, 40, ones(1.0, fragment), speed=speed))

    assert actor.told(fast(1, 6.0))[0].message.next_steps == 60
    (mine,) = actor.told(fast(0, 2.0))
    assert mine.message.next_steps == 20
    actor.told(trained(0))
    actor.told(Received(0, mine.message))
    assert orders(actor.told(fresh(1, 0, 4)))[0].steps == 20


# --- domains -------------------------------------------------------------------------------------


def test_a_worker_goes_on_with_the_domain_that_was_least_visited() -> None:
    domains = Domains(3, (0, 1))
    visits = domains.first_visits(4)
    assert visits == [4, 4, 0]
    assert [domains.give_out(visits, steps) for steps in (4, 8, 4, 4)] == [2, 0, 1, 2]
    assert visits == [12, 8, 8]
    assert Domains().give_out([], 4) is None
    assert domains.give_out([], 4) == 0
    assert domains.give_out([5, 4, 6, 0], 4) == 1  # there were four when the run began


@pytest.mark.parametrize("overlap", [False, True])
def test_all_domains_are_visited_alike_however_unequal_the_workers(overlap: bool) -> None:
    method = make_method(
        "mla", sync_every=5, overlap=overlap, local_steps=LocalSteps("dylu"),
        domains=Domains(3, (0, 1, 2)),
    )  # fmt: skip
    cluster = make_cluster(method, [0.1, 0.6, 0.6], budget=Budget(seconds=60.0)).run()
    visits = cluster.drivers[cluster.fragments[0].home].state.home.visits
    assert sum(visits) >= sum(cluster.steps)
    assert max(visits) - min(visits) <= 10
    assert {driver.state.learner.domain for driver in cluster.drivers} <= {0, 1, 2}


def test_by_the_clock_domains_are_visited_alike_in_steps() -> None:
    method = make_method(
        "galoco", sync_every=5, overlap=True, local_steps=LocalSteps("clock"),
        waiting=Waiting(None, "mean"), domains=Domains(3, (0, 1, 2)),
    )  # fmt: skip
    seen = [0, 0, 0]
    cluster = make_cluster(method, [0.1, 0.6, 0.6], budget=Budget(seconds=120.0))
    for worker in cluster.workers:
        end = worker._on_result
        worker._on_result = lambda order, result, compute_s, end=end: (
            seen.__setitem__(order.domain, seen[order.domain] + result.steps),
            end(order, result, compute_s),
        )
    cluster.run()
    visits = cluster.drivers[cluster.fragments[0].home].state.home.visits
    assert sum(visits) == pytest.approx(sum(cluster.steps), rel=0.1)
    assert max(seen) - min(seen) <= 30
    assert sum(seen) == sum(cluster.steps)


def test_a_round_is_ordered_with_its_domain() -> None:
    actor = Actor("mla", domains=Domains(2, (1, 0)))
    (order,) = orders(actor.told(Started()))
    assert order.domain == 1
    assert [c.message.domain for c in actor.told(push(1, 0))] == [0]
    assert orders(Actor("mla").told(Started()))[0].domain is None


# --- the guard -----------------------------------------------------------------------------------


class Explodes(Bowl):
    """Its gradients are too long for a while: each step takes it 30 times further away."""

    def compute_gradient(self) -> None:
        super().compute_gradient()
        if 60 <= self.steps < 75:
            for gradient in self._gradients:
                gradient *= np.float32(300.0)


@pytest.mark.parametrize("name", ["heloco", "diloco", "delayed_nesterov"])
def test_a_worker_that_blows_up_is_refused_and_the_run_goes_on(name: str) -> None:
    def one_explodes(fragments: Any, starts: Any, me: int) -> Bowl:
        if me:
            return bowls(fragments, starts, me)
        return Explodes(fragments, starts, optimum=0.0, seed=0)

    def run(factor: float) -> Any:
        method = make_method(name, sync_every=5, guard=Guard(factor))
        return make_cluster(
            method, [0.1] * 3, budget=Budget(steps=450), make_model=one_explodes
        ).run()

    guarded, unguarded = run(100.0), run(0.0)
    for fragment in guarded.fragments:
        refused = [row for row in guarded.updates(fragment) if row["refused"]]
        assert {row["sender"] for row in refused} == {0}
        assert 1 <= len(refused) <= 4
        assert all("is above" in row["reason"] for row in refused)
        assert np.abs(guarded.outer(fragment).theta).max() < 5
        assert np.abs(unguarded.outer(fragment).theta).max() > 50
        last = guarded.updates(fragment)[-6:]
        assert name == "diloco" or 0 in {row["sender"] for row in last if not row["refused"]}


# --- diagnostics ---------------------------------------------------------------------------------


def test_corrections_are_noted_when_they_are_asked_for() -> None:
    for diagnostics, name in itertools.product((False, True), ("heloco", "mla")):
        method = make_method(name, sync_every=5, diagnostics=diagnostics)
        cluster = make_cluster(method, [0.1, 0.2], budget=Budget(steps=60)).run()
        rows = [row for notebook in cluster.notebooks for row in notebook.of("correction")]
        assert bool(rows) == (diagnostics and name == "heloco")
        assert {row["tensor"] for row in rows} <= {"w0", "w1", "w2"}


def test_every_update_has_its_gain() -> None:
    method = make_method("mla", sync_every=5, outer_momentum=0.0)
    cluster = make_cluster(method, [0.1, 0.2], budget=Budget(steps=60)).run()
    for fragment in cluster.fragments:
        for row in cluster.updates(fragment):
            assert row["gain"] == pytest.approx(row["weight"])


def test_nobody_measures_speeds_that_nobody_asks_for() -> None:
    method = make_method("mla", sync_every=5)
    cluster = make_cluster(method, [0.1, 0.2], budget=Budget(steps=60)).run()
    assert all(driver.state.home.paces.speeds == {} for driver in cluster.drivers)
