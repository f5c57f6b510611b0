"""Many runs below one directory, with numbers that can be checked by head."""

import json
from dataclasses import dataclass

import pytest
from click.testing import CliRunner

from hpctrain.cli import main
from tests.report.energies.conftest import EnergyRun, steps_file

__all__ = ["steps_file"]
HEAD = "JobID|User|Account|Partition|Elapsed|NNodes|ConsumedEnergyRaw|State"


@dataclass
class FleetOfRuns:
    """Makes runs below `root`."""

    root: object
    count: int = 0

    def add(self, joules=None, *, where=None, end="finish", job=None, method=None, **settings):
        """A run of ten seconds on one host `hill` that used `joules`; None: no readings."""
        self.count += 1
        name = settings.pop("name", f"run{self.count}")
        run = EnergyRun(self.root / (where or name), name=name, **settings)
        self.start(run, job, method)
        if joules is not None:
            run.sample("hill", "rapl:0", "package", joules)
        run.write(end)
        return run

    def start(self, run, job=None, method=None):
        """The first event, with the batch job, and the method or propagator."""
        known = run.identity()
        if method:
            if run.search:
                known["search"]["propagator"] = method
            else:
                known["config_resolved"]["method"] = {"name": method}
        run.identity = lambda: known
        said = {"host": run.hosts[0], "job": job or {}}
        run.add("event", 0, kind="start", text=json.dumps(said))

    def search(self, outcomes, **more):
        """A search on `hill`: each of `outcomes` is what became of a candidate, and its joules."""
        self.count += 1
        name = more.pop("name", f"run{self.count}")
        run = EnergyRun(self.root / name, name=name, search=True)
        self.start(run, more.get("job"), more.get("method", "evolution"))
        run.sample("hill", "rapl:0", "package", sum(joules for _, joules in outcomes))
        for number, (outcome, joules) in enumerate(outcomes):
            run.book("candidate", number=number, last=number, seconds=1.0, package_j=joules)
            run.candidate(number, outcome, 0.5 if outcome == "done" else None)
        run.write(more.get("end", "finish"))
        return run


@pytest.fixture
def fleet(tmp_path):
    (tmp_path / "runs").mkdir()
    return FleetOfRuns(tmp_path / "runs")


@pytest.fixture
def ask(tmp_path):
    """`hpctrain energy fleet` as it is called; its output, after its exit code was checked."""

    def run(*arguments, code=0):
        wide = {"COLUMNS": "400"}  # so that nothing is folded
        done = CliRunner(env=wide).invoke(main, ["energy", "fleet", *map(str, arguments)])
        assert done.exit_code == code, done.output
        assert "Traceback" not in done.output
        return done.output

    return run


@pytest.fixture
def sacct_file(tmp_path):
    """Writes an export of sacct with these rows."""

    def write(*rows, head=HEAD):
        path = tmp_path / "sacct.txt"
        path.write_text("\n".join([head, *rows]) + "\n")
        return path

    return write
