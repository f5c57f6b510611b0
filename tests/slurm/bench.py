"""A user of the virtual cluster: commands on its login node, jobs, what came of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from hpctrain.storage.read import open_run
from tests.mpi.launching import ROOT
from tests.slurm.cluster import Cluster

HPCTRAIN = Path(sys.executable).with_name("hpctrain")
SEARCH = """
run_dir = "runs/search"
[search]
objective = "tests.programs.objectives:brief"
{more}
[search.space]
x = {{ low = -1.0, high = 1.0 }}
y = {{ low = -1.0, high = 1.0 }}
[search.stop]
evaluations = {evaluations}
[progress]
show = "plain"
"""


@dataclass
class Bench:
    """A directory in which a user works, on a login node of the cluster."""

    slurm: Cluster
    folder: Path

    def hpctrain(
        self, *words: object, code: int = 0, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        path = f"{HPCTRAIN.parent}:{self.slurm.environment['PATH']}"
        env = self.slurm.environment | {"PATH": path, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [str(HPCTRAIN), *map(str, words)], cwd=self.folder, env=env, capture_output=True,
            text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def submit(self, config: str, *words: object) -> str:
        """The number of the job."""
        return self.hpctrain("jobscript", config, "--submit", *words).stdout.split()[-1]

    def ends(self, job: str, state: str = "COMPLETED", timeout_s: float = 240) -> str:
        """Wait for it; what the job has printed."""
        found = self.slurm.wait(job, timeout_s=timeout_s)
        text = "".join(path.read_text() for path in sorted(self.folder.glob(f"*-{job}*.out")))
        assert found == state, f"{found}\n{text}"
        return text


def steps_of(run_dir: Path) -> int:
    return int(open_run(run_dir).table("round")["steps"].sum())
