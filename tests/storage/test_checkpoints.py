import json
import math
import random
import subprocess
import sys
import textwrap
from collections import OrderedDict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hpctrain.errors import RunStoreError
from hpctrain.storage.checkpoints import CheckpointDir
from hpctrain.storage.tree import decode, encode

arrays = st.one_of(
    hnp.boolean_dtypes(), hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes()
).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)
    )
)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), arrays
)
keys = st.one_of(st.text(max_size=3), st.integers(), st.just("__hpctrain__"))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
    ),
    max_leaves=8,
)


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, np.ndarray | np.generic):
        equal = left.shape == right.shape and left.tobytes() == right.tobytes()
        return left.dtype == right.dtype and equal
    return left == right or (isinstance(left, float) and math.isnan(left) and math.isnan(right))


def write(checkpoints, number, trees_by_name=None, meta=None):
    by_name = trees_by_name or {"rank-00000": {"number": number}}
    parts = [checkpoints.write_part(number, name, tree) for name, tree in by_name.items()]
    return checkpoints.commit(number, parts, meta or {})


@settings(max_examples=60, deadline=None)
@given(trees)
def test_any_tree_comes_back_as_it_went_in(tree):
    assert same(decode(encode(tree)), tree)


def test_the_state_of_a_training_comes_back_exactly(tmp_path):
    model = torch.nn.Linear(3, 2)
    tree = {
        "model": model.state_dict(),
        "optimizer": {  # as of AdamW
            "state": {0: {"step": torch.tensor(1.0), "exp_avg": torch.randn(2, 3)}, 1: {}},
            "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0, 1]}],
        },
        "half": torch.randn(5).bfloat16(),
        "numpy_rng": np.random.default_rng(1).bit_generator.state,  # integers of 128 bits
        "python_rng": random.Random(1).getstate(),
        "torch_rng": torch.Generator().get_state(),
        "arrays": tuple(
            np.arange(4).astype(dtype) for dtype in ("u1", "i8", "f4", "f8", "?", ">f2", "u8")
        ),
        "scalars": [np.float32(0.1), np.float64(0.1), np.int64(3), True, None, 2**200, 1e-300],
        "pairs": {(0, "a"): 1, None: 2},
        "raw": b"\x00\xff",
    }
    checkpoints = CheckpointDir(tmp_path)
    write(checkpoints, 3, {"rank-00000": tree})
    back = checkpoints.read_part(checkpoints.latest(), "rank-00000")
    tree["model"] = OrderedDict(tree["model"])
    assert same(back, tree)


def test_a_view_takes_only_its_own_bytes(tmp_path):
    whole = torch.zeros(1_000_000)
    part = CheckpointDir(tmp_path).write_part(0, "a", {"view": whole[10:20]})
    assert part.bytes < 5_000


def test_a_parameter_comes_back_as_a_tensor(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    write(checkpoints, 0, {"a": torch.nn.Parameter(torch.ones(2))})
    back = checkpoints.read_part(checkpoints.latest(), "a")
    assert type(back) is torch.Tensor
    assert not back.requires_grad


def test_a_type_that_is_not_allowed_is_named_with_its_place(tmp_path):
    with pytest.raises(TypeError, match=r"rank-0\['a'\]\[1\] is a builtins.set; .* holds dicts"):
        CheckpointDir(tmp_path).write_part(0, "rank-0", {"a": [1, {2}]})
    assert not (tmp_path / "checkpoints").exists()


def test_only_a_committed_checkpoint_counts(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    assert checkpoints.latest() is None
    assert checkpoints.next_number() == 0
    write(checkpoints, 0, meta={"round": 5})
    checkpoints.write_part(1, "rank-00000", {})
    assert checkpoints.latest().number == 0
    assert checkpoints.latest().meta == {"round": 5}
    assert checkpoints.next_number() == 2


def test_a_commit_deletes_what_it_makes_superfluous(tmp_path):
    checkpoints = CheckpointDir(tmp_path, keep=2)
    write(checkpoints, 0)
    checkpoints.write_part(1, "rank-00000", {})  # never committed
    write(checkpoints, 2)
    assert [each.number for each in checkpoints.complete()] == [2, 0]
    write(checkpoints, 3)
    assert [each.number for each in checkpoints.complete()] == [3, 2]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "000002",
        "000003",
    ]


def test_a_damaged_part_is_named_and_the_older_checkpoint_still_reads(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    write(checkpoints, 0)
    newest = write(checkpoints, 1)
    path = newest.path / "rank-00000.pt"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(RunStoreError, match=r"000001/rank-00000\.pt is damaged: its sha256"):
        checkpoints.read_part(newest, "rank-00000")
    older = checkpoints.complete()[1]
    assert checkpoints.read_part(older, "rank-00000") == {"number": 0}


def test_a_checkpoint_with_a_short_or_missing_part_is_not_complete(tmp_path):
    checkpoints = CheckpointDir(tmp_path, keep=3)
    for number in range(3):
        write(checkpoints, number)
    newest, middle, _ = checkpoints.complete()
    (newest.path / "rank-00000.pt").write_bytes(b"short")
    (middle.path / "rank-00000.pt").unlink()
    assert checkpoints.latest().number == 0
    with pytest.raises(RunStoreError, match=r"rank-00000\.pt is damaged: it has 5 bytes, but"):
        checkpoints.read_part(newest, "rank-00000")
    with pytest.raises(RunStoreError, match=r"cannot read .*000001/rank-00000\.pt: No such file"):
        checkpoints.read_part(middle, "rank-00000")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}'])
def test_a_checkpoint_with_a_bad_manifest_is_passed_over_with_a_warning(tmp_path, text, caplog):
    checkpoints = CheckpointDir(tmp_path)
    write(checkpoints, 0)
    newest = write(checkpoints, 1)
    (newest.path / "MANIFEST.json").write_text(text)
    assert checkpoints.latest().number == 0
    assert "checkpoint 1 is passed over" in caplog.text


def test_a_manifest_that_was_edited_does_not_count(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    path = write(checkpoints, 0, meta={"round": 5}).path / "MANIFEST.json"
    content = json.loads(path.read_text())
    content["meta"]["round"] = 6
    path.write_text(json.dumps(content))
    assert checkpoints.latest() is None


def test_a_commit_of_a_part_that_is_not_there_is_refused(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    part = checkpoints.write_part(0, "rank-00007", {})
    (tmp_path / "checkpoints/000000/rank-00007.pt").unlink()
    with pytest.raises(RunStoreError, match=r"rank-00007\.pt is missing, but its writer reported"):
        checkpoints.commit(0, [part], {})
    assert checkpoints.latest() is None


def test_a_complete_checkpoint_is_not_overwritten(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    write(checkpoints, 4)
    with pytest.raises(RunStoreError, match="000004 is complete already; write checkpoint 5"):
        checkpoints.write_part(4, "rank-00000", {})


def test_an_unknown_part_and_a_bad_name_are_refused(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    done = write(checkpoints, 0)
    with pytest.raises(RunStoreError, match="has no part 'rank-9'; it has rank-00000"):
        checkpoints.read_part(done, "rank-9")
    with pytest.raises(RunStoreError, match=r"'\.\./x' cannot name a part"):
        checkpoints.write_part(1, "../x", {})
    with pytest.raises(ValueError, match="keep = 0"):
        CheckpointDir(tmp_path, keep=0)


FULL_DISK = """
    import resource, signal, sys
    import torch
    from hpctrain.errors import RunStoreError
    from hpctrain.storage.checkpoints import CheckpointDir

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    checkpoints = CheckpointDir(sys.argv[1])
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        checkpoints.write_part(1, "rank-00000", {"theta": torch.zeros(100_000)})
    except RunStoreError as error:
        print(error)
"""


def test_a_full_disk_leaves_the_older_checkpoint_and_no_remains(tmp_path):
    checkpoints = CheckpointDir(tmp_path)
    write(checkpoints, 0)
    program = [sys.executable, "-c", textwrap.dedent(FULL_DISK), tmp_path]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=True)
    assert f"cannot write {tmp_path}/checkpoints/000001/rank-00000.pt" in done.stdout
    assert "free some space" in done.stdout
    assert list((tmp_path / "checkpoints/000001").iterdir()) == []
    assert checkpoints.read_part(checkpoints.latest(), "rank-00000") == {"number": 0}
