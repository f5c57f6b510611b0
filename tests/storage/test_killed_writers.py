"""What is left when a process is killed at any moment, or while others write and read."""

import random
import shutil
import time

import h5py
import numpy as np
import pytest

from hpctrain.errors import RunStoreError
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.log import RankLog
from hpctrain.storage.log_reader import read_log
from hpctrain.storage.provenance import identity
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore

NUM_PARTS = 4


def rounds_in_log(run_dir):
    records = read_log(RunLayout(run_dir).log(0)).records
    return [record.fields["round"] for record in records if record.kind == "round"]


def assert_rank_file_is_whole(run_dir):
    path = RunLayout(run_dir).rank_file(0)
    if path.exists():
        with h5py.File(path) as file:
            rounds = file["round/round"][:]
            assert len(rounds) == len(file["round/loss_mean"])


@pytest.mark.parametrize("seed", range(5))
def test_every_acknowledged_row_survives_a_kill_at_any_moment(writers, tmp_path, seed):
    moments = random.Random(seed)
    run_dir = tmp_path / "run"
    expected = []
    for part in range(NUM_PARTS):  # 5 runs of 4 parts: 20 kills
        writer = writers.start(run_dir, resume=part > 0)
        writer.first_row()
        time.sleep(moments.uniform(0.0, 0.06))
        writer.kill()
        num_rows = 1 + writer.num_acknowledged()
        found = rounds_in_log(run_dir)[len(expected) :]
        # one more may be in the log: killed between `note` and the acknowledgement
        assert found in (list(range(num_rows)), list(range(num_rows + 1)))
        expected += found
        assert_rank_file_is_whole(run_dir)

    table = open_run(run_dir).table("round")
    assert table["round"].tolist() == expected
    assert np.array_equal(table["loss_mean"], 1.0 / (table["round"] + 1))
    events = open_run(run_dir).table("event")["kind"].tolist()
    assert events == ["start", "resume", "resume", "resume"]


def test_links_hold_after_a_kill_and_after_moving_the_directory(writers, tmp_path):
    ours = identity("seed = 1\n", {"seed": 1}, 1)
    started = [writers.start(tmp_path / "run", rank, identity=ours) for rank in range(3)]
    for writer in started:
        writer.first_row()
        writer.kill()
        writer.num_acknowledged()
    open_run(tmp_path / "run")
    shutil.move(tmp_path / "run", tmp_path / "elsewhere")
    with h5py.File(tmp_path / "elsewhere" / "run.h5") as file:
        assert list(file) == ["rank-00000", "rank-00001", "rank-00002"]
        assert [file[name]["round/worker"][0] for name in file] == [0, 1, 2]
        assert file.attrs["config"] == "seed = 1\n"


def test_ranks_that_close_at_once_all_get_their_link(writers, tmp_path):
    ours = identity("", {}, None)
    ranks = range(8)
    started = [writers.start(tmp_path, rank, num_rows=3, identity=ours) for rank in ranks]
    for writer in started:
        assert writer.num_acknowledged() == 3
    with h5py.File(tmp_path / "run.h5") as file:
        assert [name for name in file if "round" in file[name]] == [
            f"rank-0000{rank}" for rank in ranks
        ]


def test_a_reader_sees_a_growing_prefix_while_another_process_writes(writers, tmp_path):
    writer = writers.start(tmp_path)
    writer.first_row()
    lengths = []
    for _ in range(8):
        rounds = open_run(tmp_path).table("round")["round"].tolist()
        assert rounds == list(range(len(rounds)))
        lengths.append(len(rounds))
    writer.kill()
    num_rows = 1 + writer.num_acknowledged()
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1] <= len(open_run(tmp_path).table("round")["round"])
    assert len(open_run(tmp_path).table("round")["round"]) - num_rows in {0, 1}


def test_a_log_that_another_process_writes_is_not_taken_over(writers, tmp_path):
    writer = writers.start(tmp_path)
    writer.first_row()
    path = RunLayout(tmp_path).log(0)
    with pytest.raises(RunStoreError, match=r"another process still writes .*rank-00000\.log"):
        RankLog.reopen(path, lock_wait_s=0.1)
    writer.kill()
    writer.num_acknowledged()
    RunStore.open_for_writing(tmp_path, 0, {}, resume=True).close()
