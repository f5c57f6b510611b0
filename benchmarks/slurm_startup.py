"""What a run of ours takes under srun beyond a bare mpi4py program, at 8 ranks on 2 virtual hosts.

A virtual cluster of Slurm (see tests/slurm/cluster.py: root, and the packages of .ci/slurm) runs
them as steps of one job, in turns, from srun to its end: a hello of mpi4py, one that imports torch
and makes an optimizer as every training does, a search of eight evaluations, a training of eight
steps.

`search_over_hello_s`, `train_over_hello_s`: medians of the differences of neighbours.
`train_over_torch_s`: beyond the hello with torch and an optimizer, which is what we add.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from report import print_result

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.slurm.cluster import Cluster, why_not

PAIRS = 5
BIN = Path(sys.executable).parent
HELLO = "from mpi4py import MPI; MPI.COMM_WORLD.barrier()"
TORCH = f"{HELLO}; import torch; torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])"
TINY = """
run_dir = "runs/{number}"
[task]
factory = "tests.programs.tiny_task:task"
[stop]
steps = 8
[evaluate]
every_rounds = 0
[method]
sync_every = 1
[progress]
show = "none"
"""
SEARCH = """
run_dir = "runs/search-{number}"
[search]
objective = "tests.programs.objectives:sphere"
[search.space]
x = {{ low = 0.0, high = 1.0 }}
y = {{ low = 0.0, high = 1.0 }}
[search.stop]
evaluations = 8
[progress]
show = "none"
"""
JOB = """#!/bin/bash
#SBATCH --nodes=2 --ntasks-per-node=4 --output=times.txt
export PYTHONPATH={root} PATH={bin}:$PATH
export OPAL_PREFIX={prefix} OMPI_MCA_osc=^ucx OMP_NUM_THREADS=1
timed() {{
    local begin=$EPOCHREALTIME
    "${{@:2}}" >/dev/null 2>&1 || echo "$1 failed" >&2
    echo "$1 $begin $EPOCHREALTIME"
}}
for number in $(seq {pairs}); do
    timed hello srun --mpi=pmix python -c '{hello}'
    timed torch srun --mpi=pmix python -c '{torch}'
    timed search srun --mpi=pmix hpctrain search "search-$number.toml"
    timed train srun --mpi=pmix hpctrain train "$number.toml"
done
"""


def main() -> None:
    reason = why_not()
    if reason:
        print(f"SKIPPED: {reason}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(1, PAIRS + 1):
            (folder / f"{number}.toml").write_text(TINY.format(number=number))
            (folder / f"search-{number}.toml").write_text(SEARCH.format(number=number))
        job = folder / "job.sh"
        root = Path(__file__).parents[1]
        job.write_text(
            JOB.format(root=root, bin=BIN, prefix=sys.prefix, pairs=PAIRS, hello=HELLO, torch=TORCH)
        )
        with Cluster(folder / "slurm", hosts=2) as slurm:
            slurm.wait(slurm.submit(job, folder=folder), timeout_s=900)
        took = times(folder / "times.txt")

    def over(name: str, base: str) -> float:
        pairs = zip(took[name], took[base], strict=True)
        return round(median(a - b for a, b in pairs), 2)

    print_result(
        "Seconds from srun to the end, 8 ranks on 2 virtual hosts",
        ["program", "median", "from", "to"],
        [[name, f"{median(all_s):.2f}", f"{min(all_s):.2f}", f"{max(all_s):.2f}"]
         for name, all_s in took.items()],
        {
            "search_over_hello_s": over("search", "hello"),
            "train_over_hello_s": over("train", "hello"),
            "train_over_torch_s": over("train", "torch"),
        },
    )  # fmt: skip


def times(path: Path) -> dict[str, list[float]]:
    """Seconds by program."""
    took: dict[str, list[float]] = {}
    for line in path.read_text().splitlines():
        name, begin, end = line.split()
        took.setdefault(name, []).append(float(end) - float(begin))
    return took


if __name__ == "__main__":
    main()
