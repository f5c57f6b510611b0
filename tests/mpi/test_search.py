"""Searches under mpirun: nothing is lost, nobody hangs, on any number of ranks."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from hpctrain.compose.search_past import candidate_rows
from hpctrain.storage.layout import RunLayout
from hpctrain.storage.read import open_run
from tests.mpi.launching import ROOT, finish, run, start

pytestmark = pytest.mark.mpi

CONFIG = """
run_dir = "{run_dir}"
[progress]
show = "plain"
[search]
objective = "tests.programs.objectives:{objective}"
propagator = "genetic"
[search.stop]
evaluations = {evaluations}
[search.space]
x = {{ low = -5.0, high = 5.0 }}
y = {{ low = -5.0, high = 5.0 }}
"""


def config(folder: Path, objective: str = "sphere", evaluations: int = 200) -> Path:
    path = folder / "search.toml"
    path.write_text(
        CONFIG.format(run_dir=folder / "run", objective=objective, evaluations=evaluations)
    )
    return path


def candidates(folder: Path) -> dict[str, Any]:
    return open_run(folder / "run").table("candidate")


def done_numbers(folder: Path) -> list[int]:
    table = candidates(folder)
    ended = table["outcome"] != "cancelled"
    return sorted(table["number"][ended].tolist())


def test_four_ranks_share_a_search(tmp_path: Path) -> None:
    answer = run(4, "search", config(tmp_path, "brief"))
    assert "all evaluations are done" in answer.stdout
    assert "200 evaluations" in answer.stdout
    table = candidates(tmp_path)
    assert done_numbers(tmp_path) == list(range(200))
    assert set(table["worker"]) == {0, 1, 2, 3}
    best = min(zip(table["loss"], table["number"], strict=True))
    assert f"Candidate {best[1]}: loss" in answer.stdout
    assert open_run(tmp_path / "run").table("search_worker")["finished"].sum() == 200


def test_whatever_an_objective_does_the_search_goes_on(tmp_path: Path) -> None:
    path = config(tmp_path, "nasty", 48)
    run(4, "search", path, "--set", "search.timeout_s=0.3", "--set", "search.islands=2")
    table = candidates(tmp_path)
    reasons = dict(zip(table["number"].tolist(), table["reason"], strict=True))
    assert done_numbers(tmp_path) == list(range(48))
    assert reasons[8] == "ValueError: the learning rate was eaten"
    assert (reasons[9], reasons[10]) == ("the loss is nan", "the loss is inf")
    assert "the loss is None of type NoneType; give a number" in reasons[11]
    assert reasons[12] == "it took longer than 0.3 s"
    assert reasons[13] == "SystemExit: 3"
    outcomes = dict(zip(table["number"].tolist(), table["outcome"], strict=True))
    assert outcomes[14] == outcomes[15] == "done"
    costs = dict(zip(table["number"].tolist(), table["cost"], strict=True))
    assert costs[14] == 2.0
    events = open_run(tmp_path / "run").table("event")
    failed = [t for k, t in zip(events["kind"], events["text"], strict=True) if "failed" in k]
    assert any("Traceback" in text and "was eaten" in text for text in failed)


def test_a_worker_may_have_several_ranks(tmp_path: Path) -> None:
    path = config(tmp_path, "team", 40)
    run(4, "search", path, "--set", "search.ranks_per_worker=2")
    table = candidates(tmp_path)
    assert done_numbers(tmp_path) == list(range(40))
    assert set(table["worker"]) == {0, 1}
    assert (table["loss"][table["outcome"] == "done"] < 100.0).all()  # the leader's word counts
    failed = table["outcome"] == "failed"
    assert table["number"][failed].tolist() == [3]
    assert table["reason"][failed][0] == "on rank 1 of the worker: RuntimeError: only one of us"


def test_ranks_of_a_worker_that_do_not_report_alike_fail_together(tmp_path: Path) -> None:
    path = config(tmp_path, "unlike", 20)
    run(2, "search", path, "--set", "search.ranks_per_worker=2")
    table = candidates(tmp_path)
    assert done_numbers(tmp_path) == list(range(20))
    failed = table["outcome"] == "failed"
    reasons = dict(zip(table["number"][failed].tolist(), table["reason"][failed], strict=True))
    assert sorted(reasons) == [3, 4]
    assert reasons[3] == "on rank 1 of the worker: ValueError: before its mate reports"
    assert "the first rank of the worker has ended, and this one still reports" in reasons[4]


def test_a_rank_that_fails_while_its_mates_wait_ends_the_job_and_loses_nothing(
    tmp_path: Path,
) -> None:
    path = config(tmp_path, "abandoned", 40)
    words = ["--set", "search.ranks_per_worker=2", "--set", "search.patience_s=1"]
    answer = run(2, "search", path, *words, code=None, timeout_s=60)
    assert "candidate 2 failed on rank 1 of its worker" in answer.stderr
    assert "gone without a word" in answer.stderr
    assert done_numbers(tmp_path) == [0, 1]
    path.write_text(path.read_text().replace("abandoned", "team"))
    run(4, "search", path, *words, "--resume")
    assert done_numbers(tmp_path) == list(range(40))


def test_long_evaluations_of_the_first_worker_keep_nobody_waiting(tmp_path: Path) -> None:
    run(3, "search", config(tmp_path, "slow_sphere", 160))
    table = candidates(tmp_path)
    by_first = (table["worker"] == 0).sum()
    assert by_first <= 6
    others = table["worker"] != 0
    assert table["time_s"][others].max() < 0.02 * 160 + 3.0


def test_values_on_the_way_end_bad_candidates(tmp_path: Path) -> None:
    path = config(tmp_path, "curve", 120)
    run(4, "search", path, "--set", "search.fidelity.rule=asha")
    table = candidates(tmp_path)
    outcomes = table["outcome"].tolist()
    assert outcomes.count("stopped") > 30
    assert done_numbers(tmp_path) == list(range(120))
    values = open_run(tmp_path / "run").table("candidate_value")
    assert set(values["step"]) == set(range(1, 10))


def test_ask_and_tell_on_every_rank(tmp_path: Path) -> None:
    answer = run(3, ROOT / "tests" / "programs" / "ask_tell.py", tmp_path / "run")
    said = re.findall(r"found (\d+) (\d+) (\d+)", answer.stdout)
    assert len(said) == 3
    assert len(set(said)) == 1
    assert said[0][1:] == ("119", "1")
    assert done_numbers(tmp_path) == list(range(120))


def test_ask_and_tell_keeps_nobody_waiting_and_may_end_early(tmp_path: Path) -> None:
    answer = run(2, ROOT / "tests" / "programs" / "ask_early.py", tmp_path / "run")
    said = re.findall(r"(\d) told (\d+), then: ([a-z ]+)", answer.stdout)
    assert sorted(rank for rank, _, _ in said) == ["0", "1"]
    told = {rank: int(count) for rank, count, _ in said}
    assert told["0"] == 1
    assert told["1"] > 20  # while the first worker had a single long one
    assert {reason for _, _, reason in said} == {"the script has ended"}
    numbers = done_numbers(tmp_path)
    assert len(numbers) == sum(told.values())
    table = candidates(tmp_path)
    assert (table["took_s"][table["outcome"] == "done"] > 0.01).all()


def test_a_killed_search_goes_on_on_any_number_of_ranks(tmp_path: Path) -> None:
    path = config(tmp_path, "brief", 2500)
    lost: list[int] = []
    for ranks, seconds in ((3, 0.5), (4, 0.3), (2, 0.4)):
        job = start(ranks, "search", path, "--resume")
        _wait_for_rows(tmp_path / "run", len(lost) + 20)
        time.sleep(seconds)
        _kill_everything(job)
        numbers = done_numbers(tmp_path)
        assert len(numbers) == len(set(numbers)) > len(lost)
        assert set(lost) <= set(numbers)
        lost = numbers
    run(1, "search", path, "--resume")
    assert done_numbers(tmp_path) == list(range(2500))


def test_a_signal_ends_a_search_in_good_order(tmp_path: Path) -> None:
    path = config(tmp_path, "curve", 100_000)
    job = start(3, "search", path)
    _wait_for_rows(tmp_path / "run", 30)
    job.send_signal(signal.SIGTERM)
    answer = finish(job, 0, 60)
    assert "The search has ended: SIG" in answer.stdout
    numbers = done_numbers(tmp_path)
    assert len(numbers) == len(set(numbers))
    more = len(numbers) + 50
    run(2, "search", path, "--resume", "--set", f"search.stop.evaluations={more}")
    assert done_numbers(tmp_path) == list(range(more))


def test_ranks_that_make_different_spaces_are_refused(tmp_path: Path) -> None:
    program = ROOT / "tests" / "programs" / "two_spaces.py"
    answer = run(2, program, tmp_path / "run", code=2)
    assert "search.space.x: is {'low': 0.0, 'high': 2.0} on one rank and" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "run").exists()


def test_another_space_is_refused_and_a_warm_start_is_the_way_out(tmp_path: Path) -> None:
    path = config(tmp_path, evaluations=30)
    run(2, "search", path)
    other = tmp_path / "other.toml"
    other.write_text(path.read_text().replace("high = 5.0", "high = 4.0"))
    answer = run(2, "search", other, "--resume", code=2)
    assert "search.space: is not what" in answer.stderr
    assert "warm_start" in answer.stderr
    again = run(2, "search", path, code=2)
    assert "already holds a run" in again.stderr
    warm = ["--set", f'search.warm_start=["{tmp_path}/run"]']
    run(2, "search", other, "--set", f'run_dir="{tmp_path}/second"', *warm)
    second = open_run(tmp_path / "second").table("candidate")
    assert (second["made_by"] != "even").any()  # it breeds from the first on


def test_a_foreign_file_among_the_logs_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = config(tmp_path, evaluations=30)
    run(2, "search", path)
    log = RunLayout(tmp_path / "run").log(1)
    log.write_bytes(b"%PDF-1.7 what is this")
    answer = run(2, "search", path, "--resume", code=None)
    assert str(log) in answer.stderr
    assert "Traceback" not in answer.stderr


def _wait_for_rows(run_dir: Path, count: int) -> None:
    """Wait until `count` candidates have ended."""
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        if sum(1 for _ in candidate_rows(run_dir)) >= count:
            return
        time.sleep(0.1)
    raise AssertionError(f"no {count} rows in {run_dir}")


def _kill_everything(job: subprocess.Popen[str]) -> None:
    """Kill -9 all ranks at once, and the launcher."""
    mine = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True).stdout
    children: dict[int, list[int]] = {}
    for line in mine.splitlines()[1:]:
        pid, parent = map(int, line.split())
        children.setdefault(parent, []).append(pid)
    doomed, queue = [], [job.pid]
    while queue:
        pid = queue.pop()
        doomed.append(pid)
        queue += children.get(pid, [])
    for pid in reversed(doomed):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    job.communicate()
