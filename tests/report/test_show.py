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


def test_merges_of_all_islands_at_once_are_said_to_be_not_stale(small_run, shown):
    run = small_run(method="diloco")
    run.part(0, [], before=[("outer_update", run.update(-1, 0, fragment=0, staleness=0))])
    with run.store(1) as store:
        run.round(store, 1, 0, 1.0)
    text = shown(run.run_dir)
    assert "nothing was stale" not in text  # one push of the two was of one island
    assert "How its pushes were merged" in text


def test_merges_of_several_islands_tell_how_stale_they_were(small_run, shown):
    run = small_run(method="diloco")
    rows = [("outer_update", run.update(-1, n, fragment=0, staleness=n)) for n in range(3)]
    trained = {"time_s": 1.0, "island": 0, "round": 0, "steps": 10, "tokens": 100, "loss_mean": 1.0}
    run.part(0, [], before=[("round", trained | PHASES_S), *rows])
    text = " ".join(shown(run.run_dir).split())
    assert "stale by 1.0 versions in the mean, 2 at most" in text


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
