"""Reading the launcher's environment: recorded environments, cut to what is read."""

import socket
from pathlib import Path

import pytest

from hpctrain.cluster.launcher import Launcher, read_launcher, refuse_wrong_world
from hpctrain.errors import LaunchError

OPENMPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "3",
    "PMIX_RANK": "2",
}
MPICH = {"PMI_SIZE": "4", "PMI_RANK": "0", "MPI_LOCALRANKID": "0", "MPI_LOCALNRANKS": "4"}
SLURM_BATCH = {
    "SLURM_JOB_ID": "77",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_END_TIME": "1790000000",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "0",
    "SLURMD_NODENAME": "n1",
}
SLURM_STEP = {
    **SLURM_BATCH,
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_NUM_NODES": "3",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2),2",
    "SLURM_PROCID": "6",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "2",
}


def place(launcher: Launcher) -> tuple[object, ...]:
    return (
        launcher.name,
        launcher.size,
        launcher.rank,
        launcher.local_rank,
        launcher.local_size,
    )


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, ("none", None, None, None, None)),
        (OPENMPI, ("openmpi", 4, 2, 1, 3)),
        (MPICH, ("mpich", 4, 0, 0, 4)),
        (SLURM_STEP, ("slurm", 8, 6, 0, 2)),
        ({**SLURM_STEP, "PMI_RANK": "6", "PMI_SIZE": "8"}, ("slurm", 8, 6, 0, 2)),
        ({**SLURM_STEP, "PMIX_RANK": "6"}, ("slurm", 8, 6, 0, 2)),
        ({**SLURM_STEP, **OPENMPI}, ("openmpi", 4, 2, 1, 3)),
        ({**SLURM_STEP, **MPICH}, ("mpich", 4, 0, 0, 4)),
        ({**SLURM_STEP, "SLURM_HET_SIZE": "2"}, ("slurm", 8, 6, 0, 2)),
        ({**SLURM_STEP, "SLURM_HET_SIZE": "2", "SLURM_NTASKS": "9"}, ("slurm", 9, 6, 0, 2)),
        ({**SLURM_STEP, "SLURM_STEP_TASKS_PER_NODE": "?"}, ("slurm", 8, 6, 0, None)),
        (
            {
                "PALS_RANKID": "3",
                "PMI_SIZE": "4",
                "PMI_RANK": "3",
                "PALS_LOCAL_RANKID": "1",
                "PALS_LOCAL_SIZE": "2",
            },
            ("pals", 4, 3, 1, 2),
        ),
        (
            {"FLUX_TASK_RANK": "1", "FLUX_JOB_SIZE": "2", "FLUX_TASK_LOCAL_ID": "0"},
            ("flux", 2, 1, 0, None),
        ),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, ("pmi", 2, 1, None, None)),
        ({"PMIX_RANK": "1"}, ("pmix", None, 1, None, None)),
        (
            {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"},
            ("torchrun", 2, 1, 1, None),
        ),
    ],
)
def test_every_launcher_is_recognised(env: dict[str, str], expected: tuple[object, ...]) -> None:
    assert place(read_launcher(env)) == expected


def test_a_batch_script_is_in_a_job_but_not_a_launched_rank() -> None:
    launcher = read_launcher(SLURM_BATCH)
    assert place(launcher) == ("none", None, None, None, None)
    assert not launcher.is_rank
    assert launcher.speaks
    assert (launcher.job_id, launcher.host) == ("77", "n1")
    assert launcher.end_time_unix_s == 1_790_000_000.0


def test_the_interactive_step_of_an_allocation_is_not_a_launched_rank() -> None:
    interactive = {**SLURM_STEP, "SLURM_STEP_ID": "4294967290", "SLURM_STEP_NUM_TASKS": "1"}
    assert not read_launcher(interactive).is_rank


def test_the_number_of_hosts_and_the_host_are_known_where_they_are_said() -> None:
    assert read_launcher(SLURM_STEP).num_hosts == 3
    assert read_launcher(OPENMPI).num_hosts is None
    assert read_launcher({}).host == socket.gethostname()


@pytest.mark.parametrize(
    ("address", "pattern", "switch"),
    [
        ("s0.s2.n1", "switch.switch.node", "s2"),
        ("s[0-1].s[2-3].n1.cluster", "switch.switch.node", "s[2-3]"),
        ("s0..n1", "switch.switch.node", "s0"),
        ("b8.tux1", "block.node", "b8"),
        ("n1", "node", None),
        ("n1.cluster", "node", None),
        ("n1", "switch.node", None),
        ("", "", None),
    ],
)
def test_the_lowest_switch_above_the_host_is_known(
    address: str, pattern: str, switch: str | None
) -> None:
    env = {"SLURM_TOPOLOGY_ADDR": address, "SLURM_TOPOLOGY_ADDR_PATTERN": pattern}
    assert read_launcher(env).switch == switch
    assert read_launcher({}).switch is None


def test_a_job_of_pbs_has_the_hosts_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "nodes"
    file.write_text("n1\nn1\nn2\nn2\n")
    env = {"PBS_JOBID": "7.server", "PBS_NODEFILE": str(file)}
    launcher = read_launcher(env)
    assert (launcher.scheduler, launcher.job_id, launcher.num_hosts) == ("pbs", "7.server", 2)
    assert not launcher.is_rank
    assert read_launcher({**env, **OPENMPI}).num_hosts == 2
    elsewhere = read_launcher({**env, "PBS_NODEFILE": str(tmp_path / "absent")})
    assert (elsewhere.job_id, elsewhere.num_hosts) == ("7.server", None)
    assert read_launcher({"PBS_JOBID": "7.server"}).num_hosts is None


def test_one_rank_speaks() -> None:
    assert read_launcher({}).speaks
    assert read_launcher(MPICH).speaks
    assert not read_launcher(OPENMPI).speaks


def test_nonsense_in_the_environment_counts_as_unknown() -> None:
    env = {**OPENMPI, "OMPI_COMM_WORLD_SIZE": "many", "SLURM_JOB_END_TIME": "Unknown"}
    launcher = read_launcher(env)
    assert (launcher.size, launcher.end_time_unix_s, launcher.terminal) == (None, None, None)


def test_a_launcher_that_mpi_does_not_know_is_refused() -> None:
    refuse_wrong_world(read_launcher({}), 1)
    refuse_wrong_world(read_launcher(OPENMPI), 4)
    with pytest.raises(LaunchError, match=r"^openmpi started 4 ranks, but MPI sees 1: .*launch$"):
        refuse_wrong_world(read_launcher(OPENMPI), 1)
    with pytest.raises(LaunchError, match=r"--mpi=pmix \(Open MPI\) or srun --mpi=pmi2"):
        refuse_wrong_world(read_launcher(SLURM_STEP), 1)
    with pytest.raises(LaunchError, match=r"^slurm started 8 .*; use srun --mpi=pmi2, which that"):
        refuse_wrong_world(read_launcher(SLURM_STEP), 1, "pmi2")
    with pytest.raises(LaunchError, match=r"or: hpctrain launch$"):
        refuse_wrong_world(read_launcher(OPENMPI), 1, "pmix")
