"""Launching ranks on this machine; the tests marked mpi start real ones."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpctrain.cluster.launch import launch, rank_command, rank_environment
from hpctrain.cluster.mpirun import Mpirun, family_of, find_mpirun, query_mpi
from hpctrain.errors import LaunchError

LAUNCH = "import sys; from hpctrain.cluster.launch import launch; sys.exit(launch(2, sys.argv[1:]))"
TIMEOUT_S = 60
MPICH = Path(sys.prefix) / "mpich" / "lib" / "libmpi.so.12"
LIBRARIES = [
    pytest.param(None, id="default"),
    pytest.param(
        MPICH, id="mpich", marks=pytest.mark.skipif(not MPICH.exists(), reason="no MPICH here")
    ),
]


@pytest.fixture(params=LIBRARIES)
def mpi_env(request: pytest.FixtureRequest) -> dict[str, str]:
    """An environment in which Python loads one MPI or the other."""
    library = {"MPI4PY_LIBMPI": str(request.param)} if request.param else {}
    return {**os.environ, **library}


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "program.py"
    yield path
    path.unlink(missing_ok=True)


def an_executable(path: Path, says: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return path


@pytest.mark.mpi
def test_ranks_find_each_other_and_share_the_cores(program: Path, mpi_env: dict[str, str]) -> None:
    program.write_text(
        "import os, sys\n"
        "from mpi4py import MPI\n"
        "from hpctrain.cluster.launcher import read_launcher, refuse_wrong_world\n"
        "me = read_launcher(os.environ)\n"
        "refuse_wrong_world(me, MPI.COMM_WORLD.size)\n"
        "ranks = MPI.COMM_WORLD.allgather(me.rank)\n"
        "threads = os.environ['OMP_NUM_THREADS'], os.environ['OMP_WAIT_POLICY']\n"
        "me.speaks and print(ranks, me.local_size, me.terminal, *threads, sys.argv[1:])\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", LAUNCH, program, "-n", "7"],
        env=mpi_env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert found.stderr == ""
    assert found.stdout.strip() == f"[0, 1] 2 False {threads} PASSIVE ['-n', '7']"
    assert found.returncode == 0


@pytest.mark.mpi
def test_a_signal_to_end_reaches_the_ranks_as_a_chance_to_save(
    program: Path, mpi_env: dict[str, str]
) -> None:
    program.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGUSR1, lambda *_: sys.exit(5))\n"
        "print('ready', flush=True)\n"
        "time.sleep(50)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, program],
        env=mpi_env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        said = ""
        while said.count("ready") < 2:  # MPICH may mix the lines of two ranks
            said += child.stdout.read(1)
        child.send_signal(signal.SIGTERM)
        assert child.wait(TIMEOUT_S) == 5


def test_only_what_ranks_can_run_is_launched(tmp_path: Path) -> None:
    script = tmp_path / "mine"
    script.write_text("")
    train = rank_command(["train", "a.toml", "--quiet"])
    assert train == [sys.executable, "-m", "hpctrain.cli", "train", "a.toml", "--quiet"]
    assert rank_command(["-m", "mine", "x"]) == [sys.executable, "-m", "mine", "x"]
    assert rank_command([str(script), "x"]) == [sys.executable, str(script), "x"]
    with pytest.raises(LaunchError, match="'show' is neither a Python file nor a command"):
        rank_command(["show", "runs/a"])
    with pytest.raises(LaunchError, match="nothing to launch; give for example"):
        rank_command([])


def test_too_few_ranks_are_refused() -> None:
    with pytest.raises(LaunchError, match="-n 0 is not allowed; give at least one rank"):
        launch(0, ["train", "a.toml"])


def test_a_rank_does_not_launch_ranks() -> None:
    env = {"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}
    with pytest.raises(LaunchError, match="already rank 1 of a job started by openmpi"):
        launch(2, ["train", "a.toml"], env)


def test_what_the_user_set_is_kept_and_the_callers_environment_is_left_alone() -> None:
    env = {"OMP_NUM_THREADS": "7", "PATH": "/bin", "PRTE_MCA_hwloc_default_binding_policy": "core"}
    before = dict(env)
    ranks = rank_environment(Mpirun(Path("/opt/mpi/bin/mpirun"), "openmpi"), 2, env)
    assert ranks["OMP_NUM_THREADS"] == "7"
    assert ranks["PRTE_MCA_hwloc_default_binding_policy"] == "core"
    assert ranks["OMPI_ALLOW_RUN_AS_ROOT"] == "1"
    assert ranks["PATH"] == "/opt/mpi/bin:/bin"
    assert env == before
    mpich = rank_environment(Mpirun(Path("/opt/mpi/bin/mpirun"), "mpich"), 10_000, {})
    assert mpich["OMP_NUM_THREADS"] == "1"
    assert not any(key.startswith("OMPI_") for key in mpich)


def test_the_launcher_beside_the_library_comes_before_the_path(tmp_path: Path) -> None:
    beside = an_executable(tmp_path / "mpi/bin/mpirun", "mpirun (Open MPI) 5.0.11")
    on_path = an_executable(tmp_path / "usr/bin/mpirun", "mpirun (Open MPI) 4.1.4")
    env = {"PATH": f"{on_path.parent}:/bin"}
    facts = {"vendor": "Open MPI", "path": str(tmp_path / "mpi/lib/libmpi.so.40")}
    assert find_mpirun(facts, env) == Mpirun(beside, "openmpi")


def test_a_launcher_of_another_mpi_is_passed_over(tmp_path: Path) -> None:
    an_executable(tmp_path / "mpi/bin/mpirun", "mpirun (Open MPI) 5.0.11")
    hydra = an_executable(tmp_path / "usr/bin/mpiexec", "HYDRA build details:")
    facts = {"vendor": "MPICH", "path": str(tmp_path / "mpi/lib/libmpi.so.12")}
    assert find_mpirun(facts, {"PATH": f"{hydra.parent}:/bin"}) == Mpirun(hydra, "mpich")
    with pytest.raises(LaunchError, match=r"^no mpirun of MPICH beside .*; load your site's MPI"):
        find_mpirun(facts, {"PATH": "/bin"})


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("no mpi4py", r'^mpi4py is not installed; .*pip install "hpctrain\[openmpi\]"$'),
        ("no library", r"^mpi4py finds no MPI library \(absent\); install one with"),
        ("no answer", r"^MPI does not work here \(no answer: absent\); see hpctrain doctor$"),
    ],
)
def test_a_machine_without_mpi_is_told_how_to_get_one(error: str, words: str) -> None:
    with pytest.raises(LaunchError, match=words):
        find_mpirun({"error": error, "detail": "absent"}, {})


def test_a_library_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    facts = query_mpi({**os.environ, "MPI4PY_LIBMPI": str(tmp_path / "libmpi.so")})
    assert facts["error"] == "no library"


@pytest.mark.parametrize(
    ("says", "family"),
    [
        ("mpirun (Open MPI) 5.0.11", "openmpi"),
        ("HYDRA build details: Version: 5.0.2", "mpich"),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.18", "intel"),
        ("Microsoft MPI", "other"),
    ],
)
def test_launchers_are_told_apart_by_what_they_print(says: str, family: str) -> None:
    assert family_of(says) == family
