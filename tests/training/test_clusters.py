"""Whole clusters in virtual time: every method ends, loses nothing, leaves all workers alike."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.runtime.codec import from_bytes, to_bytes
from hpctrain.training.algorithm import Budget
from hpctrain.training.guard import Guard
from hpctrain.training.local_steps import LocalSteps
from hpctrain.training.methods import Waiting, make_method
from tests.synthetic import Bowl, Broken, Cluster, Slope, bowls, make_cluster

ASYNCHRONOUS = [
    "async_nesterov", "mla", "heloco", "async_sgd", "delayed_nesterov", "fedbuff", "age_adam",
    "galoco",
]  # fmt: skip
SYNCHRONOUS = ["diloco", "rda", "co2"]
WAITINGS = [
    Waiting(),
    Waiting(None),
    Waiting(None, "mean"),
    Waiting(0.05),
    Waiting(0.3),
    Waiting(0.3, "mean"),
    Waiting(5.0, "mean"),
]
QUORUMS = [Waiting(), Waiting(quorum=1), Waiting(0.1, quorum=2), Waiting(2.0, quorum=0.5)]
WEIGHTS = [None, "base", "polynomial", "one", "rate_corrected", "token_weighted"]
BOOL = st.booleans()
PROFILE = settings(derandomize=True, deadline=None, max_examples=80)


@st.composite
def clusters(draw: st.DrawFn, stops: bool = True) -> dict[str, Any]:
    """Arguments of `make_cluster`, except for scripts that end when the method is ddp."""
    name = draw(st.sampled_from([*ASYNCHRONOUS, *SYNCHRONOUS, "ddp"]))
    waitings = WAITINGS if name in ASYNCHRONOUS else QUORUMS if name in ("diloco", "rda") else None
    overlap = name in ASYNCHRONOUS and draw(BOOL)
    schedules = ["fixed", "dylu"] + (["groups"] if name in ASYNCHRONOUS else [])
    schedules += ["clock", "clock"] if overlap else []
    num_workers = draw(st.integers(1, 4))
    ends = []
    if stops and name != "ddp":
        moments = st.tuples(st.integers(0, num_workers - 1), st.sampled_from([0.0, 0.1, 0.35, 0.8]))
        ends = draw(st.lists(moments, max_size=3))
    steps = draw(st.sampled_from([None, 0, 1, 7, 30]))
    seconds = draw(st.sampled_from([None, 0.0, 0.05, 0.4, 1.5]))
    if steps is None and len({worker for worker, _ in ends}) < num_workers:
        seconds = seconds or 1.0
    return {
        "method": make_method(
            name,
            sync_every=draw(st.sampled_from([1, 2, 5])),
            overlap=overlap,
            arrival_weight=draw(st.sampled_from(WEIGHTS)),
            waiting=draw(st.sampled_from(waitings)) if waitings else Waiting(),
            local_steps=LocalSteps(
                "fixed" if name == "ddp" else draw(st.sampled_from(schedules)), mean=draw(BOOL)
            ),
            guard=Guard(draw(st.sampled_from([0.0, 1.05, 100.0]))),
            directional=name == "galoco" and draw(BOOL),
        ),
        "step_s": [draw(st.sampled_from([0.01, 0.1, 0.1, 0.17, 0.4])) for _ in range(num_workers)],
        "budget": Budget(steps, seconds, bytes=draw(st.sampled_from([None, None, 0.0, 900.0]))),
        "sizes": draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)),
        "buffers": draw(st.sampled_from([(), (2,)])),
        "num_fragments": draw(st.sampled_from([None, 1, 2, 5])),
        "jitter": draw(st.sampled_from([0.0, 0.3, 0.9])),
        "latency_s": draw(st.sampled_from([0.0, 1e-3, 0.05, 0.2])),
        "bandwidth_bytes_per_s": draw(st.sampled_from([1e9, 300.0])),
        "merge_bytes_per_s": draw(st.sampled_from([4e9, 500.0])),
        "seed": draw(st.integers(0, 99)),
        "stops": ends,
    }


@PROFILE
@given(clusters())
def test_every_run_ends_with_nothing_lost_and_all_workers_alike(case) -> None:
    cluster = make_cluster(**case).run()
    assert cluster.all_finished
    assert cluster.simulator.state.heap == [] or cluster.all_finished
    for fragment in cluster.fragments:
        assert cluster.merged_steps(fragment) == sum(cluster.steps)
        accepted = [row for row in cluster.updates(fragment) if not row["refused"]]
        assert cluster.outer(fragment).version == len(accepted)
        if len(accepted) == len(cluster.updates(fragment)):  # the guard may have refused some
            assert sum(row["steps"] for row in accepted) == sum(cluster.steps)
        assert all(row["staleness"] >= 0 for row in accepted)
    for me in range(len(cluster.workers)):
        assert cluster.parameters(me) == cluster.parameters(0)
        learner = cluster.drivers[me].state.learner
        assert learner.global_steps == sum(cluster.steps)
        assert (learner.awaiting, learner.arrived, learner.finals) == ([], {}, {})
    if not cluster.method.gradients:
        for fragment in cluster.fragments:
            assert cluster.models[0].read(fragment).tobytes() == (
                cluster.outer(fragment).theta.tobytes()
            )


@settings(derandomize=True, deadline=None, max_examples=25)
@given(clusters())
def test_two_runs_are_the_same_to_the_last_bit(case) -> None:
    one, two = make_cluster(**case).run(), make_cluster(**case).run()
    assert [to_bytes(d.state) for d in one.drivers] == [to_bytes(d.state) for d in two.drivers]
    assert [to_bytes(j.entries) for j in one.journals] == [
        to_bytes(j.entries) for j in two.journals
    ]
    assert one.simulator.now_s() == two.simulator.now_s()
    assert one.simulator.num_bytes == two.simulator.num_bytes


@settings(derandomize=True, deadline=None, max_examples=25)
@given(clusters(), st.integers(0, 40))
def test_a_simulation_taken_up_again_goes_on_bit_for_bit(case, events: int) -> None:
    whole = make_cluster(**case).run()
    first = make_cluster(**case)
    first.simulator.start()
    first.simulator.run(max_events=events)
    second = make_cluster(**case)
    second.simulator.restore(from_bytes(to_bytes(first.simulator.state)))
    for old, new in zip(first.workers, second.workers, strict=True):
        new.driver.state = from_bytes(to_bytes(old.driver.state))
        new.driver.finished = old.driver.finished
        new.state = from_bytes(to_bytes(old.state))
        new.round.state = from_bytes(to_bytes(old.round.state))
        new.round.model = old.round.model
        new._trainee = old.round.model
    second.models = first.models
    assert second.simulator.run(max_events=200_000)
    for me in range(len(whole.models)):
        assert second.parameters(me) == whole.parameters(me)
    assert second.steps == whole.steps


@pytest.mark.parametrize("name", ASYNCHRONOUS)
@pytest.mark.parametrize("overlap", [False, True])
def test_fast_islands_do_not_wait_for_a_slow_one(name, overlap: bool) -> None:
    method = make_method(name, sync_every=10, overlap=overlap)
    cluster = make_cluster(method, [0.1, 0.2, 1.0], budget=Budget(seconds=200.0)).run()
    # The last round of each is cut short, and each exchange takes two messages of 1 ms.
    for rounds, whole in zip(cluster.rounds, (200, 100, 20), strict=True):
        assert whole * 0.99 - 1 <= rounds <= whole + 1
    assert 200.0 < cluster.simulator.now_s() < 201.2


def test_all_islands_wait_for_the_slowest_in_diloco() -> None:
    method = make_method("diloco", sync_every=10)
    cluster = make_cluster(method, [0.1, 0.2, 1.0], budget=Budget(steps=150)).run()
    assert cluster.steps == [50, 50, 50]
    assert cluster.simulator.now_s() == pytest.approx(50.0, abs=0.1)


def test_overlap_hides_the_time_that_messages_take() -> None:
    def seconds(overlap: bool) -> float:
        method = make_method("mla", sync_every=10, overlap=overlap)
        budget = Budget(steps=400)
        return (
            make_cluster(method, [0.1, 0.1], budget=budget, latency_s=0.4).run().simulator.now_s()
        )

    assert seconds(overlap=False) == pytest.approx(20 * (1.0 + 0.8), rel=0.1)
    assert seconds(overlap=True) == pytest.approx(20 * 1.0, rel=0.1)


def test_equal_workers_under_diloco_are_a_plain_synchronous_loop() -> None:
    method = make_method("diloco", sync_every=4, outer_lr=0.6, outer_momentum=0.8)
    cluster = make_cluster(
        method, [0.1] * 3, budget=Budget(steps=3 * 4 * 10), latency_s=0.0, num_fragments=1
    ).run()
    (fragment,) = cluster.fragments
    models = [bowls(cluster.fragments, cluster.starts, me) for me in range(3)]
    theta = cluster.starts[0].astype(np.float64)
    momentum = np.zeros_like(theta)
    for _ in range(10):
        ends = []
        for model in models:
            model.write(fragment, theta.astype(np.float32))
            for _ in range(4):
                model.compute_gradient()
                model.apply_gradient()
            ends.append(model.read(fragment).astype(np.float64))
        delta = np.mean([theta - end for end in ends], axis=0)
        momentum = 0.8 * momentum + delta
        theta = theta - 0.6 * (delta + 0.8 * momentum)
    # Ten rounds of about twenty float32 operations on values up to three.
    np.testing.assert_allclose(cluster.outer(fragment).theta, theta, rtol=0, atol=2e-5)
    assert cluster.outer(fragment).version == 10


def test_ddp_is_large_batch_training_with_the_mean_gradient() -> None:
    cluster = make_cluster(make_method("ddp", sync_every=1), [0.1, 0.3], budget=Budget(steps=24))
    cluster.run()
    models = [bowls(cluster.fragments, cluster.starts, me) for me in range(2)]
    for _ in range(12):
        for model in models:
            model.compute_gradient()
        for fragment in cluster.fragments:
            mean = (models[0].read_gradients(fragment) + models[1].read_gradients(fragment)) / 2
            for model in models:
                model.write_gradients(fragment, mean)
        for model in models:
            model.apply_gradient()
    for fragment in cluster.fragments:
        np.testing.assert_allclose(
            cluster.models[1].read(fragment), models[0].read(fragment), rtol=0, atol=1e-5
        )


@PROFILE
@given(clusters(), st.sampled_from([0.0, 0.05, 0.3, 0.7, 1.1]))
def test_replicas_of_ddp_are_alike_when_time_runs_out(case, seconds: float) -> None:
    """Somebody is always in the middle of a step; all of them take the same last one."""
    case |= {"method": make_method("ddp", sync_every=1), "budget": Budget(seconds=seconds)}
    cluster = make_cluster(**(case | {"stops": ()})).run()
    assert cluster.all_finished
    assert len(set(cluster.steps)) == 1
    for me in range(len(cluster.workers)):
        assert cluster.parameters(me) == cluster.parameters(0)


@pytest.mark.parametrize("name", ["mla", "heloco"])
def test_a_single_island_follows_the_formula_of_its_method(name: str) -> None:
    """K = 1: the arrival weight is 1 and nothing is stale."""
    method = make_method(name, sync_every=3, outer_lr=0.5, outer_momentum=0.7, corrected=False)
    cluster = make_cluster(method, [0.1], budget=Budget(steps=30)).run()
    (fragment,) = cluster.fragments
    model = bowls(cluster.fragments, cluster.starts, 0)
    theta = start = cluster.starts[0].astype(np.float64)
    momentum = np.zeros_like(theta)
    for _ in range(10):
        model.write(fragment, start.astype(np.float32))
        for _ in range(3):
            model.compute_gradient()
            model.apply_gradient()
        delta = start - model.read(fragment)
        momentum = 0.7 * momentum + (1 - 0.7) * delta
        theta = theta - 0.5 * (delta + 0.7 * momentum)
        start = theta - 0.5 * 0.7 * momentum if name == "heloco" else theta
    np.testing.assert_allclose(cluster.outer(fragment).theta, theta, rtol=0, atol=2e-5)


def slopes(fragments: Any, starts: Any, me: int) -> Bowl:
    return Slope(fragments, starts, lr=2.0**-6 * (1 + me))


@settings(derandomize=True, deadline=None, max_examples=40)
@given(clusters(), st.booleans())
def test_no_step_is_lost_or_counted_twice(case, overlap: bool) -> None:
    """Steps of constant size and a rule that adds them up: the end is start + all movement."""
    case["method"] = make_method(
        "async_nesterov", sync_every=case["method"].sync_every,
        outer_lr=1.0, outer_momentum=0.0, overlap=overlap, arrival_weight="one",
    )  # fmt: skip
    case |= {"make_model": slopes, "buffers": ()}
    cluster = make_cluster(**case).run()
    moved = sum(2.0**-6 * (1 + me) * steps for me, steps in enumerate(cluster.steps))
    for fragment, start in zip(cluster.fragments, cluster.starts, strict=True):
        np.testing.assert_allclose(
            cluster.outer(fragment).theta, start - np.float32(moved), rtol=0, atol=1e-4
        )


def test_a_single_island_that_only_adds_up_trains_as_if_alone() -> None:
    for overlap in (False, True):
        method = make_method(
            "async_nesterov", sync_every=4, outer_lr=1.0, outer_momentum=0.0,
            overlap=overlap, arrival_weight="one",
        )  # fmt: skip
        cluster = make_cluster(method, [0.1], budget=Budget(steps=40), latency_s=0.25).run()
        alone = bowls(cluster.fragments, cluster.starts, 0)
        for _ in range(cluster.steps[0]):
            alone.compute_gradient()
            alone.apply_gradient()
        np.testing.assert_allclose(
            cluster.models[0].read(cluster.fragments[0]),
            alone.read(cluster.fragments[0]),
            atol=1e-5,
        )


def test_buffers_are_averaged_and_stay_between_what_the_workers_saw() -> None:
    method = make_method("heloco", sync_every=5)
    cluster = make_cluster(method, [0.1, 0.3], budget=Budget(steps=60), buffers=(2,)).run()
    buffers = cluster.fragments[-1]
    assert buffers.kind == "buffers"
    weights = {row["weight"] for row in cluster.updates(buffers)}
    assert weights == {0.5}
    final = cluster.models[0].read(buffers)
    assert (final > cluster.starts[buffers.index]).all()
    assert (final < cluster.starts[buffers.index] + sum(cluster.steps)).all()


def broken_first(fragments: Any, starts: Any, me: int) -> Bowl:
    return Broken(fragments, starts) if me == 0 else bowls(fragments, starts, me)


def all_broken(fragments: Any, starts: Any, me: int) -> Bowl:
    return Broken(fragments, starts)


@pytest.mark.parametrize("overlap", [False, True])
def test_a_worker_that_diverges_does_no_harm_to_the_others(overlap: bool) -> None:
    method = make_method("heloco", sync_every=5, overlap=overlap)
    cluster = make_cluster(
        method, [0.1, 0.1, 0.1], budget=Budget(steps=90), make_model=broken_first
    ).run()
    for fragment in cluster.fragments:
        rows = cluster.updates(fragment)
        assert {row["sender"] for row in rows if row["refused"]} == {0}
        assert {row["sender"] for row in rows if not row["refused"]} == {1, 2}
        assert np.isfinite(cluster.outer(fragment).theta).all()
    assert all(cluster.parameters(me) == cluster.parameters(1) for me in range(3))


class OnceBroken(Bowl):
    """One of its gradients is NaN."""

    def compute_gradient(self) -> None:
        super().compute_gradient()
        if self.steps == 7:
            for gradient in self._gradients:
                gradient[:] = np.nan


@pytest.mark.parametrize("overlap", [False, True])
def test_who_diverged_once_goes_on_from_what_the_others_have(overlap: bool) -> None:
    def once(fragments: Any, starts: Any, me: int) -> Bowl:
        return OnceBroken(fragments, starts) if me == 0 else bowls(fragments, starts, me)

    method = make_method("heloco", sync_every=5, overlap=overlap)
    cluster = make_cluster(method, [0.1] * 3, budget=Budget(steps=150), make_model=once).run()
    for fragment in cluster.fragments:
        rows = [row for row in cluster.updates(fragment) if row["sender"] == 0]
        refused = [row["refused"] for row in rows]
        assert 1 <= sum(refused) <= 2
        assert refused[-5:] == [False] * 5


@pytest.mark.parametrize("name", ["heloco", "diloco"])
def test_a_run_in_which_everyone_diverges_still_ends(name: str) -> None:
    method = make_method(name, sync_every=5)
    cluster = make_cluster(method, [0.1, 0.2], budget=Budget(steps=60), make_model=all_broken).run()
    assert cluster.all_finished
    assert sum(cluster.steps) >= 60
    for fragment in cluster.fragments:
        assert cluster.outer(fragment).version == 0
        np.testing.assert_array_equal(cluster.outer(fragment).theta, cluster.starts[fragment.index])


def rerun(cluster: Cluster, **changes: Any) -> Cluster:
    """A new cluster that goes on where `cluster` has ended."""
    again = make_cluster(**changes)
    again.simulator.restore(from_bytes(to_bytes(cluster.simulator.state)))
    for old, new in zip(cluster.workers, again.workers, strict=True):
        new.driver.state = from_bytes(to_bytes(old.driver.state))
        new.state = from_bytes(to_bytes(old.state))
        new.round.state = from_bytes(to_bytes(old.round.state))
        for fragment in cluster.fragments:
            new.round.model.write(fragment, old.round.model.read(fragment))
    return again.run()


CASES = ["heloco", "mla", "diloco", "ddp"]


@pytest.mark.parametrize("name", CASES)
def test_a_finished_run_stays_as_it_is(name: str) -> None:
    round_bytes = 8.0 * 13
    for budget in (
        Budget(steps=40), Budget(seconds=2.0), Budget(40, 3.0), Budget(bytes=7 * round_bytes),
    ):  # fmt: skip
        case = {"method": make_method(name, sync_every=4), "step_s": [0.1, 0.3], "budget": budget}
        cluster = make_cluster(**case).run()
        again = rerun(cluster, **case)
        assert again.all_finished
        assert again.steps == [0, 0], budget
        assert again.parameters(0) == cluster.parameters(0)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Budget(steps=40), Budget(steps=80)),
        (Budget(seconds=2.0), Budget(seconds=4.0)),
        (Budget(seconds=2.0), Budget(steps=100)),
        (Budget(40, 50.0), Budget(steps=80)),
        (Budget(40, 20.0), Budget(200, 100.0)),
    ],
)
def test_a_finished_run_goes_on_when_its_budget_is_raised(name, first, second) -> None:
    case = {"method": make_method(name, sync_every=4), "step_s": [0.1, 0.3]}
    cluster = make_cluster(budget=first, **case).run()
    again = rerun(cluster, budget=second, **case)
    assert again.all_finished
    total = sum(cluster.steps) + sum(again.steps)
    if second.steps is not None:
        assert second.steps <= total < second.steps + 16
    else:
        assert again.simulator.now_s() == pytest.approx(second.seconds, abs=0.5)
    for fragment in again.fragments:
        assert again.merged_steps(fragment) == total
    assert again.parameters(0) == again.parameters(1)


@pytest.mark.parametrize("name", ["heloco", "diloco"])
def test_a_run_goes_on_although_one_script_had_ended_early(name: str) -> None:
    case = {"method": make_method(name, sync_every=4), "step_s": [0.1, 0.1]}
    cluster = make_cluster(budget=Budget(steps=80), stops=[(1, 1.3)], **case).run()
    again = rerun(cluster, budget=Budget(steps=160), **case)
    assert again.all_finished
    assert all(steps > 0 for steps in again.steps)
    assert again.parameters(0) == again.parameters(1)
