"""Runs with energy, written as runs write them, with numbers that can be checked by head."""

import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from hpctrain.metering.terms import read_terms
from hpctrain.report.energies.run import read_run_energy
from hpctrain.report.energies.terminal import print_energies
from hpctrain.report.state import LifeSign
from hpctrain.storage.read import open_run
from hpctrain.storage.store import RunStore

GONE = LifeSign(writing=False, here=True, silent_s=1.0)
START = "2026-01-02T03:00:00+00:00"
START_S = datetime.fromisoformat(START).timestamp()
COMPONENTS = ("package", "dram", "gpu", "module", "node")


@dataclass
class EnergyRun:
    """Rows are collected by rank and written at the end; times are in seconds of the run."""

    run_dir: Path
    name: str = "small"
    hosts: tuple[str, ...] = ("hill",)
    settings: dict = field(default_factory=dict)
    search: bool = False
    rows: dict = field(default_factory=dict)

    def add(self, kind, rank=0, /, **row):
        self.rows.setdefault(rank, []).append((kind, {"worker": rank, "time_s": 0.0, **row}))

    def sample(self, host, device, component, joules, end_s=10.0, seconds=10.0, **more):
        """One row of a device; `joules` None: no reading. `rank`: the host's first."""
        rank = more.pop("rank", self.hosts.index(host) if host in self.hosts else 0)
        row = {
            "time_s": end_s, "utc_s": START_S + end_s, "host": host, "device": device,
            "component": component, "duration_s": seconds, "quality": "measured",
            "coverage": 0.0 if joules is None else 1.0,
        }  # fmt: skip
        if joules is not None:
            row |= {"joules": float(joules), "low_j": float(joules), "high_j": float(joules)}
            row |= {"watts": joules / seconds}
        self.add("energy_sample", rank, **(row | more))

    def book(self, scope, host="hill", rank=0, seconds=10.0, end_s=10.0, **row):
        """One row of the ledger; `package_j` and others make up the energy."""
        parts = [row[f"{name}_j"] for name in COMPONENTS if f"{name}_j" in row]
        joules = row.pop("joules", sum(parts) if parts else None)
        fields = {
            "time_s": end_s, "utc_s": START_S + end_s, "host": host, "scope": scope, "name": "",
            "number": -1, "last": -1, "count": 1, "duration_s": seconds, "coverage": 1.0,
            "quality": "measured", "shared": False,
        }  # fmt: skip
        if joules is not None:
            fields |= {"joules": float(joules), "low_j": float(joules), "high_j": float(joules)}
        self.add("energy", rank, **(fields | row))

    def candidate(self, number, outcome, loss=None, took_s=1.0, rank=0, **more):
        row = {"number": number, "outcome": outcome, "took_s": took_s, "made_by": "even"}
        row |= {"time_s": float(number + 1), "island": 0}
        if loss is not None:
            row["loss"] = float(loss)
        self.add("candidate", rank, **(row | more))

    def round(self, number, steps, tokens, loss, rank=0):
        self.add(
            "round", rank, time_s=10.0 * (number + 1), island=rank, round=number, steps=steps,
            tokens=tokens, loss_mean=float(loss),
        )  # fmt: skip

    def identity(self):
        resolved = {"name": self.name, "energy": {"rate_hz": 1.0, **self.settings}}
        who = {
            "run_id": f"id-{self.name}", "start_time_utc": START, "seed": 7, "host": self.hosts[0],
            "config_resolved": resolved, "git_commit": "0123456789abcdef", "git_dirty": False,
            "islands": ["one"], "num_workers": len(self.hosts), "versions": {"hpctrain": "0.1.0"},
        }  # fmt: skip
        return who | ({"search": {"space": {}}} if self.search else {})

    def write(self, end="finish"):
        """All rows so far, in place of what was written before."""
        shutil.rmtree(self.run_dir, ignore_errors=True)
        for rank in sorted({*range(len(self.hosts)), *self.rows}):
            host = self.hosts[rank % len(self.hosts)]
            header = {"worker": rank, "host": host, "versions": {"hpctrain": "0.1.0"}}
            with RunStore.open_for_writing(
                self.run_dir, rank, header, identity=self.identity(), durable=False
            ) as store:
                for kind, row in self.rows.get(rank, ()):
                    store.note(kind, row)
                if end:
                    last_s = max((row["time_s"] for _, row in self.rows.get(rank, ())), default=0)
                    store.note("event", {"time_s": last_s, "kind": end, "text": "done"})
        return open_run(self.run_dir)

    def read(self, end="finish", **terms):
        """As the report sees it; `terms` as of `read_terms`, else those of the settings."""

        def terms_of(settings):
            names = ("tariff", "currency", "carbon", "carbon_market", "pue")
            said = {name: settings[name] for name in names if name in settings}
            return read_terms(**(said | terms))

        return read_run_energy(self.write(end), GONE, terms_of, tuple(terms))


@pytest.fixture
def energy_run(tmp_path):
    """Makes an `EnergyRun`, each in a directory of its own."""
    made = []

    def make(**settings):
        made.append(EnergyRun(tmp_path / "runs" / str(len(made)) / "run", **settings))
        return made[-1]

    return make


@pytest.fixture
def booked_run(energy_run):
    """Two ranks on one host, 300 W for 20 s, all of it booked."""
    run = energy_run(name="booked")
    for end_s in (10.0, 20.0):
        run.sample("hill", "rapl:0", "package", 2000, end_s)
        run.sample("hill", "gpu:0", "gpu", 1000, end_s)
        for rank in (0, 1):
            run.book("phase", rank=rank, end_s=end_s, name="compute", seconds=8.0,
                     package_j=700, gpu_j=500)  # fmt: skip
            run.book("phase", rank=rank, end_s=end_s, name="wait", seconds=2.0, package_j=100)
        run.book("unattributed", end_s=end_s, package_j=400)
        run.book("host", end_s=end_s, package_j=2000, gpu_j=1000)
    run.book("region", name="load", count=4, seconds=3.0, package_j=300)
    run.book("region", name="load/<decode>", count=8, seconds=1.0, package_j=80)
    for rank in (0, 1):
        for number in (0, 1):
            run.round(number, 50, 1000, 4.0 - number, rank)
    return run


@pytest.fixture
def told():
    """What is printed of runs, at 80 columns or more."""

    def tell(*runs, top=10, width=80):
        console = Console(file=StringIO(), width=width, highlight=False)
        print_energies(runs, top, console)
        return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"

    return tell


@pytest.fixture
def steps_file(tmp_path):
    """Writes a CSV of steps of `seconds` each from the start of the runs, or from `begin_s`."""

    def write(name, column, values, seconds=10, begin_s=0.0):
        path = tmp_path / name
        lines = [f"start_utc,end_utc,{column}"]
        for place, value in enumerate(values):
            ends = [
                datetime.fromtimestamp(START_S + begin_s + seconds * n).astimezone()
                for n in (place, place + 1)
            ]
            lines.append(",".join([*(_utc(end) for end in ends), json.dumps(value)]))
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def _utc(moment):
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
