"""The codec: every plain value comes back as it was, arrays without a copy, the rest refused."""

from dataclasses import dataclass

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hpctrain.core.events import Done, Received, Started
from hpctrain.core.plain import plain
from hpctrain.runtime.codec import (
    array_shapes,
    decode,
    empty_arrays,
    encode,
    from_bytes,
    payload_bytes,
    to_bytes,
)
from hpctrain.training.messages import Push, TrainRound
from hpctrain.training.state import HomeState, LearnerState, TrainingState

PROFILE = settings(derandomize=True, deadline=None, max_examples=80)

DTYPES = st.sampled_from(["f4", "f8", "f2", "i1", "i8", "u2", "?", "c8"])
ARRAYS = npst.arrays(DTYPES, npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
KEYS = st.text(max_size=4) | st.integers(0, 99) | st.tuples(st.integers(0, 9), st.text(max_size=2))


def nested(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return (
        st.lists(children, max_size=4)
        | st.lists(children, max_size=4).map(tuple)
        | st.dictionaries(KEYS, children, max_size=4)
        | st.builds(Done, children)
        | st.builds(Received, st.integers(0, 9), children)
        | st.just(Started())
    )


VALUES = st.recursive(SCALARS | ARRAYS, nested, max_leaves=20)


def same(a: object, b: object) -> bool:
    """Equal in value, type, dtype, shape and bits."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, Done):
        return same(a.result, b.result)
    if isinstance(a, Received):
        return a.sender == b.sender and same(a.message, b.message)
    return a == b


@PROFILE
@given(VALUES)
def test_every_plain_value_comes_back_from_the_wire(value) -> None:
    header, arrays = encode(value)
    received = empty_arrays(header)
    for array, target in zip(arrays, received, strict=True):
        assert target.nbytes == array.nbytes
        target.reshape(-1).view(np.uint8)[:] = array.reshape(-1).view(np.uint8)
    assert same(decode(header, received), value)
    assert same(decode(header, arrays), value)


@PROFILE
@given(VALUES)
def test_every_plain_value_comes_back_from_a_file(value) -> None:
    assert same(from_bytes(to_bytes(value)), value)


def test_states_and_messages_are_plain() -> None:
    data = np.arange(3, dtype=np.float32)
    push = Push(1, 2, 3, 4, 5, data)
    home = HomeState({0: None}, {0: 7}, {0: 2}, [1], {0: {3: {1: push}}})
    state = TrainingState(2, LearnerState("waiting", 4, [1], [0], {0: data}), home)
    again = from_bytes(to_bytes([state, TrainRound(1, 2, 3, 4, {0: data}, (0, 1))]))
    assert again[0].home.collected[0][3][1].data.tobytes() == data.tobytes()
    assert again[0].learner.phase == "waiting"
    assert again[1].expects == (0, 1)


def test_arrays_are_not_copied() -> None:
    data = np.arange(1000, dtype=np.float32)
    header, arrays = encode(Push(0, 0, 0, 1, 1, data))
    assert np.shares_memory(arrays[0], data)
    assert decode(header, arrays).data is arrays[0]
    assert len(header) < 100


def test_an_array_that_is_not_contiguous_keeps_its_values() -> None:
    data = np.arange(12.0).reshape(3, 4)
    for view in (data.T, data[:, ::2], np.asfortranarray(data)):
        np.testing.assert_array_equal(from_bytes(to_bytes(view)), view)
        np.testing.assert_array_equal(decode(*encode(view)), view)


def test_dtypes_and_shapes_are_known_from_the_header_alone() -> None:
    header, _ = encode({"a": [np.zeros((2, 3), "i2")], ("b", 1): Done(np.zeros((), "f8"))})
    assert array_shapes(header) == [(np.dtype("i2"), (2, 3)), (np.dtype("f8"), ())]


def test_arrays_from_a_file_can_be_written() -> None:
    blob = to_bytes([np.zeros(4, np.float32), np.zeros(0)])
    first, second = from_bytes(blob)
    first += 1
    assert first.flags.writeable
    assert second.shape == (0,)
    np.testing.assert_array_equal(from_bytes(blob)[0], 0)


def test_numpy_scalars_become_numbers_of_python() -> None:
    value = from_bytes(to_bytes([np.float32(1.5), np.int64(-3), np.bool_(True), np.float64(0.1)]))
    assert value == [1.5, -3, True, 0.1]
    assert [type(item) for item in value] == [float, int, bool, float]


def test_payload_is_what_the_arrays_weigh() -> None:
    assert payload_bytes(Push(0, 0, 0, 1, 1, np.zeros(10, np.float32))) == 40
    assert payload_bytes("text") == 0


class Unknown:
    pass


@pytest.mark.parametrize("value", [Unknown(), {1, 2}, 1j, [Unknown()], Done(object)])
def test_what_is_not_plain_is_refused_by_name(value) -> None:
    with pytest.raises(TypeError, match="cannot leave the process; allowed are"):
        encode(value)


@pytest.mark.parametrize(
    "array",
    [np.array([None, 1]), np.zeros(2, [("a", "f4"), ("b", "i4")])],
    ids=["objects", "records"],
)
def test_arrays_whose_memory_means_nothing_elsewhere_are_refused(array) -> None:
    with pytest.raises(TypeError, match="cannot leave the process"):
        encode(array)


def test_a_class_that_nobody_registered_is_named() -> None:
    inner = msgpack.packb(["ClassFromTheFuture", 1])
    header = msgpack.packb(msgpack.ExtType(2, inner))
    with pytest.raises(ValueError, match="'ClassFromTheFuture' is not a known plain class"):
        decode(header, [])


def test_a_field_of_a_foreign_kind_is_refused() -> None:
    for data in (b"", b"hello", msgpack.packb([1, 2])):
        with pytest.raises(ValueError, match="unknown kind 42"):
            decode(msgpack.packb(msgpack.ExtType(42, data)), [])


def test_two_plain_classes_of_one_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Push:
        x: int

    with pytest.raises(TypeError, match="two plain classes are called Push"):
        plain(Push)


def test_only_dataclasses_can_be_plain() -> None:
    with pytest.raises(TypeError, match="not a dataclass"):
        plain(Unknown)
