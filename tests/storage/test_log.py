import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpctrain.errors import RunStoreError
from hpctrain.storage.log import RankLog
from hpctrain.storage.log_reader import MAGIC, read_log
from hpctrain.storage.records import FRAME, RecordPacker, scan, unpack

dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.text(),
    hnp.arrays(dtypes, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    dtypes.flatmap(hnp.from_dtype),
)


def same(left, right):
    if isinstance(left, np.ndarray | np.generic) and not isinstance(left, float):
        # a numpy scalar has no byte order, and its float64 is packed as Python's float
        return left.shape == right.shape and (left.astype(right.dtype).tobytes() == right.tobytes())
    return left == right or (left != left and right != right)


def write_rows(path, num_rows, header=None):
    with RankLog.create(path, header or {"rank": 3}) as log:
        for row in range(num_rows):
            log.append("round", {"round": row, "loss": row / 2})


def rounds_of(contents):
    return [record.fields["round"] for record in contents.records]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(), values, max_size=5))
def test_any_fields_come_back_as_they_went_in(fields):
    frame = RecordPacker().frame(("kind", fields))
    kind, back = unpack(memoryview(frame)[FRAME.size :])
    assert kind == "kind"
    assert list(back) == list(fields)
    assert all(same(fields[name], back[name]) for name in fields)


def test_arrays_keep_their_dtype_and_shape_exactly(tmp_path):
    arrays = {
        "u8": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "strided": np.arange(10, dtype=">i4")[::3],
        "half": np.zeros((0, 4), np.float16),
        "flag": np.array(True),
    }
    with RankLog.create(tmp_path / "a.log", {}) as log:
        log.append("mine", arrays)
    (record,) = read_log(tmp_path / "a.log").records
    for name, array in arrays.items():
        assert record.fields[name].dtype == array.dtype
        assert np.array_equal(record.fields[name], array)


def test_a_lone_surrogate_does_not_cost_the_row(tmp_path):
    with RankLog.create(tmp_path / "a.log", {}) as log:
        log.append("mine", {"text": "a\ud800b"})
    (record,) = read_log(tmp_path / "a.log").records
    assert record.fields["text"] == "a\\ud800b"


def test_the_header_comes_first_and_may_nest(tmp_path):
    write_rows(tmp_path / "a.log", 2, {"rank": 1, "versions": {"torch": "2.4"}})
    contents = read_log(tmp_path / "a.log")
    assert contents.header == {"rank": 1, "versions": {"torch": "2.4"}}
    assert rounds_of(contents) == [0, 1]
    assert contents.torn_bytes == 0
    assert contents.damage == ()


def test_reopening_goes_on_after_the_last_row(tmp_path):
    write_rows(tmp_path / "a.log", 2)
    with RankLog.reopen(tmp_path / "a.log") as log:
        log.append("round", {"round": 2})
    assert rounds_of(read_log(tmp_path / "a.log")) == [0, 1, 2]


def test_wherever_the_file_is_cut_only_the_cut_row_is_lost(tmp_path):
    path = tmp_path / "a.log"
    write_rows(path, 3)
    whole = path.read_bytes()
    spans = scan(whole, len(MAGIC)).spans
    ends = [stop for _, stop in spans[1:]]
    for cut in range(spans[0][1], len(whole)):
        path.write_bytes(whole[:cut])
        contents = read_log(path)
        complete = sum(end <= cut for end in ends)
        assert rounds_of(contents) == list(range(complete))
        assert contents.torn_bytes == cut - contents.end_bytes
    with RankLog.reopen(path) as log:
        assert path.stat().st_size == ends[-2]
        log.append("round", {"round": 2})
    assert path.read_bytes()[: ends[-2]] == whole[: ends[-2]]
    assert rounds_of(read_log(path)) == [0, 1, 2]


def test_zeros_after_a_power_cut_are_a_torn_tail(tmp_path):
    write_rows(tmp_path / "a.log", 2)
    with (tmp_path / "a.log").open("ab") as file:
        file.write(bytes(4096))
    contents = read_log(tmp_path / "a.log")
    assert rounds_of(contents) == [0, 1]
    assert contents.torn_bytes == 4096


def test_a_corrupt_byte_costs_the_row_it_hit_and_is_located(tmp_path):
    path = tmp_path / "a.log"
    write_rows(path, 5)
    data = bytearray(path.read_bytes())
    start, stop = scan(bytes(data), len(MAGIC)).spans[3]  # the header is the first
    data[start + 3] ^= 0x40
    path.write_bytes(data)
    contents = read_log(path)
    assert rounds_of(contents) == [0, 1, 3, 4]
    assert [str(place) for place in contents.damage] == [
        f"{stop - start + FRAME.size} bytes at byte {start - FRAME.size}"
    ]
    with RankLog.reopen(path) as log:
        log.append("round", {"round": 5})
    assert rounds_of(read_log(path)) == [0, 1, 3, 4, 5]


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_damage_ever_costs_a_row_that_it_did_not_hit(data):
    packer = RecordPacker()
    frames = [packer.frame(("round", {"round": row})) for row in range(8)]
    whole = bytearray(b"".join(frames))
    start = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=60))[: len(whole) - start]
    whole[start : start + len(junk)] = junk
    found = [unpack(memoryview(whole)[a:b])[1]["round"] for a, b in scan(bytes(whole), 0).spans]
    offset, untouched = 0, []
    for row, frame in enumerate(frames):
        if offset + len(frame) <= start or offset >= start + len(junk):
            untouched.append(row)
        offset += len(frame)
    assert set(untouched) <= set(found) <= set(range(8))
    assert found == sorted(found)


def test_a_damaged_header_costs_the_header_only(tmp_path):
    path = tmp_path / "a.log"
    write_rows(path, 3)
    data = bytearray(path.read_bytes())
    data[len(MAGIC) + FRAME.size] ^= 0xFF
    path.write_bytes(data)
    contents = read_log(path)
    assert contents.header == {}
    assert rounds_of(contents) == [0, 1, 2]


def test_a_foreign_file_is_refused_by_name(tmp_path):
    path = tmp_path / "rank-00000.log"
    path.write_bytes(b"\x89HDF\r\n\x1a\n and more")
    with pytest.raises(RunStoreError, match=r"rank-00000.log is no log .*begins with b'\\x89HDF"):
        read_log(path)
    with pytest.raises(RunStoreError, match="is no log"):
        RankLog.reopen(path)
    assert path.read_bytes() == b"\x89HDF\r\n\x1a\n and more"


def test_a_missing_log_is_named(tmp_path):
    with pytest.raises(RunStoreError, match=r"cannot read .*a.log: No such file"):
        read_log(tmp_path / "a.log")


def test_an_existing_log_is_not_overwritten(tmp_path):
    write_rows(tmp_path / "a.log", 1)
    with pytest.raises(RunStoreError, match="exists already"):
        RankLog.create(tmp_path / "a.log", {})


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"ok": 1, "bad": object()}, TypeError, r"mine\.bad: .*builtins.object"),
        ({"bad": np.array([None])}, TypeError, r"mine\.bad: .*object"),
        ({"bad": 1 << 64}, ValueError, r"mine\.bad: 18446744073709551616 has more than 64 bits"),
        ({"a/b": 1}, ValueError, r"'a/b' cannot name a kind or column .*'mine'"),
        ({"": 1}, ValueError, "'' cannot name"),
    ],
)
def test_what_cannot_be_stored_is_named_and_leaves_no_trace(tmp_path, fields, error, message):
    with RankLog.create(tmp_path / "a.log", {}) as log:
        with pytest.raises(error, match=message):
            log.append("mine", fields)
        log.append("mine", {"ok": 2})
    assert [record.fields for record in read_log(tmp_path / "a.log").records] == [{"ok": 2}]


def test_a_closed_log_refuses_rows(tmp_path):
    log = RankLog.create(tmp_path / "a.log", {})
    log.close()
    log.close()
    with pytest.raises(RunStoreError, match="is closed"):
        log.append("round", {})


def test_a_row_is_with_the_system_when_append_returns_only_if_durable(tmp_path):
    durable = RankLog.create(tmp_path / "durable.log", {})
    durable.append("round", {"round": 0})
    assert rounds_of(read_log(tmp_path / "durable.log")) == [0]

    buffered = RankLog.create(tmp_path / "buffered.log", {}, durable=False, flush_every_s=0.05)
    buffered.append("round", {"round": 0})
    assert rounds_of(read_log(tmp_path / "buffered.log")) == []
    time.sleep(0.06)
    buffered.flush_if_due()
    assert rounds_of(read_log(tmp_path / "buffered.log")) == [0]
    buffered.append("round", {"round": 1})
    buffered.close()
    assert rounds_of(read_log(tmp_path / "buffered.log")) == [0, 1]
    durable.close()


FULL_DISK = """
    import resource, signal, sys
    from pathlib import Path
    from hpctrain.errors import RunStoreError
    from hpctrain.storage.log import RankLog
    from hpctrain.storage.log_reader import read_log

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    path = Path(sys.argv[1])
    log = RankLog.create(path, {}, durable=sys.argv[2] == "durable", flush_every_s=0.0)
    log.append("round", {"round": 0})
    before = path.read_bytes()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))  # 10 bytes fit: short write
    try:
        log.append("round", {"round": 1})
    except RunStoreError as error:
        print(error)
    assert path.read_bytes() == before
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    log.append("round", {"round": 2})
    log.close()
    print([record.fields["round"] for record in read_log(path).records])
"""


@pytest.mark.parametrize(("mode", "kept"), [("durable", "[0, 2]"), ("buffered", "[0, 1, 2]")])
def test_a_full_disk_is_reported_and_does_not_stop_later_rows(tmp_path, mode, kept):
    path = tmp_path / "a.log"
    program = [sys.executable, "-c", textwrap.dedent(FULL_DISK), path, mode]
    done = subprocess.run(program, capture_output=True, text=True, timeout=20, check=True)
    error, rounds = done.stdout.splitlines()
    assert f"cannot write {path}" in error
    assert "free some space" in error
    assert rounds == kept
