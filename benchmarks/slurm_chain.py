"""What three wall-times cost a training: its loss, against runs that were never interrupted.

A virtual cluster of Slurm (root, and the packages of .ci/slurm) runs an asynchronous training of a
tiny model on two hosts as a chain of jobs of two minutes, each of which is told to save and stop,
and the same training three times in one job, where nothing interrupts it (the order of arrivals is
never the same twice). Synchronous trainings end with the same bits, and searches with the same
evaluations: that is a test (tests/slurm/test_chain.py).

`lost_steps`: steps that were trained in the chained run and never merged. `loss_difference`: its
final loss less the mean of the others; `spread`: the largest less the smallest of the others.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import mean

from report import print_result

from hpctrain.storage.read import open_run

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mpi.launching import TINY
from tests.slurm.bench import Bench, steps_of
from tests.slurm.cluster import Cluster, why_not

STEPS, STEP_S = 28_000, 0.02  # of two workers: 280 s, more than three parts of at most 80 s
WHOLE = ("whole-0", "whole-1", "whole-2")


def loss_of(run_dir: Path) -> float:
    """The mean of the last evaluation over the domains."""
    table = open_run(run_dir).table("evaluation")
    last = table["global_steps"] == table["global_steps"].max()
    return float(table["loss"][last].mean())


def main() -> None:
    if why_not():
        print(f"SKIPPED: {why_not()}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = TINY.format(method="heloco", sync_every=10, steps=STEPS)
        (folder / "chain.toml").write_text(f'run_dir = "runs/chain"\n{text}')
        with Cluster(folder / "slurm", hosts=4) as slurm:
            bench = Bench(slurm, folder)
            pace = ("--set", f"pace.step_s={STEP_S}")
            chain = bench.submit(
                "chain.toml", "--kind=chain", "--nodes=2", "--time=2:00", "--margin=40", *pace
            )
            for run in WHOLE:
                sets = ("--set", f"run_dir=runs/{run}")
                slow = pace if run == WHOLE[0] else ("--set", "pace.step_s=0.002")
                bench.ends(
                    bench.submit("chain.toml", "--nodes=2", "--time=20:00", *slow, *sets),
                    timeout_s=900,
                )
            bench.ends(chain, timeout_s=900)
            states = [s for s, id_ in slurm.accounted(chain, "State", "JobID") if id_ == chain]
        runs = {run: folder / "runs" / run for run in ("chain", *WHOLE)}
        losses = {run: loss_of(path) for run, path in runs.items()}
        trained = steps_of(runs["chain"])
        updates = open_run(runs["chain"]).table("outer_update")
        merged = int(updates["steps"][updates["fragment"] == 0].sum())
    others = [losses[run] for run in WHOLE]
    print_result(
        f"A training over {len(states)} jobs: {', '.join(states).lower()}",
        ["run", "final loss"],
        [[run, f"{loss:.5f}"] for run, loss in losses.items()],
        {
            "interruptions": len(states) - 1,
            "lost_steps": trained - merged,
            "loss_difference": round(losses["chain"] - mean(others), 6),
            "spread": round(max(others) - min(others), 6),
        },
    )


if __name__ == "__main__":
    main()
