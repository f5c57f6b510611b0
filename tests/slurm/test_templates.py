"""Every kind of job script, rendered by the command and submitted to a real Slurm."""

from __future__ import annotations

import pytest

from hpctrain.storage.read import open_run
from tests.metering.burning import Burning
from tests.slurm.bench import Bench, steps_of
from tests.slurm.cluster import wait_for, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]


def test_a_training_on_two_hosts_makes_each_an_island(bench: Bench) -> None:
    job = bench.submit("run.toml", "--nodes=2", "--ranks-per-node=2", "--time=10:00")
    assert "400" in bench.ends(job) or steps_of(bench.folder / "runs/train") >= 400
    assert open_run(bench.folder / "runs/train").identity["islands"] == ["n1", "n2"]
    said = bench.hpctrain("status", "runs/train").stdout
    assert "finished" in said
    assert "COMPLETED" in said
    assert bench.slurm.accounted(job, "State", "NNodes")[0] == ["COMPLETED", "2"]


def test_a_search_and_one_with_workers_of_two_ranks(bench: Bench) -> None:
    first = bench.submit("search.toml", "--nodes=2", "--ranks-per-node=2", "--time=10:00")
    more = ["--set", "search.ranks_per_worker=2", "--set", "run_dir=runs/two"]
    second = bench.submit("search.toml", "--nodes=1", "--ranks-per-node=4", "--time=10:00", *more)
    for job, name in ((first, "search"), (second, "two")):
        bench.ends(job)
        table = open_run(bench.folder / "runs" / name).table("candidate")
        assert sorted(table["number"]) == list(range(200))


def test_an_array_is_one_run_for_each_seed(bench: Bench) -> None:
    job = bench.submit("run.toml", "--kind=array", "--array=3", "--time=10:00")
    wait_for(
        lambda: all((bench.folder / f"runs/train/{n}/final.pt").exists() for n in range(3)),
        "three runs of the array", 120,
    )  # fmt: skip
    bench.slurm.wait(job)
    seeds = [open_run(bench.folder / f"runs/train/{n}").identity["seed"] for n in range(3)]
    assert seeds == [0, 1, 2]


def test_a_preempted_job_saves_and_goes_on_when_there_is_room(bench: Bench) -> None:
    slow = ["--set", "pace.step_s=0.02", "--set", "stop.steps=3000"]
    job = bench.submit(
        "run.toml", "--kind=preemptible", "--nodes=3", "--time=10:00", "--partition=main",
        "--ranks-per-node=1", *slow,
    )  # fmt: skip
    output = bench.folder / f"train-{job}.out"
    wait_for(lambda: any(bench.folder.glob(f"*-{job}.out")), "its output", 30)
    output = next(bench.folder.glob(f"*-{job}.out"))
    wait_for(lambda: "steps/s" in output.read_text(), "the training to begin", 60)
    urgent = bench.folder / "urgent.sh"
    urgent.write_text("#!/bin/bash\n#SBATCH -p urgent -N3 --exclusive -o urgent.out\nsleep 3\n")
    bench.slurm.wait(bench.slurm.submit(urgent, folder=bench.folder), timeout_s=100)
    text = bench.ends(job, timeout_s=300)
    assert "stopped (SIGTERM): saved" in text or "stopped (SIGUSR1): saved" in text
    assert "part 1" in text
    assert steps_of(bench.folder / "runs/train") >= 3000


def test_two_kinds_of_hosts_are_one_run(bench: Bench) -> None:
    job = bench.submit(
        "run.toml", "--kind=heterogeneous", "--nodes=1", "--second=1", "--ranks-per-node=2",
        "--time=10:00",
    )  # fmt: skip
    bench.ends(job)
    run = open_run(bench.folder / "runs/train")
    assert run.identity["num_ranks"] == 4
    assert len(run.identity["islands"]) == 2


def test_mpirun_is_started_again_on_the_hosts_that_are_left(bench: Bench) -> None:
    slow = ["--set", "pace.step_s=0.02", "--set", "stop.steps=4000"]
    slow += ["--set", "checkpoint.every_minutes=0.1", "--set", "topology.islands=2"]
    job = bench.submit(
        "run.toml", "--kind=restarting", "--nodes=2", "--ranks-per-node=1", "--time=20:00", *slow
    )
    checkpoints = bench.folder / "runs/train/checkpoints"
    wait_for(lambda: any(checkpoints.glob("*/MANIFEST.json")), "a checkpoint", 90)
    hosts = bench.slurm.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    names = bench.slurm.run("scontrol", "show", "hostnames", hosts).split()
    bench.slurm.kill_host(names[-1])
    try:
        text = bench.ends(job, timeout_s=300)
    finally:
        bench.slurm.revive_host(names[-1])
    assert f"{names[-1]} is gone" in text
    assert steps_of(bench.folder / "runs/train") >= 4000


def test_ranks_in_containers_are_one_run(bench: Bench) -> None:
    """No container runtime can be counted on here: a stand-in runs the command as it is."""
    stand_in = bench.folder / "apptainer"
    stand_in.write_text('#!/bin/bash\nwhile [[ $1 != *.sif ]]; do shift; done\nshift\nexec "$@"\n')
    stand_in.chmod(0o755)
    site = bench.folder / "site.toml"
    site.write_text(
        'name = "test"\nabout = "with a stand-in"\ntested = "yes"\n'
        f"[environment]\nlines = ['PATH=\"{bench.folder}:$PATH\"']\n"
    )
    (bench.folder / "our image.sif").touch()
    job = bench.submit(
        "run.toml", "--kind=container", "--image=our image.sif", "--nodes=2", "--time=10:00",
        f"--site={site}",
    )  # fmt: skip
    bench.ends(job)
    assert open_run(bench.folder / "runs/train").identity["num_ranks"] == 2


def test_hosts_are_calibrated_by_their_sensors(bench: Bench) -> None:
    script = bench.hpctrain("jobscript", "-", "--kind=calibrate", "--nodes=2", "--time=10:00")
    tree = bench.folder / "sys"
    options = f"calibrate --sysfs-root {tree} --seconds 1 --settle-s 0 --repeat 1"
    text = script.stdout.replace("energy calibrate", f"energy {options}")
    (bench.folder / "calibrate.sbatch").write_text(text)
    with Burning(tree, rise_w_per_s=20.0):  # so that full load, measured later, takes more
        job = bench.slurm.submit(bench.folder / "calibrate.sbatch", folder=bench.folder)
        bench.ends(job)
    assert {path.name for path in bench.folder.glob("profile-*.toml")} == {
        "profile-n1.toml", "profile-n2.toml",
    }  # fmt: skip


def test_slurm_is_asked_before_anything_is_submitted(bench: Bench) -> None:
    told = bench.hpctrain("jobscript", "run.toml", "--dry-run", "--time=10:00", "--nodes=2")
    assert "to start at" in told.stdout + told.stderr
    refused = bench.hpctrain(
        "jobscript", "run.toml", "--dry-run", "--time=10:00", "--nodes=99", code=2
    )
    assert "sbatch: " in refused.stderr


def test_ranks_that_do_not_find_each_other_say_which_mpi_to_ask_for(bench: Bench) -> None:
    script = bench.hpctrain("jobscript", "run.toml", "--time=10:00", "--nodes=2").stdout
    path = bench.folder / "wrong.sbatch"
    path.write_text(script.replace("--mpi=pmix", "--mpi=none"))
    text = bench.ends(bench.slurm.submit(path, folder=bench.folder), "FAILED")
    assert "--mpi=pmix" in text
    assert not (bench.folder / "runs/train/run.json").exists()
