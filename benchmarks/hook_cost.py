"""What hpctrain costs at each optimizer step when nothing is to be exchanged.

`hook_us`: microseconds that the hooks add to an optimizer step, with `sync_every` so large that no
round ends: one worker without MPI, and one of four ranks under MPI (where every pause looks into
the mailbox). `overhead_pct`: the built-in language model's whole training step with the hooks
against the same loop without them, blocks of both in turn in one process, so that a busy machine
slows both; the median over blocks.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from statistics import median
from time import perf_counter
from typing import Any

import torch
from report import print_result

import hpctrain as ht
from hpctrain.workloads.bytelm import task as make_task
from hpctrain.workloads.task import TaskContext

STEPS_PER_BLOCK = 20
BLOCKS = 40
BARE_STEPS = 2000


class _NullOptimizer(torch.optim.Optimizer):
    """Steps that do nothing: what is left is the cost of the hooks."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {})

    def step(self, closure: Any = None) -> None:
        pass


def measure_hooks() -> float:
    """Microseconds per step that the hooks of this rank cost."""
    model = torch.nn.Linear(64, 64)
    optimizer = _NullOptimizer(model.parameters())
    bare_us = _step_us(optimizer)
    with tempfile.TemporaryDirectory() as folder:
        shared = os.environ.get("HOOK_COST_DIR", folder)
        run = ht.init(method="heloco", sync_every=10**9, run_dir=f"{shared}/run", show="none",
                      service_thread=False)  # fmt: skip
        run.prepare(model, optimizer)
        hooked_us = median(_step_us(optimizer) for _ in range(5))
        run.finish()
    return hooked_us - bare_us


def _step_us(optimizer: torch.optim.Optimizer) -> float:
    began_s = perf_counter()
    for _ in range(BARE_STEPS):
        optimizer.step()
    return (perf_counter() - began_s) / BARE_STEPS * 1e6


def measure_overhead() -> tuple[float, float, float]:
    """Percent that the hooks add to a real training step, its milliseconds, and the spread."""
    torch.set_num_threads(1)
    bare = make_task(TaskContext(seed=0))
    hooked = make_task(TaskContext(seed=0))
    with tempfile.TemporaryDirectory() as folder:
        run = ht.init(method="heloco", sync_every=10**9, run_dir=f"{folder}/run", show="none")
        run.prepare(hooked.model, hooked.optimizer)
        ratios, times = [], []
        for block in range(BLOCKS):
            first, second = (bare, hooked) if block % 2 else (hooked, bare)
            seconds = {id(task): _block_s(task) for task in (first, second)}
            ratios.append(seconds[id(hooked)] / seconds[id(bare)] - 1)
            times.append(seconds[id(bare)] / STEPS_PER_BLOCK)
        run.finish()
    ratios.sort()
    spread = ratios[3 * len(ratios) // 4] - ratios[len(ratios) // 4]
    return 100 * median(ratios), 1e3 * median(times), 100 * spread


def _block_s(task: Any) -> float:
    began_s = perf_counter()
    for _ in range(STEPS_PER_BLOCK):
        task.optimizer.zero_grad()
        task.loss(task.next_batch()).backward()
        task.optimizer.step()
    return perf_counter() - began_s


def _under_mpi() -> float:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "hpctrain", "launch", "-n", "4", __file__, "--rank"],
            capture_output=True, text=True, check=True, env={**os.environ, "HOOK_COST_DIR": folder},
        )  # fmt: skip
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return median(item["hook_us"] for item in found)


def main() -> None:
    if "--rank" in sys.argv:
        print(json.dumps({"hook_us": measure_hooks()}), flush=True)
        return
    hook_us = float(_child(["--hooks"])["hook_us"])
    overhead_pct, step_ms, spread = measure_overhead()
    mpi_us = _under_mpi()
    print_result(
        "What the hooks cost when nothing is exchanged",
        ["where", "cost"],
        [
            ["one worker, no MPI: per optimizer step", f"{hook_us:.1f} us"],
            ["one of 4 ranks under MPI on these cores: per optimizer step", f"{mpi_us:.1f} us"],
            [
                f"a whole training step of {step_ms:.1f} ms",
                f"{overhead_pct:+.2f} % (IQR {spread:.2f})",
            ],
        ],
        {
            "hook_us": round(hook_us, 1),
            "hook_us_mpi": round(mpi_us, 1),
            "overhead_pct": round(overhead_pct, 2),
        },
    )


def _child(arguments: list[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, *arguments], capture_output=True, text=True, check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return dict(json.loads(line))


if __name__ == "__main__":
    if "--hooks" in sys.argv:
        print(json.dumps({"hook_us": measure_hooks()}), flush=True)
    else:
        main()
