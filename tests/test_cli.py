"""The command line: help at once, wrong input in one line, ranks launched for real."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpctrain.cli import main

HEAVY = {"torch", "numpy", "mpi4py", "h5py", "rich"}
TIMEOUT_S = 60


def hpctrain(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hpctrain.cli", *map(str, args)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def modules_loaded_by(*args: str) -> set[str]:
    code = (
        "import sys\nfrom hpctrain.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    return set(answer.stdout.splitlines()[-1].split())


@pytest.fixture
def run_toml(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text("[stop]\nsteps = 1\n")
    return path


def test_help_names_all_commands() -> None:
    answer = hpctrain("--help")
    assert answer.returncode == 0
    commands = answer.stdout.partition("Commands:")[2].split()
    assert {"train", "simulate", "replay", "show", "doctor", "launch"} <= set(commands)


@pytest.mark.parametrize("args", [["--help"], ["doctor", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    assert not (HEAVY | {"pydantic"}) & modules_loaded_by(*args)


def test_wrong_settings_load_nothing_heavy(run_toml: Path) -> None:
    loaded = modules_loaded_by("train", str(run_toml), "--set", "seed=-1")
    assert "pydantic" in loaded
    assert not HEAVY & loaded


def test_wrong_settings_are_one_line_and_exit_code_2(run_toml: Path) -> None:
    run_toml.write_text("[method]\nsync_every = 0\n[stop]\nsteps = 1\n")
    for command in ("train", "simulate"):
        answer = hpctrain(command, run_toml)
        assert answer.returncode == 2
        assert answer.stdout == ""
        assert answer.stderr == (
            f"{run_toml}: method.sync_every: 0 is not allowed; give an integer of at least 1\n"
        )


def test_options_reach_the_settings(run_toml: Path) -> None:
    answer = hpctrain("train", run_toml, "--set", "method.name=sgd", "--set", "seed=x")
    assert answer.stderr.splitlines() == [
        '--set: seed: "x" is not allowed; give an integer from 0 to 9223372036854775807',
        '--set: method.name: "sgd" is not allowed; give "ddp", "diloco", "co2", "rda",'
        ' "async_nesterov", "async_sgd", "delayed_nesterov", "fedbuff", "mla", "heloco",'
        ' "age_adam" or "galoco"',
    ]
    follow = ("--set", "runtime.follow=runs/a", "--set", "method.name=mla")
    answer = hpctrain("train", run_toml, "--resume", *follow)
    assert answer.stderr.startswith("--set: checkpoint.resume: true is not allowed")
    answer = hpctrain("simulate", run_toml, "--workers", 2, "--set", "simulate.step_s=[1, 2, 3]")
    assert "simulate.step_s: has 3 for 2 workers" in answer.stderr


def test_of_many_ranks_one_says_what_is_wrong(tmp_path: Path) -> None:
    answers = [
        hpctrain("train", tmp_path, OMPI_COMM_WORLD_RANK=rank, OMPI_COMM_WORLD_SIZE="2")
        for rank in ("0", "1")
    ]
    assert [answer.returncode for answer in answers] == [2, 2]
    assert "is a directory" in answers[0].stderr
    assert answers[1].stderr == ""


def test_wrong_settings_are_found_before_ranks_are_launched(run_toml: Path) -> None:
    answer = hpctrain("launch", "-n", 2, "train", run_toml, "--set", "seed=-1")
    assert answer.returncode == 2
    assert len(answer.stderr.splitlines()) == 1
    assert "seed: -1 is not allowed" in answer.stderr
    answer = hpctrain("launch", "-n", 2, "train")
    assert answer.returncode == 2
    assert "Missing argument 'CONFIG'" in answer.stderr


def test_what_cannot_be_launched_is_one_line() -> None:
    for args, words in [
        (["-n", "0", "x.py"], "-n 0 is not allowed; give at least one rank\n"),
        (["-n", "2"], "nothing to launch; give for example: hpctrain launch -n 4 train a.toml\n"),
    ]:
        answer = hpctrain("launch", *args)
        assert (answer.returncode, answer.stderr) == (2, words)
    assert hpctrain("launch", "x.py").returncode == 2


@pytest.mark.mpi
def test_a_script_is_launched_with_its_own_options(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import os, sys; print(sys.argv[1:], os.environ['OMPI_COMM_WORLD_SIZE'])")
    answer = hpctrain("launch", "-n", 2, script, "-n", 3, "--set", "a=b")
    assert answer.stdout.splitlines() == ["['-n', '3', '--set', 'a=b'] 2"] * 2
    assert (answer.returncode, answer.stderr) == (0, "")


@pytest.mark.mpi
def test_the_exit_code_of_the_ranks_is_that_of_the_command(tmp_path: Path) -> None:
    assert hpctrain("launch", "-n", 2, "-c", "raise SystemExit(7)").returncode == 7


def test_doctor_tells_programs_its_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--json"])
    report = json.loads(capsys.readouterr().out)
    names = [check["name"] for check in report["checks"]]
    assert ended.value.code == (0 if report["healthy"] else 1)
    assert {"python", "torch", "threads", "launcher", "MPI", "disk", "shared memory"} <= set(names)
    assert all(check["hint"] for check in report["checks"] if check["status"] == "problem")
