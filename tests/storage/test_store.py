import json
import logging
import os
import stat
from datetime import UTC, datetime, timedelta

import h5py
import numpy as np
import pytest

from hpctrain.errors import RunStoreError
from hpctrain.storage.fold import fold_run
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.log import RankLog
from hpctrain.storage.log_reader import read_log
from hpctrain.storage.provenance import identity
from hpctrain.storage.read import open_run
from hpctrain.storage.store import FIRST_FOLD_S, RunStore


class TickingClock:
    """Goes on by `tick_s` with every reading."""

    def __init__(self, tick_s=0.0):
        self.time_s = 1000.0
        self.tick_s = tick_s

    def __call__(self):
        self.time_s += self.tick_s
        return self.time_s


def write_run(run_dir, num_ranks=2, num_rounds=3):
    ours = identity("seed = 7\n", {"seed": 7, "train": {"steps": 3}}, 7)
    for rank in range(num_ranks):
        header = {"worker": rank, "island": rank // 2, "host": "here"}
        with RunStore.open_for_writing(run_dir, rank, header, identity=ours) as store:
            for row in range(num_rounds):
                store.note("round", {"worker": rank, "round": row, "loss_mean": 1.0})
            store.note("mine", {"worker": rank, "curve": np.arange(4.0), "mood": "gut\0"})
    return ours


def test_what_was_noted_can_be_read_over_all_ranks(tmp_path):
    write_run(tmp_path)
    run = open_run(tmp_path)
    assert run.ranks == (0, 1)
    rounds = run.table("round")
    assert rounds["rank"].tolist() == [0, 0, 0, 1, 1, 1]
    assert rounds["round"].tolist() == [0, 1, 2, 0, 1, 2]
    assert np.isnan(rounds["wait_s"]).all()
    assert (np.diff(rounds["time_s"][:3]) > 0).all()
    mine = run.table("mine")
    assert mine["curve"].tolist() == [[0.0, 1.0, 2.0, 3.0]] * 2
    assert mine["mood"].tolist() == ["gut\\0"] * 2
    assert run.kinds() == ("event", "mine", "round")
    assert run.header(1)["island"] == 0


def test_the_identity_is_in_the_run_and_in_run_h5(tmp_path):
    ours = write_run(tmp_path)
    found = open_run(tmp_path).identity
    assert {name: found[name] for name in ours} == ours
    with h5py.File(tmp_path / "run.h5") as file:
        assert file.attrs["config"] == "seed = 7\n"
        assert json.loads(file.attrs["config_resolved"])["train"] == {"steps": 3}
        assert file.attrs["seed"] == 7
        assert file.attrs["git_commit"] == ours["git_commit"]
        assert "numpy" in json.loads(file.attrs["versions"])
        assert file.attrs["start_time_utc"].endswith("+00:00")


def test_columns_carry_unit_and_description(tmp_path):
    write_run(tmp_path, num_ranks=1)
    with h5py.File(tmp_path / "rank-00000.h5") as file:
        assert file["round/wait_s"].attrs["unit"] == "s"
        assert "nothing to do" in file["round/wait_s"].attrs["description"]
        assert file.attrs["rank"] == 0
        assert file.attrs["host"] == "here"


def test_a_configuration_longer_than_an_hdf5_attribute_is_kept(tmp_path):
    text = "# long\n" * 20_000  # 140 kB; attributes end at 64 kB unless stored indirectly
    ours = identity(text, {}, None)
    RunStore.open_for_writing(tmp_path, 0, {}, identity=ours).close()
    with h5py.File(tmp_path / "run.h5") as file:
        assert file.attrs["config"] == text


def test_a_known_kind_without_rows_is_an_empty_table_and_an_unknown_one_an_error(tmp_path):
    write_run(tmp_path)
    table = open_run(tmp_path).table("outer_update")
    assert len(table["staleness"]) == len(table["rank"]) == 0
    with pytest.raises(RunStoreError, match="no rows of kind 'rounds'; it has event, mine, round"):
        open_run(tmp_path).table("rounds")


def test_a_directory_that_holds_a_run_is_refused_with_the_way_out(tmp_path):
    write_run(tmp_path)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for rank in (0, 1, 5):
        with pytest.raises(RunStoreError, match=r"already holds a run; .*--resume .*, or choose"):
            RunStore.open_for_writing(tmp_path, rank, {}, identity=identity("", {}, 1))
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_ranks_may_come_before_rank_zero(tmp_path):
    ours = identity("", {}, None)
    first = RunStore.open_for_writing(tmp_path, 1, {}, identity=ours)
    second = RunStore.open_for_writing(tmp_path, 0, {}, identity=ours)
    third = RunStore.open_for_writing(tmp_path, 2, {}, identity=ours)
    for store in (first, second, third):
        store.close()
    assert open_run(tmp_path).ranks == (0, 1, 2)


def test_a_later_rank_without_identity_is_told_what_it_needs(tmp_path):
    with pytest.raises(RunStoreError, match=r"rank 1 opens .*give every rank the identity"):
        RunStore.open_for_writing(tmp_path / "run", 1, {})


def test_resuming_appends_keeps_the_identity_and_says_so(tmp_path):
    ours = write_run(tmp_path)
    with RunStore.open_for_writing(
        tmp_path, 1, {"worker": 1}, resume=True, identity=identity("", {}, 8)
    ) as store:
        assert store.resumed
        assert store.identity["run_id"] == ours["run_id"]
        store.note("round", {"round": 3})
    run = open_run(tmp_path)
    assert run.table("round")["round"].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert run.table("event")["kind"].tolist() == ["start", "start", "resume"]
    assert run.table("event")["worker"].tolist() == [0, 1, 1]
    assert "numpy" in run.table("event")["text"][2]


def test_resuming_where_nothing_is_starts_a_run(tmp_path):
    with RunStore.open_for_writing(tmp_path, 0, {}, resume=True) as store:
        assert not store.resumed
    assert open_run(tmp_path).table("event")["kind"].tolist() == ["start"]


def test_time_goes_on_from_the_start_of_the_run_and_never_back(tmp_path):
    ours = identity("", {}, None)
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    ours["start_time_utc"] = an_hour_ago.isoformat()
    clock = TickingClock()
    with RunStore.open_for_writing(tmp_path, 0, {}, identity=ours, clock=clock) as store:
        assert store.now_s() == pytest.approx(3600, abs=30)  # 30 s: a very slow test machine
        clock.time_s += 2.0
        store.note("round", {})
        store.note("round", {"time_s": 9000.0})
    times_s = open_run(tmp_path).table("round")["time_s"]
    assert times_s[0] == pytest.approx(3602, abs=30)
    assert times_s[1] == 9000.0
    with RunStore.open_for_writing(tmp_path, 0, {}, resume=True) as store:
        assert store.now_s() >= 9000.0
    with RunStore.open_for_writing(
        tmp_path, 0, {}, resume=True, resume_at_s=50.0, clock=TickingClock()
    ) as store:
        assert store.now_s() == 50.0


def test_folding_takes_less_than_a_hundredth_of_the_time(tmp_path):
    clock = TickingClock()
    store = RunStore.open_for_writing(tmp_path, 0, {}, clock=clock)
    assert not store.fold_if_due()
    assert not (tmp_path / "rank-00000.h5").exists()
    clock.time_s += FIRST_FOLD_S
    clock.tick_s = 1.0  # so a fold takes a second
    assert store.fold_if_due()
    clock.tick_s = 0.0
    clock.time_s += 190.0
    assert not store.fold_if_due()
    clock.time_s += 10.0
    assert store.fold_if_due()
    store.close()


def test_a_rank_whose_folds_are_long_folds_again_only_at_the_end(tmp_path):
    clock = TickingClock()
    store = RunStore.open_for_writing(tmp_path, 0, {}, clock=clock)
    clock.time_s += FIRST_FOLD_S
    clock.tick_s = 3.0
    assert store.fold_if_due()
    clock.time_s += 1e6
    assert not store.fold_if_due()
    store.note("round", {"round": 5})
    store.close()
    with h5py.File(tmp_path / "rank-00000.h5") as file:
        assert file["round/round"][:].tolist() == [5]


def test_a_running_run_can_be_read(tmp_path):
    store = RunStore.open_for_writing(tmp_path, 0, {})
    store.note("round", {"round": 0})
    assert open_run(tmp_path).table("round")["round"].tolist() == [0]
    store.note("round", {"round": 1})
    assert open_run(tmp_path).table("round")["round"].tolist() == [0, 1]
    store.close()


def test_only_logs_that_grew_are_folded_again(tmp_path):
    write_run(tmp_path)
    assert fold_run(tmp_path) == ()
    with RankLog.reopen(RunLayout(tmp_path).log(1)) as log:
        log.append("round", {"round": 3})
    assert fold_run(tmp_path) == (1,)
    assert fold_run(tmp_path) == ()


def test_a_run_whose_logs_were_not_copied_is_read_from_its_hdf5_files(tmp_path):
    write_run(tmp_path)
    for path in RunLayout(tmp_path).logs.iterdir():
        path.unlink()
    assert len(open_run(tmp_path).table("round")["round"]) == 6


def test_a_damaged_hdf5_file_is_made_again(tmp_path):
    write_run(tmp_path)
    (tmp_path / "rank-00000.h5").write_bytes(b"rubbish")
    (tmp_path / "run.h5").write_bytes(b"")
    assert len(open_run(tmp_path).table("round")["round"]) == 6
    with h5py.File(tmp_path / "run.h5") as file:
        assert len(file["rank-00000/round/round"]) == 3


def test_damage_in_a_log_is_told_in_the_rank_file(tmp_path, caplog):
    write_run(tmp_path)
    path = RunLayout(tmp_path).log(0)
    data = bytearray(path.read_bytes())
    data[data.index(b"loss_mean")] ^= 1
    path.write_bytes(data)
    (tmp_path / "rank-00000.h5").unlink()
    run = open_run(tmp_path)
    assert run.table("round")["round"].tolist() == [1, 2, 0, 1, 2]
    (place,) = read_log(path).damage
    assert run.header(0)["damaged"] == str(place)
    assert str(place) in caplog.text


def test_what_cannot_be_folded_to_disk_is_folded_in_memory(tmp_path):
    write_run(tmp_path)
    (tmp_path / "rank-00000.h5").unlink()
    (tmp_path / "rank-00000.h5").mkdir()  # root may write anywhere, but not over a directory
    (tmp_path / "rank-00000.h5" / "x").touch()
    assert len(open_run(tmp_path).table("round")["round"]) == 6


def test_a_fold_that_fails_does_not_end_the_run(tmp_path, caplog):
    store = RunStore.open_for_writing(tmp_path, 0, {})
    (tmp_path / "rank-00000.h5").mkdir()
    (tmp_path / "rank-00000.h5" / "x").touch()
    with caplog.at_level(logging.WARNING):
        store.close()
    assert "its log has all rows" in caplog.text


def test_what_is_no_run_is_refused_by_name(tmp_path):
    with pytest.raises(RunStoreError, match=r"is no run directory: it has no run\.json"):
        open_run(tmp_path)
    with pytest.raises(RunStoreError, match="nowhere does not exist"):
        open_run(tmp_path / "nowhere")
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(RunStoreError, match=r"of format 99, but .* reads format 1"):
        open_run(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunStoreError, match=r"cannot read .*run.json"):
        open_run(tmp_path)


def test_leftovers_of_a_killed_fold_are_removed_by_the_resumed_run(tmp_path):
    write_run(tmp_path)
    leftover = tmp_path / ".rank-00000.h5.elsewhere.123.tmp"
    leftover.write_bytes(b"half a file")
    RunStore.open_for_writing(tmp_path, 0, {}, resume=True).close()
    assert not leftover.exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_files_are_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        write_run(tmp_path, num_ranks=1)
    finally:
        os.umask(before)
    for path in ("run.json", "run.h5", "rank-00000.h5", "logs/rank-00000.log"):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == 0o640


def test_the_identity_says_unknown_outside_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    ours = identity("", {}, 3)
    assert ours["git_commit"] == "unknown"
    assert ours["seed"] == 3
    assert datetime.fromisoformat(ours["start_time_utc"]).tzinfo is not None
