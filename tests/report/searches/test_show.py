import time
from pathlib import Path

import numpy as np
import pytest

from hpctrain.compose.show import show
from hpctrain.report.searches.tally import failures, makers, pattern, tally
from hpctrain.report.state import LifeSign
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore

GOLDEN = Path(__file__).with_name("golden")
WRITING = LifeSign(writing=True, here=True, silent_s=1.0)


def test_what_is_shown_of_a_search_is_as_it_was(everything, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    everything.run_dir = everything.run_dir.relative_to(tmp_path)
    assert shown(everything.write()) == (GOLDEN / "show.txt").read_text()


def test_the_command_shows_a_search(everything, capsys):
    everything.write()
    assert show(everything.run_dir, plot=False, fmt="png") == 0
    assert "small: a search over 4 parameters" in capsys.readouterr().out


def test_what_is_counted_adds_up(everything):
    counts = tally(everything.read())
    assert counts.outcomes == {"done": 3, "failed": 3, "stopped": 1, "cancelled": 1, "reused": 1}
    assert counts.evaluated == 8
    assert counts.elapsed_s == 10.0
    assert counts.busy_s == 4.5  # half a second each
    assert counts.utilisation == pytest.approx(4.5 / 20)
    assert counts.per_hour == pytest.approx(2880)
    assert counts.cost == 1.5


def test_failures_that_differ_in_numbers_only_are_one(everything):
    found = [(f.count, f.reason, f.first) for f in failures(everything.read())]
    assert found == [(2, "RuntimeError: inf at step #", 3), (1, "the loss is nan", 5)]


def test_numbers_in_names_are_no_numbers():
    assert pattern("layer conv2d: x = -1.5e-3\nshape (3, 4)") == "layer conv2d: x = # shape (#, #)"


def test_operators_are_credited_with_their_improvements(everything):
    found = {m.name: (m.made, m.usable, m.improved, m.best) for m in makers(everything.read())}
    assert found == {"even": (8, 2, 1, 2.0), "cma": (1, 1, 1, 1.0)}


@pytest.mark.parametrize(
    ("end", "life", "state"),
    [
        ("finish", None, "finished: all evaluations are done"),
        ("", WRITING, "running"),
        ("", None, "killed: it ended without a word; go on with --resume"),
        ("abort", None, "aborted: all evaluations are done"),
    ],
)
def test_how_a_search_stands_is_told(everything, shown, end, life, state):
    run = everything.write(end)
    text = shown(run, *([life] if life else []))
    assert f"  state         {state}\n" in text


def test_a_search_that_a_signal_ended_can_go_on(everything, shown):
    text = shown(everything.write(text="SIGTERM"))
    assert "  state         stopped: SIGTERM; go on with --resume\n" in text


def test_before_the_first_candidate_nothing_is_invented(small_search, shown):
    text = shown(small_search().write(end=""), WRITING)
    assert "No candidate has ended yet." in text
    assert "best" not in text


def test_without_a_usable_loss_there_is_no_best(small_search, shown):
    search = small_search(space={"x": {"low": 0.0, "high": 1.0}})
    search.add({"x": 0.5}, outcome="failed", reason="[bold]no[/bold]")
    text = shown(search.write())
    assert "No evaluation has given a usable loss." in text
    assert "[bold]no[/bold] (candidate 0)" in text


def test_many_parameters_are_shown_in_several_tables_that_fit(sampled, shown):
    text = shown(sampled(lambda x: x.sum(), 20, 12).write(), top=3)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("candidate ") >= 3
    assert all(f"x{n}" in text for n in range(20))


def test_of_a_front_candidates_from_end_to_end_are_shown(sampled, shown):
    search = sampled(lambda x: [x[0], 1 - x[0]], 1, 50, objectives=2)
    text = shown(search.write(), top=3)
    assert "(3 of 50 candidates)" in text
    smallest = min(row["loss"] for row in search.candidates)
    largest = max(row["loss"] for row in search.candidates)
    assert f"{smallest:.6g}" in text
    assert f"{largest:.6g}" in text


def test_a_hundred_thousand_candidates_are_shown_in_seconds(small_search, shown):
    search = small_search(space={f"x{n}": {"low": 0.0, "high": 1.0} for n in range(4)}, workers=1)
    points = np.random.default_rng(0).random((100_000, 4))
    with RunStore.open_for_writing(
        search.run_dir, 0, {"worker": 0}, False, identity=search.identity()
    ) as store:
        for number, point in enumerate(points):
            row = {"time_s": number * 1.0, "worker": 0, "number": number, "outcome": "done"}
            row |= {"loss": float(point[0]), "made_by": "even", "reason": ""}
            row |= {f"param.x{n}": float(x) for n, x in enumerate(point)}
            store.note("candidate", row)
    run = open_run(search.run_dir)
    began_s = time.process_time()
    text = shown(run)
    assert time.process_time() - began_s < 6.0  # about 0.7 s on one core of 2024
    assert "100,000: 100,000 done" in text
