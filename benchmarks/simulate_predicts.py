"""How well a simulation predicts how long a training takes.

Four islands of emulated speeds (paces 1, 1, 2, 3) train a tiny model for some seconds: that gives
seconds per inner step, the one thing that is measured. Then `hpctrain simulate` says how long a run
of 4,000 steps takes, and the same run is made in real time: on this machine, or with `--slurm` as
jobs on four virtual hosts of a real Slurm (root, and the packages of .ci/slurm).

`worst_error_pct`: the larger of the errors of an asynchronous and of a synchronous method.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from report import print_result

from hpctrain.storage.read import open_run

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.slurm.bench import Bench
from tests.slurm.cluster import Cluster, why_not

ROOT = Path(__file__).parents[1]
STEPS, MEASURED_STEPS = 4000, 600
CONFIG = """
[task]
factory = "tests.programs.tiny_task:task"
[method]
name = "{method}"
sync_every = 20
[evaluate]
every_rounds = 0
[progress]
show = "none"
[topology]
islands = 4
"""
PACES = ("--set", "pace.step_s=0.02", "--set", "pace.factors=[1.0, 1.0, 2.0, 3.0]")


def hpctrain(*words: object) -> None:
    command = [sys.executable, "-m", "hpctrain", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


Train = Callable[[Path, list[str]], None]


def on_this_machine(config: Path, sets: list[str]) -> None:
    hpctrain("launch", "-n", 4, "train", config, *sets)


@contextmanager
def cluster(folder: Path, wanted: bool) -> Iterator[Train]:
    """Where real runs are made."""
    if not wanted:
        yield on_this_machine
        return
    with Cluster(folder / "slurm", hosts=4, cpus=2) as slurm:

        def as_a_job(config: Path, sets: list[str]) -> None:
            bench = Bench(slurm, config.parent)
            bench.ends(bench.submit(config.name, "--nodes=4", "--time=20:00", *sets))

        yield as_a_job


def trained(config: Path, steps: int, train: Train) -> Path:
    """The directory of a real run."""
    run_dir = config.parent / f"real-{steps}"
    train(config, [*PACES, "--set", f"stop.steps={steps}", "--set", f"run_dir={run_dir}"])
    return run_dir


def seconds_per_step(run_dir: Path) -> list[float]:
    """By worker."""
    rounds = open_run(run_dir).table("round")
    mine = [rounds["worker"] == worker for worker in range(4)]
    return [float(rounds["compute_s"][m].sum() / rounds["steps"][m].sum()) for m in mine]


def end_s(run_dir: Path) -> float:
    return float(open_run(run_dir).table("round")["time_s"].max())


def predicted(config: Path, step_s: list[float]) -> float:
    run_dir = config.parent / "simulated"
    hpctrain(
        "simulate", config, "--workers", 4, "--set", f"stop.steps={STEPS}", "--set",
        "simulate.work=timing", "--set", f"simulate.step_s={step_s}", "--set",
        f"run_dir={run_dir}",
    )  # fmt: skip
    return end_s(run_dir)


def main() -> None:
    on_slurm = "--slurm" in sys.argv[1:]
    if on_slurm and why_not():
        print(f"SKIPPED: {why_not()}")
        return
    rows, errors = [], []
    for method in ("heloco", "diloco"):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            config = folder / "run.toml"
            config.write_text(CONFIG.format(method=method))
            with cluster(folder, on_slurm) as train:
                step_s = seconds_per_step(trained(config, MEASURED_STEPS, train))
                simulated_s = predicted(config, step_s)
                real_s = end_s(trained(config, STEPS, train))
        error = 100 * (simulated_s / real_s - 1)
        errors.append(abs(error))
        rows.append([method, f"{simulated_s:.1f}", f"{real_s:.1f}", f"{error:+.1f}"])
    where = "jobs on four virtual hosts" if on_slurm else "one machine"
    print_result(
        f"Seconds that {STEPS:,} steps on four islands take ({where})",
        ["method", "predicted", "real", "error in %"],
        rows,
        {"worst_error_pct": round(max(errors), 2)},
    )


if __name__ == "__main__":
    main()
