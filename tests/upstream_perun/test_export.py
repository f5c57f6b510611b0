"""`perun export` reads what `hpctrain energy report --hdf5` writes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

pytest.importorskip("perun", reason="`make test` runs this in .venv/perun")

from hpctrain.compose.energy_perun import perun_bytes
from tests.report.energies.conftest import EnergyRun

KWH = 3.6e6


@pytest.fixture
def export(tmp_path):
    """What `perun export` makes of runs, in one of its formats."""

    def run(fmt, suffix, *runs):
        path = tmp_path / "runs.hdf5"
        path.write_bytes(perun_bytes(runs))
        code = "import sys; from perun.api.cli import cli; sys.exit(cli())"
        done = subprocess.run(
            [sys.executable, "-c", code, "export", str(path), fmt],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        (found,) = tmp_path.glob(f"small_*.{suffix}")
        return found.read_text()

    return run


@pytest.fixture
def run(tmp_path):
    made = EnergyRun(tmp_path / "run")
    for end_s in (10.0, 20.0):
        made.sample("hill", "rapl:0", "package", 2000, end_s)
        made.sample("hill", "gpu:0", "gpu", 1000, end_s)
    made.book("region", name="load/all", count=4, seconds=2.0, package_j=300)
    return made


def test_text_has_energy_power_and_the_bill(export, run):
    text = export("text", "txt", run.read(tariff=100.0, carbon=400.0, pue=2.0))
    assert "6.000 kJ | 300.000 W" in text
    assert "200.000 W | 100.000 W" in text
    assert "load_all" in text
    assert f"you paid {6000 / KWH * 2 * 100:.2f} EUR" in text


def test_text_of_a_run_without_readings_has_no_numbers(export, tmp_path):
    text = export("text", "txt", EnergyRun(tmp_path / "none").read())
    assert "ENERGY" not in text
    assert "POWER" not in text


def test_csv_has_a_row_per_reading(export, run):
    rows = list(csv.DictReader(export("csv", "csv", run.read()).splitlines()))
    assert len(rows) == 4
    assert {float(row["value"]) for row in rows if row["sensor"] == "rapl:0"} == {200.0}


def test_bench_has_kilojoules(export, run):
    told = json.loads(export("bench", "json", run.read()))
    values = {one["name"]: (one["value"], one["unit"]) for one in told}
    assert values["small_id-small - ENERGY"] == (6.0, "kJ")
    assert values["small_id-small - POWER"] == (300.0, "W")
