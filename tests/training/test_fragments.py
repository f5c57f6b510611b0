"""Fragments: every tensor once, homes balanced, nothing empty."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpctrain.training.fragments import TensorSlot, plan_fragments
from tests.synthetic import slots

PROFILE = settings(derandomize=True, deadline=None)
SIZES = st.lists(st.integers(1, 5000), min_size=1, max_size=40)


@PROFILE
@given(SIZES, st.lists(st.integers(1, 50), max_size=3), st.integers(1, 12), st.integers(1, 60))
def test_every_tensor_is_in_exactly_one_fragment(sizes, buffers, num_workers, wanted) -> None:
    plan = plan_fragments(slots(sizes), slots(buffers, "b"), num_workers, wanted)
    names = [tensor.name for fragment in plan for tensor in fragment.tensors]
    assert sorted(names) == sorted(t.name for t in [*slots(sizes), *slots(buffers, "b")])
    assert [fragment.index for fragment in plan] == list(range(len(plan)))
    assert all(fragment.tensors for fragment in plan)
    assert all(0 <= fragment.home < num_workers for fragment in plan)
    num_parameters = sum(fragment.kind == "parameters" for fragment in plan)
    assert num_parameters == min(wanted, len(sizes))
    assert [f.kind for f in plan].count("buffers") == bool(buffers)


@PROFILE
@given(SIZES, st.integers(1, 12))
def test_bounds_tile_a_fragment_in_the_order_of_its_tensors(sizes, num_workers) -> None:
    for fragment in plan_fragments(slots(sizes), [], num_workers):
        stops = [0]
        for (start, stop), tensor in zip(fragment.bounds, fragment.tensors, strict=True):
            assert start == stops[-1]
            assert stop - start == tensor.numel
            stops.append(stop)
        assert stops[-1] == fragment.numel
        order = [int(tensor.name[1:]) for tensor in fragment.tensors]
        assert order == sorted(order)


@PROFILE
@given(SIZES, st.integers(1, 12), st.integers(1, 30))
def test_no_home_has_more_than_longest_first_allows(sizes, num_workers, wanted) -> None:
    """The heaviest load of longest-first is at most (mean of all) + (largest piece)."""
    plan = plan_fragments(slots(sizes), [], num_workers, wanted)
    loads = [sum(f.numel for f in plan if f.home == home) for home in range(num_workers)]
    largest = max(fragment.numel for fragment in plan)
    assert max(loads) <= sum(sizes) / num_workers + largest


def test_equal_tensors_are_spread_evenly() -> None:
    plan = plan_fragments(slots([10] * 12), [], 4)
    assert [fragment.numel for fragment in plan] == [30] * 4
    assert [fragment.home for fragment in plan] == [0, 1, 2, 3]


def test_one_worker_has_everything_in_one_fragment() -> None:
    (fragment,) = plan_fragments(slots([3, 1, 2]), [], 1)
    assert (fragment.home, fragment.numel, fragment.bounds) == (0, 6, ((0, 3), (3, 4), (4, 6)))


def test_there_are_never_more_fragments_than_tensors() -> None:
    plan = plan_fragments(slots([5, 4]), [], num_workers=8, num_fragments=6)
    assert [fragment.numel for fragment in plan] == [5, 4]
    assert [fragment.home for fragment in plan] == [0, 1]


def test_tensors_without_elements_do_no_harm() -> None:
    plan = plan_fragments([TensorSlot("empty", 0), TensorSlot("full", 4)], [], 4)
    assert sum(fragment.numel for fragment in plan) == 4
    assert all(fragment.tensors for fragment in plan)


def test_worker_zero_is_always_a_home() -> None:
    """Snapshots rely on it: nobody can end before worker 0's last word has come."""
    for sizes in ([1], [1, 9, 4], [7] * 30):
        for buffers in ([], [100]):
            plan = plan_fragments(slots(sizes), slots(buffers, "b"), 4, 2)
            assert 0 in {fragment.home for fragment in plan}


def test_a_model_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        plan_fragments([], slots([3], "b"), 2)


def test_ten_thousand_workers_are_planned_in_no_time() -> None:
    plan = plan_fragments(slots([100] * 20_000), [], 10_000)
    assert {fragment.home for fragment in plan} == set(range(10_000))
