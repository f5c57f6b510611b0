"""Energy from the sensors to the store, the summary and the report."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from hpctrain.compose.clock import RunClock
from hpctrain.compose.metering import energy_used, start_metering
from hpctrain.compose.rank_meter import RankMeter
from hpctrain.config import config_from_keywords
from hpctrain.errors import ConfigError, MeteringError
from hpctrain.metering.money import Terms
from hpctrain.report.energy_line import HostTotal, energy_line, energy_text
from hpctrain.runtime.alone import AloneWorld
from hpctrain.storage.read import open_run
from tests.metering.burning import WATTS, Burning
from tests.metering.trees import proc_stat, write
from tests.mpi.launching import ROOT, tiny_config


@dataclass
class Pages:
    """A notebook in memory."""

    rows: list[tuple[str, dict]] = field(default_factory=list)

    def note(self, kind, fields):
        self.rows.append((kind, dict(fields)))

    def of(self, kind, **wanted):
        rows = [row for name, row in self.rows if name == kind]
        return [row for row in rows if wanted.items() <= row.items()]


def meter_of(tmp_path: Path, pages: Pages, **energy) -> RankMeter:
    keys = {"sysfs_root": str(tmp_path), "meter": "rapl", "rate_hz": 10.0} | energy
    config = config_from_keywords(energy=keys, run_dir=str(tmp_path / "run"))
    return start_metering(config, AloneWorld(), f"test-{os.getpid()}", pages, RunClock())


def test_phases_and_what_is_nobodys_are_the_host_and_samples_add_up_to_it(tmp_path):
    pages = Pages()
    with Burning(tmp_path) as burning:
        before_j = burning.read_j()
        meter = meter_of(tmp_path, pages)
        begun_j = burning.read_j()
        for number in range(3):
            meter.round_begins(number)
            time.sleep(0.25)
            meter.poll()
        ending_j = burning.read_j()
        total = meter.close()
        after_j = burning.read_j()
    assert total is not None
    host_j = joules(pages.of("energy", scope="host"))
    phases_j = joules(pages.of("energy", scope="phase"))
    nobody_j = joules(pages.of("energy", scope="unattributed"))
    assert phases_j + nobody_j == pytest.approx(host_j, abs=1e-9)
    assert phases_j > 0
    assert [row["number"] for row in pages.of("energy", scope="round")] == [0, 1, 2]
    assert joules(pages.of("energy", scope="round")) <= phases_j
    assert total.joules == pytest.approx(host_j, abs=1e-9)
    assert joules(pages.of("energy_sample")) == pytest.approx(host_j, abs=1e-9)
    assert ending_j - begun_j <= host_j + 1e-9 <= after_j - before_j + 2e-9
    assert {row["quality"] for row in pages.of("energy")} == {"measured"}
    (about,) = pages.of("event")
    assert 0 < json.loads(about["text"])["clock_uncertainty_ns"] < 10**8
    assert "gpu_j" not in pages.rows[-1][1]
    assert meter.close() == total


def test_what_a_recorded_run_uses_is_in_no_message(tmp_path):
    with Burning(tmp_path):
        meter = meter_of(tmp_path, Pages())
        assert meter.count_in("kwh", Terms(), recorded=True) is None
        spent = meter.count_in("kwh", Terms())
        assert spent is not None
        spent()
        time.sleep(0.5)
        meter.poll()
        assert 0 < spent() < 10 * WATTS / 3.6e6
        meter.close()
        assert spent() == 0.0  # what ranks ask after the end


def joules(rows) -> float:
    return sum(row["joules"] for row in rows)


def test_without_sensors_there_are_no_rows_but_the_reason(tmp_path):
    pages = Pages()
    meter = meter_of(tmp_path, pages)
    meter.round_begins(0)
    meter.poll()
    text, joules = energy_used(meter, AloneWorld())
    assert joules is None
    assert text == "Energy: no readings (hpctrain doctor says why)"
    assert pages.of("energy") == pages.of("energy_sample") == []
    (event,) = pages.of("event")
    assert "no RAPL counters" in event["text"]


def test_energy_that_is_switched_off_is_not_spoken_of(tmp_path):
    pages = Pages()
    assert energy_used(meter_of(tmp_path, pages, meter="off"), AloneWorld()) == ("", None)
    assert pages.rows == []


def test_an_estimate_is_said_to_be_one_with_its_bounds(tmp_path):
    path = write(
        tmp_path / "p.toml", 'name = "box"\nidle_w = 100\nfull_w = 100\nlow = 0.5\nhigh = 1.5'
    )
    proc_stat(tmp_path / "proc", 0, 0, 1)
    pages = Pages()
    meter = meter_of(tmp_path, pages, meter="model", profile=str(path))
    time.sleep(0.2)
    text, _ = energy_used(meter, AloneWorld())
    assert ", estimate between " in text
    (run,) = pages.of("energy", scope="host")
    assert run["quality"] == "estimate"
    assert run["low_j"] == pytest.approx(run["joules"] / 2, abs=1e-6)
    assert run["high_j"] == pytest.approx(run["joules"] * 1.5, abs=1e-6)


def test_a_profile_that_cannot_be_used_ends_the_run_before_it_starts(tmp_path):
    with pytest.raises(MeteringError, match="energy profile"):
        meter_of(tmp_path, Pages(), profile=str(tmp_path / "none.toml"))


def test_rates_that_are_not_allowed_are_refused():
    with pytest.raises(ConfigError, match="rate_hz"):
        config_from_keywords(energy={"rate_hz": 20.0})


def total_of(host: str, joules: float, quality="measured", coverage=1.0) -> HostTotal:
    return HostTotal(host, joules, joules * 0.8, joules * 1.2, coverage, quality)


def test_the_line_says_how_far_the_sum_may_be_trusted():
    a, b = total_of("a", 3.6e6), total_of("b", 1.8e6)
    assert energy_line([a, b], 2) == "Energy: 1.5 kWh, measured"
    assert energy_line([a], 3) == "Energy: 1 kWh, measured; on 1 of 3 hosts only"
    half = total_of("c", 1800, "partial", 0.5)
    assert energy_line([half], 1) == "Energy: 1800 J, partial (50% of the time has readings)"
    guess = total_of("d", 7200, "estimate")
    assert energy_line([guess], 1) == "Energy: 2 Wh, estimate between 1.6 Wh and 2.4 Wh"
    assert energy_line([total_of("e", 0, "none", 0.0)], 1).startswith("Energy: no readings")


@pytest.mark.parametrize(
    ("joules", "text"),
    [(0, "0 J"), (12.34, "12.3 J"), (3599, "3599 J"), (3600, "1 Wh"), (3.599e6, "1000 Wh")],
)
def test_energy_is_told_in_handy_units(joules, text):
    assert energy_text(joules) == text


def train(config: Path, tree: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """`hpctrain train` on one rank, without MPI."""
    command = [sys.executable, "-m", "hpctrain", "train", str(config)]
    settings = (*settings, f"energy.sysfs_root={tree}", "energy.meter=rapl")
    command += [word for setting in settings for word in ("--set", setting)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)


def test_a_training_that_fails_has_told_what_it_used(tmp_path):
    with Burning(tmp_path / "sys"):
        done = train(tiny_config(tmp_path), tmp_path / "sys", "task.options.fail_at=20")
    assert "the tiny task fails on purpose" in done.stderr
    run = open_run(tmp_path / "run")
    scopes = Counter(run.table("energy")["scope"])
    assert scopes["round"] >= 1
    assert (scopes["host"], scopes["unattributed"]) == (1, 1)
    assert run.table("energy_sample")["joules"].sum() > 0
    assert list(Path("/dev/shm").glob(f"*{run.identity['run_id']}*")) == []


SCRIPT = """
import sys, torch, hpctrain as ht
run = ht.init(run_dir=sys.argv[1], sync_every=5, steps=20, energy={"sysfs_root": sys.argv[2],
              "meter": "rapl"})
model = torch.nn.Linear(4, 1)
model, optimizer = run.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
while not run.should_stop:
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()
"""


def test_a_script_tells_what_it_used(tmp_path):
    path = write(tmp_path / "script.py", SCRIPT)
    command = [sys.executable, str(path), str(tmp_path / "run"), str(tmp_path / "sys")]
    with Burning(tmp_path / "sys"):
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
        )
    assert "Energy: " in done.stdout
    rows = open_run(tmp_path / "run").table("energy")
    assert {"compute", "exchange", "other"} <= set(rows["name"])
    parts = np.isin(rows["scope"], ("phase", "unattributed"))
    host_j = np.nansum(rows["joules"][rows["scope"] == "host"])
    assert np.nansum(rows["joules"][parts]) == pytest.approx(host_j, abs=1e-6)


def test_a_training_tells_what_it_used(tmp_path):
    """One rank, one process: `hpctrain train`, then `hpctrain energy report`."""
    config = tiny_config(tmp_path, steps=40)
    tree = tmp_path / "sys"
    with Burning(tree):
        done = train(config, tree, "progress.show=plain")
    assert done.returncode == 0
    assert "Energy: " in done.stdout
    assert "measured" in done.stdout
    run = open_run(tmp_path / "run")
    rows = run.table("energy")
    host_j = np.nansum(rows["joules"][rows["scope"] == "host"])
    assert np.nansum(rows["joules"][rows["name"] == "compute"]) > 0
    assert host_j == pytest.approx(run.table("energy_sample")["joules"].sum(), abs=1e-6)
    report = subprocess.run(
        [sys.executable, "-m", "hpctrain", "energy", "report", str(tmp_path / "run"), "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=True,
    )  # fmt: skip
    told = json.loads(report.stdout)
    assert (told["schema"], told["version"]) == ("hpctrain-energy-report", 2)
    assert told["joules"] == pytest.approx(run.table("energy_sample")["joules"].sum())
    assert told["quality"] == "measured"
    assert told["hosts"][0]["components"][0]["component"] == "package"
