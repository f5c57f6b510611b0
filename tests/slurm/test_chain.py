"""Jobs that go on after their wall-time, or on other hosts: what comes out is as if nothing was."""

from __future__ import annotations

import numpy as np
import pytest

from hpctrain.compose.status import parts_of as recorded
from hpctrain.storage.read import open_run
from tests.mpi.launching import TINY, fingerprints
from tests.slurm.bench import SEARCH, Bench, steps_of
from tests.slurm.cluster import wait_for, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

# Slurm looks at the time every half a minute: the signal comes 0 to 60 s before it is due.
TIMES = ("--kind=chain", "--time=2:00", "--margin=40")
TRAINED = 10_000  # steps of two workers of 20 ms: 100 s
EVALUATED = 15_000  # of three workers of 20 ms, and a slow one: 100 s


def parts_of(bench: Bench, job: str) -> list[str]:
    """How each part of a job ended, as Slurm's accounting has it."""
    return [state for state, id_ in bench.slurm.accounted(job, "State", "JobID") if id_ == job]


def evaluations_of(bench: Bench, name: str) -> dict[int, tuple[float, ...]]:
    """Parameters and loss by number, of those that are done."""
    table = open_run(bench.folder / "runs" / name).table("candidate")
    done = table["outcome"] == "done"
    columns = [table[name][done] for name in ("param.x", "param.y", "loss")]
    numbers = table["number"][done].tolist()
    assert len(numbers) == len(set(numbers)), "an evaluation was paid for twice"
    return dict(
        zip(numbers, zip(*(column.tolist() for column in columns), strict=True), strict=True)
    )


def test_chains_end_like_runs_that_were_never_interrupted(bench: Bench) -> None:
    """A synchronous training to the same bits; a search with the same candidates and losses."""
    text = TINY.format(method="diloco", sync_every=10, steps=TRAINED).replace('"none"', '"plain"')
    (bench.folder / "chained.toml").write_text(f'run_dir = "runs/chained"\n{text}')
    train = bench.submit(
        "chained.toml", *TIMES, "--nodes=2", "--set", "pace.step_s=0.02",
        "--set", "checkpoint.every_minutes=0",
    )  # fmt: skip
    even = SEARCH.format(evaluations=EVALUATED, more='propagator = "random"')
    (bench.folder / "search.toml").write_text(even.replace(":brief", ":slow_sphere"))
    search = bench.submit("search.toml", *TIMES, "--nodes=2", "--ranks-per-node=2")

    whole = bench.submit(
        "chained.toml", "--nodes=2", "--time=10:00", "--set", "run_dir=runs/whole",
        "--set", "checkpoint.every_minutes=0",
    )  # fmt: skip
    (bench.folder / "alone.toml").write_text(even.replace(":brief", ":sphere"))
    bench.hpctrain("search", "alone.toml", "--set", "run_dir=runs/alone", timeout_s=200)

    said = bench.ends(train, timeout_s=400)
    assert said.count("stopped (SIGUSR1): saved") >= 1
    bench.ends(search, timeout_s=300)
    bench.ends(whole)
    for job in (train, search):
        *before, last = parts_of(bench, job)
        assert before, "it was never interrupted"
        assert set(before) == {"REQUEUED"}
        assert last == "COMPLETED"
    chained = bench.folder / "runs/chained"
    assert steps_of(chained) == TRAINED
    assert fingerprints(chained) == fingerprints(bench.folder / "runs/whole")
    again = evaluations_of(bench, "search")
    assert sorted(again) == list(range(EVALUATED))
    assert again == evaluations_of(bench, "alone")


def test_a_job_whose_host_dies_goes_on_elsewhere_from_its_checkpoint(bench: Bench) -> None:
    """Under srun the job ends with its host, and Slurm itself puts it back into the queue."""
    job = bench.submit(
        "run.toml", "--kind=chain", "--nodes=2", "--time=20:00", "--set", "pace.step_s=0.02",
        "--set", "stop.steps=4000", "--set", "checkpoint.every_minutes=0.1",
        "--set", "topology.islands=2",
    )  # fmt: skip
    checkpoints = bench.folder / "runs/train/checkpoints"
    wait_for(lambda: any(checkpoints.glob("*/MANIFEST.json")), "a checkpoint", 90)
    hosts = bench.slurm.run("squeue", "-h", "-j", job, "-o", "%N").strip()
    lost = bench.slurm.run("scontrol", "show", "hostnames", hosts).split()[-1]
    bench.slurm.kill_host(lost)
    try:
        bench.ends(job, timeout_s=400)
    finally:
        bench.slurm.revive_host(lost)
    assert parts_of(bench, job)[-1] == "COMPLETED"
    run = open_run(bench.folder / "runs/train")
    assert len(list(recorded(run))) >= 2  # parts of the run, each with its job
    assert steps_of(bench.folder / "runs/train") >= 4000
    assert np.isfinite(run.table("evaluation")["loss"]).all()


def test_a_job_whose_start_is_refused_fails_once(bench: Bench) -> None:
    """Settings that were spoiled while it waited; a run that is there, with other ranks."""
    bench.hpctrain("train", "run.toml", "--set", "run_dir=runs/done", timeout_s=120)
    settings = bench.folder / "spoiled.toml"
    settings.write_text((bench.folder / "run.toml").read_text())
    jobs = []
    for kind in ("chain", "preemptible", "restarting"):
        words = (f"--kind={kind}", "--time=10:00", "-o", f"{kind}.sbatch")
        bench.hpctrain("jobscript", "spoiled.toml", *words, "--nodes=1")
        jobs.append(
            bench.slurm.submit(bench.folder / f"{kind}.sbatch", "--hold", folder=bench.folder)
        )
        jobs.append(bench.submit("run.toml", *words, "--nodes=2", "--set", "run_dir=runs/done"))
    settings.write_text("oops")
    bench.slurm.run("scontrol", "release", *jobs)
    said = [bench.ends(job, "FAILED", timeout_s=300) for job in jobs]
    assert [bench.slurm.accounted(job, "ExitCode")[0] for job in jobs] == [["2:0"]] * len(jobs)
    assert all("not TOML" in text for text in said[::2])
    assert all("ranks" in text and "once more" not in text for text in said[1::2])
