import sys
from pathlib import Path

import pytest

from hpctrain.compose.show import life_sign, show
from hpctrain.errors import HpctrainError, RunStoreError
from hpctrain.report.state import LifeSign
from hpctrain.storage.read import open_run
from tests.report.conftest import PHASES_S

GOLDEN = Path(__file__).with_name("golden")
WRITING = LifeSign(writing=True, here=True, silent_s=1.0)
FAR_AWAY = LifeSign(writing=False, here=False, silent_s=3.0)
LONG_SILENT = LifeSign(writing=False, here=False, silent_s=7200.0)


def write_everything(run):
    """A run that was killed, resumed and finished, with everything that can be in one."""
    warning = ("event", {"time_s": 0.5, "kind": "warning", "text": "the disk is [nearly] full"})
    refused = ("outer_update", {
        "time_s": 0.6, "fragment": 0, "version": 0, "sender": 1, "staleness": -1, "weight": 0.0,
        "refused": True, "reason": "it is not finite",
    })  # fmt: skip
    reports = [
        ("report", {"time_s": 0.7 + step, "step": step, "name": "accuracy", "value": step / 3})
        for step in (1, 2)
    ]
    said = ("report_text", {"time_s": 0.8, "step": 1, "name": "mood", "text": "good"})
    four = [(0, 1.0), (1, 2.0), (2, 3.0), (3, 4.0)]
    run.part(0, four, end="", before=[warning, refused, *reports, said])
    run.part(1, [(0, 3.5)], end="", before=[warning])
    run.part(0, [(3, 4.25), (4, 5.0)], resume=True)
    run.part(1, [(1, 4.75)], resume=True)


def test_what_is_shown_of_a_run_is_as_it_was(small_run, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = small_run()
    write_everything(run)
    text = shown(run.run_dir.relative_to(tmp_path))
    assert text == (GOLDEN / "show.txt").read_text()


def test_what_is_shown_fits_80_columns(small_run, shown):
    run = small_run(islands=("a-rather-long-name", "another-rather-long-name"))
    write_everything(run)
    assert max(len(line) for line in shown(run.run_dir).splitlines() if "/" not in line) <= 80


@pytest.mark.parametrize(
    ("life", "state"),
    [(WRITING, "running"), (FAR_AWAY, "running"), (LONG_SILENT, "killed: it ended without a word")],
)
def test_a_run_without_an_end_is_running_as_long_as_it_gives_signs_of_life(
    small_run, shown, life, state
):
    run = small_run()
    run.part(0, [(0, 1.0)], end="")
    assert f"state      {state}" in shown(run.run_dir, life)


def test_a_killed_run_shows_what_it_had_done(small_run, shown):
    run = small_run()
    run.part(0, [(0, 1.0), (1, 2.0)], end="")
    text = shown(run.run_dir)
    assert "killed: it ended without a word; go on with --resume" in text
    assert "ran for    2.0 s" in text
    assert "south" in text  # of which no round has ended


@pytest.mark.parametrize(
    ("end", "state"), [("stop", "stopped: x; go on with --resume"), ("abort", "aborted: x")]
)
def test_one_rank_that_stopped_or_aborted_decides(small_run, shown, end, state):
    run = small_run()
    run.part(0, [(0, 1.0)], end="finish")
    run.part(1, [(0, 1.0)], end=end)
    assert state in shown(run.run_dir, WRITING)


def test_a_resumed_run_is_no_longer_stopped(small_run, shown):
    run = small_run(islands=("alone",), paces=())
    run.part(0, [(0, 1.0)], end="stop")
    run.part(0, [(1, 2.0)], end="", resume=True)
    text = shown(run.run_dir, WRITING)
    assert "state      running" in text
    assert "2.0 s, resumed once\n" in text


def test_a_single_worker_needs_no_sum(small_run, shown):
    run = small_run(islands=("alone",), paces=())
    run.part(0, [(0, 1.0), (1, 2.0)])
    text = shown(run.run_dir)
    assert "small: heloco on 1 island\n" in text
    assert "\nall " not in text
    assert "emulated" not in text


def test_without_evaluations_the_training_loss_is_shown(small_run, shown):
    run = small_run(islands=("alone",), paces=())
    run.part(0, [(0, 1.0), (1, 2.0)], held_out=False)
    text = shown(run.run_dir)
    assert "Training loss (nothing was held out)" in text
    assert "4.000   2.000" in text


def test_a_script_that_only_reports_is_shown(small_run, shown):
    run = small_run(islands=("alone",), paces=())
    row = {"time_s": 1.0, "step": 3, "name": "val_loss", "value": 0.25}
    run.part(0, [], before=[("report", row)])
    text = shown(run.run_dir)
    assert "No round has ended yet." in text
    assert "val_loss    0.25       0     3  1.0 s" in text


def test_a_run_of_which_nothing_is_known_is_shown(small_run, shown):
    run = small_run(islands=(), paces=(), method="")
    run.identity = lambda: {"run_id": "1", "start_time_utc": "2026-01-02T03:04:05+00:00"}
    run.part(0, [], end="")
    assert "small: no method on 1 island" in shown(run.run_dir)


def trained_for(time_s):
    row = {"island": 0, "round": 0, "steps": 10, "tokens": 100, "loss_mean": 1.0}
    return ("round", {"time_s": time_s, **row, **PHASES_S})


def grouped(run, number, **other):
    """A merge of a fragment that nobody pushed to alone."""
    return ("outer_update", {"time_s": 0.5, **run.update(-1, number, fragment=0, **other)})


def test_groups_of_pushes_that_all_waited_for_are_a_line(small_run, shown):
    run = small_run(method="diloco")
    row = {"staleness": 0, "contributors": 2, "cosine": 0.25, "gain": 1.5, "shrunk": 0}
    rows = [grouped(run, n, **row, rotated=0) for n in range(3)]
    run.part(0, [], before=[trained_for(1.0), *rows])
    text = shown(run.run_dir)
    assert "\n3 groups of 2 pushes: nothing was stale, cosine 0.25, gain 1.50\n" in text
    assert "single" not in text


def test_groups_and_single_pushes_of_a_run_are_told_apart(small_run, shown):
    run = small_run(method="galoco")
    rows = [grouped(run, n, staleness=n, contributors=n + 1, cosine=0.5 * n) for n in range(3)]
    row = run.update(0, 3, fragment=0, staleness=7, cosine=-0.5, gain=0.25)
    alone = ("outer_update", {"time_s": 0.9, **row})
    run.part(0, [], before=[trained_for(1.0), *rows, alone])
    text = shown(run.run_dir)
    assert "3 groups of 2.0 pushes: stale by 1.0 (2 at most), cosine 0.50, 75% kept" in text
    assert "How its single pushes were merged" in text
    assert "north          1         7.0    7   0.500" in text
    assert "weight/s" not in text  # what an island pushed in groups is not known


def test_a_buffer_that_is_applied_at_the_end_is_no_group(small_run, shown):
    run = small_run(method="fedbuff")
    pushed = {"time_s": 0.5, **run.update(0, 0, fragment=0)}
    rest = grouped(run, 1, steps=0, contributors=1)
    run.part(0, [], before=[trained_for(1.0), ("outer_update", pushed), rest])
    text = shown(run.run_dir)
    assert "group" not in text
    assert "How its pushes were merged" in text


def compared(run, worker, number, **other):
    row = run.update(worker, number, fragment=0, cosine=0.1 * number, gain=2.0, **other)
    return ("outer_update", {"time_s": number + 1.0, **row})


def test_corrections_are_shown_by_island_with_its_weight_in_time(small_run, shown):
    run = small_run()
    said = {"time_s": 4.0, "round": 0, "domain": "north", "loss": 2.0}
    rows = [trained_for(4.0), ("evaluation", said), *(compared(run, 0, n) for n in range(4))]
    run.part(0, [], before=rows)
    run.part(1, [(0, 4.0)])
    text = shown(run.run_dir)
    assert "weight/s: what an island and its domain weighed per second, in fragment 0" in text
    assert "north          4         1.5    3   0.500     0.500\n" in text  # 4 * 0.5 in 4 s
    corrections = text.partition("\nCorrections (")[2].splitlines()
    assert corrections[1].split() == ["island", "cosine", "gain", "kept", "shrunk", "rotated"]
    assert corrections[3].split() == ["north", "0.15", "2.00", "75%", "0%", "25%"]


@pytest.mark.parametrize("rotated", [0, 1])
def test_what_is_compared_with_the_momentum_fits_80_columns(small_run, shown, rotated):
    run = small_run(islands=("a-rather-long-name", "another-rather-long-name"))
    rows = [compared(run, 0, n, rotated=rotated) for n in range(3)]
    refused = ("outer_update", {"time_s": 0.6, "sender": 0, "refused": True, "reason": "so"})
    run.part(0, [], before=[trained_for(3.0), refused, *rows])
    lines = shown(run.run_dir).splitlines()
    assert any("weight/s" in line and "refused" in line for line in lines)
    assert max(len(line) for line in lines if "/" not in line or "weight" in line) <= 80


def test_a_method_that_corrects_nothing_has_no_section_about_it(small_run, shown):
    run = small_run(method="mla", islands=("alone",), paces=())
    rows = [compared(run, 0, n, rotated=0) for n in range(3)]
    run.part(0, [], before=[trained_for(3.0), *rows])
    text = shown(run.run_dir)
    assert "Corrections" not in text
    assert "alone          3         1.0    2   0.500     0.500\n" in text
    momentum = text.partition("\nAgainst the outer momentum (means)\n")[2].splitlines()
    assert [line.split() for line in momentum[:3:2]] == [
        ["island", "cosine", "gain"], ["alone", "0.10", "2.00"],
    ]  # fmt: skip


def test_an_island_is_shown_with_the_domain_of_its_data(small_run, shown):
    run = small_run()
    said = [{"time_s": 0.1 * n, "round": n, "domain": "news", "loss": 2.0} for n in range(2)]
    run.part(0, [(0, 1.0)], held_out=False, before=[("evaluation", row) for row in said])
    assert "north: news       1 " in shown(run.run_dir)


def test_of_many_islands_the_first_are_shown_and_the_sum_of_all(small_run, shown):
    run = small_run(islands=tuple(f"i{n}" for n in range(60)), paces=())
    with run.store(0) as store:
        for worker in range(60):
            run.round(store, worker, 0, 1.0)
    text = shown(run.run_dir)
    assert "i39 " in text
    assert "i40 " not in text.partition("Held-out")[0]
    assert "all (20 more)      60    600" in text


def test_a_process_that_writes_a_run_is_seen(small_run):
    if not sys.platform.startswith("linux"):
        pytest.skip("locks are listed on Linux only")
    run = small_run()
    with run.store(0):
        assert life_sign(open_run(run.run_dir)).writing
    assert not life_sign(open_run(run.run_dir)).writing


def test_show_prints_without_colours_where_there_is_no_terminal(small_run, capsys):
    run = small_run()
    run.part(0, [(0, 1.0)])
    assert show(run.run_dir, plot=False, fmt="png") == 0
    out = capsys.readouterr().out
    assert out.startswith("small: heloco on 2 islands")
    assert "\x1b" not in out


def test_a_directory_that_holds_no_run_is_refused(tmp_path):
    with pytest.raises(RunStoreError, match="no run directory"):
        show(tmp_path, plot=False, fmt="png")


def test_a_training_has_no_page(small_run):
    run = small_run()
    run.part(0, [(0, 1.0)])
    with pytest.raises(HpctrainError, match="holds a training; only searches have a page"):
        show(run.run_dir, plot=False, fmt="png", html=True)
