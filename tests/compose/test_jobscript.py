"""`hpctrain jobscript` and `hpctrain status` as typed on a login node, beside Slurms that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = '[task]\nfactory = "tests.programs.tiny_task:task"\n[stop]\nsteps = 8\n'
ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.toml").write_text(SETTINGS)
    (tmp_path / "bin").mkdir()
    return tmp_path


def says(folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr; there are no programs but those in `bin`."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "PATH": f"{folder}/bin"}
    done = subprocess.run(
        [sys.executable, "-m", "hpctrain", *words], cwd=folder, env=env, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def add_program(folder: Path, name: str, body: str) -> None:
    path = folder / "bin" / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--kind heterogeneous", "second: a heterogeneous job needs a second kind of hosts"),
        ("--kind heterogeneous --second 0", "second: '0' is not allowed; give a number of at lea"),
        ("--kind heterogeneous --second gpu:", "second: 'gpu:' is not allowed; give a number"),
        ("--kind heterogeneous --second gpu:\N{SUPERSCRIPT TWO}", "or partition:number"),
        ("--kind heterogeneous --second a:b:2", "partition: 'a:b' is not allowed; give letters"),
        ("--second 2", "second: 'run' has one kind of hosts; give --kind heterogeneous"),
        ("--image run.toml", "image: 'run' has none; give --kind container"),
        ("--kind container --image no.sif", "image: there is no file 'no.sif'; give the path"),
    ],
)  # fmt: skip
def test_words_that_make_no_sense_are_refused_in_a_sentence(
    folder: Path, words: str, sentence: str
) -> None:
    code, _, error = says(folder, "jobscript", "run.toml", "--time", "10:00", *words.split())
    assert code == 2
    assert len(error.splitlines()) == 1
    assert sentence in error


def test_settings_that_do_not_fit_the_hosts_are_refused_before_the_night(folder: Path) -> None:
    words = ("jobscript", "run.toml", "--time", "10:00", "--nodes", "3", "--set")
    code, _, error = says(folder, *words, "topology.islands=9")
    assert (code, error) == (
        2, "run.toml: topology.islands: 9 islands need at least 9 ranks, but 3 were started\n",
    )  # fmt: skip
    code, _, error = says(folder, *words, "pace.factors=[1,1,2,6]", "--set", "pace.step_s=0.1")
    assert code == 2
    assert error.startswith("run.toml: pace.factors: has 4 for 3 islands; give one for each")


def test_settings_whose_name_is_like_an_option_are_found(folder: Path) -> None:
    (folder / "run.toml").rename(folder / "-run.toml")
    code, text, _ = says(folder, "jobscript", "--time", "10:00", "--", "-run.toml")
    assert code == 0
    assert text.endswith("hpctrain train ./-run.toml\n")


def test_settings_that_are_no_text_are_refused_in_a_sentence(folder: Path) -> None:
    (folder / "run.toml").write_bytes(b"\xff\xfe")
    code, _, error = says(folder, "jobscript", "run.toml", "--time", "10:00")
    assert code == 2
    assert len(error.splitlines()) == 1
    assert error.startswith("run.toml: ")


@pytest.mark.parametrize("run_dir", ["~/runs/x", "$HOME/x", "/scratch/${USER}/x"])
def test_a_path_that_nobody_would_complete_is_refused(folder: Path, run_dir: str) -> None:
    words = ("jobscript", "run.toml", "--time", "10:00", "--set", f"run_dir={run_dir!r}")
    code, _, error = says(folder, *words)
    assert code == 2
    assert error.startswith(f"run_dir: {run_dir!r} would be a directory of that very name")


def test_a_script_is_not_written_over_its_settings(folder: Path) -> None:
    code, _, error = says(folder, "jobscript", "run.toml", "--time", "10:00", "-o", "./run.toml")
    assert code == 2
    assert error.startswith("output: run.toml is the file of the settings")
    assert (folder / "run.toml").read_text() == SETTINGS


@pytest.mark.parametrize(
    ("islands", "nodes", "told"),
    [("auto", 2, True), ("auto", 1, False), ("host", 1, True), ("rank", 2, False)],
)
def test_only_islands_that_are_hosts_are_counted_for_fewer_hosts(
    folder: Path, islands: str, nodes: int, told: bool
) -> None:
    (folder / "run.toml").write_text(f'{SETTINGS}[topology]\nislands = "{islands}"\n')
    words = ("jobscript", "run.toml", "--time", "10:00", "--kind", "restarting", "--nodes")
    script = says(folder, *words, str(nodes))[1]
    assert (f"--set topology.islands={nodes}" in script) == told
    assert ("topology.islands" in script) == told


def test_an_image_may_have_spaces_or_be_fetched(folder: Path) -> None:
    (folder / "my image.sif").touch()
    for image in ("my image.sif", "docker://python:3.12"):
        container = ("--kind", "container", "--image", image)
        assert says(folder, "jobscript", "run.toml", "--time", "10:00", *container)[0] == 0


def test_runs_lie_where_the_site_says_by_their_name(folder: Path) -> None:
    site = """
        name = "ours"
        about = "a test"
        [storage]
        run_dir = "/scratch/a \\"b\\"/{name}"
        """
    (folder / "site.toml").write_text(site)
    words = ("jobscript", "run.toml", "--time", "10:00", "--kind", "chain", "--site", "site.toml")
    named = ("--set", "name=mine")
    assert """run='/scratch/a "b"/mine'""" in says(folder, *words, *named)[1].splitlines()
    own = ("--set", "run_dir=here")
    assert "run=here" in says(folder, *words, *own)[1].splitlines()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("echo 'sbatch: error: one' >&2; echo 'sbatch: error: two' >&2; exit 1",
         "sbatch: one; two"),
        ("exit 1", "sbatch: failed, and did not say why"),
        ("true", "sbatch: gave no number of a job for run.sbatch, but: nothing"),
        ("echo Welcome", "sbatch: gave no number of a job for run.sbatch, but: Welcome"),
    ],
)  # fmt: skip
def test_what_sbatch_says_when_it_fails_is_passed_on(
    folder: Path, body: str, sentence: str
) -> None:
    add_program(folder, "sbatch", body)
    code, said, error = says(folder, "jobscript", "run.toml", "--time", "10:00", "--submit")
    assert (code, said) == (2, "")
    assert error.splitlines() == ["written to run.sbatch", sentence]


def test_a_run_that_has_not_begun_is_told_from_one_that_never_was(folder: Path) -> None:
    assert says(folder, "status", "none")[2] == "none does not exist, so it is no run directory\n"
    add_program(folder, "squeue", "exit 1")
    code, _, error = says(folder, "status", "none")
    assert code == 2
    assert error.startswith("none does not exist: a run makes it when its job begins (squeue --me)")


def test_a_status_bears_what_slurm_does_not_say(folder: Path) -> None:
    assert says(folder, "train", "run.toml", "--set", "run_dir=r", "--quiet")[0] == 0
    log = folder / "r" / "run.json"
    assert log.exists()
    for body in ("exit 1", "true", "echo 'a|b'", "printf '\\377'"):
        add_program(folder, "squeue", body)
        add_program(folder, "sacct", body)
        code, said, error = says(folder, "status", "r")
        assert (code, error) == (0, "")
        assert said.startswith("r: finished")
