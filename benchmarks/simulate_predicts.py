"""How well a simulation predicts how long a training takes.

Four islands of emulated speeds (paces 1, 1, 2, 3) train a tiny model for some seconds: that gives
seconds per inner step, the one thing that is measured. Then `hpctrain simulate` says how long a run
of 4,000 steps takes, and the same run is made in real time, on this machine.

`worst_error_pct`: the larger of the errors of an asynchronous and of a synchronous method.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from report import print_result

from hpctrain.storage.read import open_run

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


def trained(config: Path, steps: int) -> Path:
    """The directory of a real run."""
    run_dir = config.parent / f"real-{steps}"
    sets = ["--set", f"stop.steps={steps}", "--set", f"run_dir={run_dir}"]
    hpctrain("launch", "-n", 4, "train", config, *PACES, *sets)
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
    rows, errors = [], []
    for method in ("heloco", "diloco"):
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "run.toml"
            config.write_text(CONFIG.format(method=method))
            step_s = seconds_per_step(trained(config, MEASURED_STEPS))
            simulated_s, real_s = predicted(config, step_s), end_s(trained(config, STEPS))
        error = 100 * (simulated_s / real_s - 1)
        errors.append(abs(error))
        rows.append([method, f"{simulated_s:.1f}", f"{real_s:.1f}", f"{error:+.1f}"])
    print_result(
        f"Seconds that {STEPS:,} steps on four islands take",
        ["method", "predicted", "real", "error in %"],
        rows,
        {"worst_error_pct": round(max(errors), 2)},
    )


if __name__ == "__main__":
    main()
