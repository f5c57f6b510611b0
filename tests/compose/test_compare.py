"""`hpctrain compare`: a study from its file to its tables, interrupted, repeated, and broken."""

from __future__ import annotations

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from hpctrain.cli import main
from hpctrain.compose.studies.compare import evenly
from hpctrain.compose.studies.one_run import run_once
from hpctrain.compose.studies.results import FILE, Results, _digest, alone_in, key_of
from hpctrain.config.study import cells_of, read_study, settings_of
from hpctrain.errors import ConfigError, RunStoreError
from hpctrain.report.studies.records import Tuned, spread_of
from tests.mpi.launching import ROOT

STUDY = """
run_dir = "{folder}/study"
seeds = [1, 2]
reference = "mla"
[base]
task.factory = "tests.programs.tiny_task:task"
method.sync_every = 5
evaluate.every_rounds = 5
topology.data = "own"
[tune]
trials = 3
[methods.mla]
method.name = "mla"
tune = [0.2, 2.0]
[methods."sum of all"]
method.name = "diloco"
[profiles.uneven]
simulate.step_s = [1.0, 3.0]
[budgets.steps]
stop.steps = 60
[budgets.time]
stop.minutes = 0.5
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(STUDY.format(folder=tmp_path))
    return path


def rows_of(path: Path) -> list[dict[str, object]]:
    text = (path.parent / "study" / FILE).read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
def test_a_study_is_tuned_and_run_and_goes_on_where_it_was(study: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(study), "--jobs", "2", "--html"])
    assert done.exit_code == 0, done.output
    rows = rows_of(study)
    assert len(rows) == 2 * (3 + 2 + 2)  # budgets x (trials, seeds of each method)
    document = json.loads((study.parent / "study" / "study.json").read_text())
    cells = {(cell["method"], cell["budget"]): cell for cell in document["cells"]}
    tuned = cells["mla", "steps"]
    assert tuned["tuned"] == min(tuned["trials"], key=lambda trial: trial[1])[0]
    assert cells["sum of all", "steps"]["tuned"] is None
    mine, its = (cells[name, "steps"]["losses"] for name in ("sum of all", "mla"))
    differences = [100 * (a / b - 1) for a, b in zip(mine, its, strict=True)]
    expected = spread_of(differences)
    assert math.isclose(cells["sum of all", "steps"]["against_reference_pct"], expected.mean)
    steps = [row for row in rows if row["budget"] == "steps" and row["method"] == "mla"]
    assert all(row["steps"] >= 60 for row in steps)  # type: ignore[operator]
    assert all(row["virtual_s"] <= 31 for row in rows if row["budget"] == "time")  # type: ignore[operator]
    page = (study.parent / "study" / "study.html").read_text()
    assert "sum of all" in page
    assert "which the tables do not use; not tuned: sum of all" in done.output
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")

    results = study.parent / "study" / FILE
    lines = results.read_text().splitlines(keepends=True)
    results.write_text("".join(lines[:9]) + lines[9][:30])  # killed while it wrote
    again = CliRunner().invoke(main, ["compare", str(study), "--jobs", "2", "--quiet"])
    assert again.exit_code == 0, again.output
    assert key_losses(rows_of(study)) == key_losses(rows)


@pytest.mark.slow
def test_what_failed_is_told(study: Path) -> None:
    study.write_text(study.read_text().replace("trials = 3", "trials = 1") + BROKEN)
    done = CliRunner().invoke(main, ["compare", str(study), "--jobs", "1", "--quiet", "--html"])
    assert done.exit_code == 1, done.exc_info
    assert done.output.count("failed: RuntimeError: the tiny task fails on purpose") == 1
    assert re.search(r"mla +[0-9.]+\*? +failed", done.output), done.output
    assert "diverged" not in done.output


BROKEN = """
[base.task.options]
fail_at = 3
"""
SLEEPING = """
[base.task.options]
sleep_s = 0.5
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number", "code", "said"),
    [
        ("first", signal.SIGINT, 1, "Aborted"),
        ("worker", signal.SIGKILL, 2, "a process of the study was killed"),
        ("first", signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_all_processes_end_together(
    study: Path, victim: str, number: int, code: int, said: str
) -> None:
    study.write_text(study.read_text() + SLEEPING)
    command = [sys.executable, "-m", "hpctrain", "compare", str(study), "--jobs", "2"]
    first = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    workers: list[int] = []
    while len(workers) < 2:
        assert first.poll() is None
        time.sleep(0.1)
        workers = workers_of(first.pid)
    os.kill(first.pid if victim == "first" else workers[0], number)
    output = first.communicate(timeout=120)[0]
    assert first.returncode == code, output
    assert said in output
    assert "Traceback" not in output
    until = time.monotonic() + 60
    while any(map(is_alive, workers)):
        assert time.monotonic() < until
        time.sleep(0.1)


def workers_of(first: int) -> list[int]:
    """The processes that `first` has started to do the runs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == first and b"spawn_main" in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
    return found


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def key_losses(rows: list[dict[str, object]]) -> dict[object, object]:
    return {row["key"]: row["loss"] for row in rows}


def test_seeds_of_the_tables_are_not_tuned_on(study: Path) -> None:
    study.write_text(study.read_text().replace("trials = 3", "trials = 3\nseeds = [2]"))
    with pytest.raises(ConfigError, match=r"tune.seeds: \[2\] are among seeds; tune on others"):
        read_study(study)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('reference = "mla"', 'reference = "nobody"', "reference: 'nobody' is none of the methods"),
        ("tune = [0.2, 2.0]", "tune = [2.0, 0.2]", "methods.mla.tune: .* the largest"),
        ('name = "diloco"', 'name = "dilco"', "sum of all on uneven.*method.name.*dilco"),
        ("stop.steps = 60", "evaluate.every_rounds = 1", "budgets.steps: has no end"),
        ("stop.steps = 60", "stop.steps = 60\nseed = 3", "budgets.steps.seed: is the study's own"),
        ("seeds = [1, 2]", "seeds = []", "seeds: "),
        ("seeds = [1, 2]", "seeds = [1, 1]", r"seeds: \[1, 1\] names a seed twice"),
        ("trials = 3", 'key = "seed.x"', "tune.key: seed.x is the study's own"),
        ("trials = 3", 'key = "method.outer_momentum"', "mla on .*outer_momentum: 2.0 is not"),
        ("[base]", "[bsae]", "bsae"),
        ("[base]", "[[leave_out]]\nmethods = ['me']\n[base]", "leave_out.methods: no 'me'; there"),
        ("[base]", "[[leave_out]]\nmethods = ['mla']\n[base]", "mla, the reference, is left out"),
        ("[base]", "[[leave_out]]\n[base]", "nothing is left to run"),
        ("[base]", "[[same]]\nas_budget = 'byte'\n[base]", "same.as_budget: no 'byte'; there are"),
        ("[base]", "[[same]]\nas_budget = 'time'\nbudgets = ['steps']\n"
         "[[same]]\nas_budget = 'steps'\nbudgets = ['time']\n[base]",
         "is not run with time"),
    ],
)  # fmt: skip
def test_a_wrong_study_is_refused_before_anything_runs(
    study: Path, old: str, new: str, said: str
) -> None:
    study.write_text(study.read_text().replace(old, new))
    done = CliRunner().invoke(main, ["compare", str(study)])
    assert done.exit_code == 2
    assert re.search(said, done.output), done.output
    assert not (study.parent / "study").exists()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["compare", str(tmp_path / "none.toml")])
    assert done.exit_code == 2
    assert "no such file" in done.output


def test_the_tuned_value_goes_over_everything(study: Path) -> None:
    read = read_study(study)
    cell = cells_of(read)[0]
    values = settings_of(read, cell, seed=7, tuned=0.5)
    assert values["method"] == {"sync_every": 5, "name": "mla", "outer_lr": 0.5}
    assert values["seed"] == 7
    assert key_of(values) != key_of(settings_of(read, cell, seed=8, tuned=0.5))


def test_a_run_on_other_text_is_another_run(tmp_path: Path) -> None:
    keys = set()
    for name, text in (("a", "one"), ("b", "two"), ("c", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.train.txt").write_text(text)
        values = {"task": {"options": {"folder": str(tmp_path / name)}}}
        keys.add(key_of(values))
    assert len(keys) == 3  # the name of the folder is a setting as well
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x.train.txt").write_text("one")
    before = key_of({"task": {"options": {"folder": str(tmp_path / "d")}}})
    (tmp_path / "d" / "x.train.txt").write_text("two")
    _digest.cache_clear()
    assert key_of({"task": {"options": {"folder": str(tmp_path / "d")}}}) != before


def test_the_first_trials_are_even_in_the_logarithm() -> None:
    values = evenly((0.1, 10.0), 4)
    assert [math.log10(value) for value in values] == pytest.approx([-0.75, -0.25, 0.25, 0.75])


def test_results_are_kept_and_failures_tried_again(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.put("a", {"seed": 1}, {"loss": 2.0})
    results.put("b", {"seed": 2}, {"error": "out of luck"})
    again = Results(tmp_path)
    found = again.get("a")
    assert found is not None
    assert found["loss"] == 2.0
    assert again.get("b") is None


def test_two_studies_do_not_write_to_one_place(study: Path) -> None:
    folder = study.parent / "study"
    with alone_in(folder):
        done = CliRunner().invoke(main, ["compare", str(study)])
    assert done.exit_code == 2
    assert "study is in use by another hpctrain compare; wait for its end, or" in done.output
    with alone_in(folder):
        pass


def test_whatever_a_task_raises_is_the_outcome_of_its_run(study: Path) -> None:
    read = read_study(study)
    settings = settings_of(read, cells_of(read)[0], seed=1, tuned=0.5)
    settings["task"] = {**settings["task"], "options": {"sleep_s": []}}
    outcome = run_once(settings)
    assert outcome["error"].startswith("TypeError: float() argument")


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"key": "a", "loss": 1}\n{nonsense}\n')
    with pytest.raises(RunStoreError, match="line 2 is damaged"):
        Results(tmp_path)


def test_an_interval_is_students() -> None:
    spread = spread_of([1.0, 2.0, 3.0, 4.0, 5.0])
    assert spread.mean == 3.0
    half = 2.776445 * math.sqrt(2.5) / math.sqrt(5)
    assert math.isclose(spread.high - spread.mean, half, rel_tol=1e-6)
    assert not spread_of([1.0]).excludes_zero
    assert spread_of([1.0, math.inf]).mean == math.inf


def test_a_best_value_at_the_end_of_what_was_tried_is_told() -> None:
    assert Tuned(0.1, ((0.1, 1.0), (0.5, 2.0), (2.0, 3.0))).at_edge
    assert not Tuned(0.5, ((0.1, 3.0), (0.5, 2.0), (2.0, 3.0))).at_edge


def test_the_example_of_the_docs_is_a_study(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "compare.md").read_text()
    example = text.split("```\n")[1]
    path = tmp_path / "study.toml"
    path.write_text(example)
    assert len(cells_of(read_study(path))) == 4


@pytest.mark.parametrize("name", ["islands", "heloco", "quick", "say"])
def test_the_studies_of_the_project_make_sense(name: str) -> None:
    study = read_study(ROOT / "studies" / f"{name}.toml")
    assert all(study.methods[cell.method].get("tune") for cell in cells_of(study))


@pytest.mark.slow
def test_what_is_finished_is_shown_and_what_is_the_same_is_run_once(study: Path) -> None:
    text = study.read_text().replace("[base]", "[[same]]\nmethods = ['mla']\nbudgets = ['time']\n"
                                     "as_budget = 'steps'\n[base]")  # fmt: skip
    study.write_text(text)
    none = CliRunner().invoke(main, ["compare", str(study), "--finished"])
    assert (none.exit_code, "nothing is finished" in none.output) == (0, True)
    done = CliRunner().invoke(main, ["compare", str(study), "--jobs", "2"])
    assert done.exit_code == 0, done.output
    rows = rows_of(study)
    assert len(rows) == 3 + 2 + 2 + 2  # trials and seeds of mla once, the other method twice
    assert "mla =" in done.output
    results = study.parent / "study" / FILE
    kept = [line for line in results.read_text().splitlines(keepends=True)
            if not ('"sum of all"' in line and '"time"' in line)]  # fmt: skip
    results.write_text("".join(kept) + '{"key": "torn')
    shown = CliRunner().invoke(main, ["compare", str(study), "--finished"])
    assert shown.exit_code == 0, shown.output
    document = json.loads((study.parent / "study" / "study.json").read_text())
    assert {cell["budget"] for cell in document["cells"]} == {"steps"}
    assert results.read_text().endswith("torn")  # somebody else may be writing that line
    markdown = (study.parent / "study" / "study.md").read_text()
    assert "| mla |" in markdown.replace("mla =", "mla")
