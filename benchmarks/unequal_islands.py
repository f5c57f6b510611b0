"""What unequal islands reach together, as a fraction of the sum of what each reaches alone.

Four islands of one rank train the built-in language model with emulated paces 1, 1, 2 and 6: a step
takes at least 60 ms times the pace, mostly asleep, so that the cores of this machine are not the
limit (a step of the default model is about 10 ms of computing). Each island first trains alone with
the same pace, then all train together with each method. Rates are steps between the ends of a
worker's first and last whole round (of the slowest too), so start-up and the end do not count.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from report import print_result

import hpctrain as ht

ROOT = Path(__file__).parents[1]
PACES = (1, 1, 2, 6)
METHODS = {
    "heloco": ["--set", "method.name=heloco"],
    "heloco, overlap": ["--set", "method.name=heloco", "--set", "method.overlap=true"],
    "diloco": ["--set", "method.name=diloco"],
    "ddp": ["--set", "method.name=ddp", "--set", "method.sync_every=1"],
}


def rates(folder: Path, ranks: int, paces: tuple[int, ...], asked: argparse.Namespace,
          *settings: str) -> dict[int, float]:  # fmt: skip
    """Steps per second of each worker in a run of `ranks` islands."""
    run_dir = Path(tempfile.mkdtemp(dir=folder)) / "run"
    is_ddp = "method.name=ddp" in settings
    sync = [] if is_ddp else ["--set", f"method.sync_every={asked.sync_every}"]
    subprocess.run(
        [
            sys.executable, "-m", "hpctrain", "launch", "-n", str(ranks), "train", "demo/run.toml",
            "--quiet", "--set", f'run_dir="{run_dir}"',
            "--set", f"stop.minutes={asked.seconds / 60}", "--set", "stop.steps=1000000000",
            "--set", "evaluate.every_rounds=0",
            "--set", "checkpoint.every_minutes=0", "--set", f"pace.factors={list(paces)}",
            "--set", f"pace.step_s={asked.step_s}", "--set", "topology.islands='rank'",
            *sync, *settings,
        ],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    rounds = ht.open_run(str(run_dir)).table("round")
    return {
        worker: _rate(rounds["time_s"][rounds["worker"] == worker],
                      rounds["steps"][rounds["worker"] == worker])
        for worker in range(ranks)
    }  # fmt: skip


def _rate(times_s: np.ndarray, steps: np.ndarray) -> float:
    """Steps after the first round by the time since then, without the cut end."""
    whole = steps > 0
    times_s, steps = times_s[whole][:-1], steps[whole][:-1]  # the last one was cut short
    return float(steps[1:].sum() / (times_s[-1] - times_s[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="of each run")
    parser.add_argument("--step-s", type=float, default=0.06)
    parser.add_argument("--sync-every", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = {pace: rates(folder, 1, (pace,), asked)[0] for pace in sorted(set(PACES))}
        total = sum(alone[pace] for pace in PACES)
        rows = [["each alone", *(f"{alone[p]:.2f}" for p in PACES), f"{total:.2f}", "1.00"]]
        figures = {}
        for method, settings in METHODS.items():
            found = rates(folder, len(PACES), PACES, asked, *settings)
            figures[method] = sum(found.values()) / total
            row = [method, *(f"{found[worker]:.2f}" for worker in range(len(PACES)))]
            rows.append([*row, f"{sum(found.values()):.2f}", f"{figures[method]:.3f}"])
    print_result(
        f"Four islands of unequal speed (steps per second; emulated paces, step {asked.step_s} s, "
        f"sync_every {asked.sync_every})",
        ["method", *(f"pace {pace}" for pace in PACES), "together", "of the sum alone"],
        rows,
        {name.replace(", ", "_"): round(value, 3) for name, value in figures.items()},
    )


if __name__ == "__main__":
    main()
