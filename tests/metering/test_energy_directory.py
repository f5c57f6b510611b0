"""The files of energy/: profiles and series that can be read, and tools that run."""

import os
import subprocess
import sys
import time
from configparser import ConfigParser
from importlib.util import find_spec
from pathlib import Path

import pytest

from hpctrain.adapters.perun_script import when_script_ends
from hpctrain.adapters.perun_source import perun_sources
from hpctrain.metering.model import read_profile
from hpctrain.metering.steps import read_steps
from tests.metering.burning import Burning

ROOT = Path(__file__).parents[2]
ENERGY = ROOT / "energy"
PROFILES = sorted((ENERGY / "profiles").glob("*.toml"))
SERIES = sorted((ENERGY / "series").glob("*.csv"))


class Rising(Burning):
    """Takes 100 W at first and 100 W more each second: what comes later takes more."""

    def _run(self):
        began_s = time.monotonic()
        while not self._stop.wait(0.002):
            seconds = time.monotonic() - began_s
            used_uj = round((100 * seconds + 50 * seconds**2) * 1e6)
            os.pwrite(self._descriptor, f"{used_uj:020d}\n".encode(), 0)


def tool(name: str, *options: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, ENERGY / name, *map(str, options)],
        capture_output=True, text=True, timeout=120, cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_profiles_are_wide_and_called_rough_and_say_where_they_come_from(path):
    profile = read_profile(path)
    assert "rough estimate" in profile.name
    assert profile.low <= 0.5
    assert profile.high >= 1.25
    assert path.read_text().startswith("# A rough estimate")


def test_there_is_a_profile_for_each_kind_of_machine():
    assert {path.stem for path in PROFILES} == {"laptop", "two-socket-server", "h100-node"}


@pytest.mark.parametrize("path", SERIES, ids=lambda path: path.stem)
def test_series_can_be_read_and_say_that_they_are_made_up(path):
    steps = read_steps(path)
    assert len(steps.values) == 31 * 24
    assert "synthetic" in path.name
    rows = path.read_text().splitlines()[1:]
    assert all(row.endswith("synthetic: energy/make_series.py") for row in rows)


def test_the_series_are_those_that_the_script_makes(tmp_path):
    tool("make_series.py", "--to", tmp_path)
    assert len(SERIES) == 2
    for path in SERIES:
        assert (tmp_path / path.name).read_text() == path.read_text()


def test_perun_settings_are_those_of_perun():
    settings = ConfigParser()
    settings.read(ENERGY / "perun.ini")
    known = {
        "monitor": {"sampling_period", "queue_timeout", "exclude_sensors"},
        "output": {"data_out", "format"},
        "post-processing": {"pue", "power_overhead"},
    }  # tests/upstream_perun looks whether perun knows them
    assert {name: set(settings[name]) for name in settings.sections()} == known


def test_a_host_is_calibrated_by_its_sensors(tmp_path):
    out = tmp_path / "box.toml"
    with Rising(tmp_path):
        done = tool(
            "calibrate.py", "--name", 'a "box"', "--output", out, "--seconds", 0.6, "--settle-s", 0,
            "--repeat", 2, "--cores", 1, "--meter", "rapl", "--sysfs-root", tmp_path,
        )  # fmt: skip
    profile = read_profile(out)
    assert profile.name == 'a "box"'
    assert 100 < profile.idle_w < profile.full_w  # each full load comes after its idle
    told = [line.split(": ")[1].split() for line in done.stdout.splitlines() if " of 2: " in line]
    idle, full = [float(words[0]) for words in told], [float(words[3]) for words in told]
    assert profile.idle_w == pytest.approx(sum(idle) / 2, abs=0.11)  # both are rounded to 0.1 W
    assert profile.full_w == pytest.approx(sum(full) / 2, abs=0.11)
    assert profile.low == pytest.approx(min(0.8, *(w * 2 / sum(idle) for w in idle)), abs=0.01)
    assert profile.high >= 1.25
    assert "What the sensors see is package" in out.read_text()


def test_a_host_without_sensors_is_not_calibrated(tmp_path):
    done = tool("calibrate.py", "--sysfs-root", tmp_path, "--meter", "rapl", code=2)
    assert "no sensor to calibrate by, and nothing is made up: rapl: no RAPL" in done.stderr


def test_a_command_under_perun_does_not_exit():
    done = tool("under_perun.py", "--version")
    assert "version" in done.stdout
    done = tool("under_perun.py", "train", "none.toml", code=1)
    assert "RuntimeError: hpctrain ended with exit code 2" in done.stderr


def test_the_crosscheck_says_loudly_that_perun_is_missing():
    if find_spec("perun") is not None:
        pytest.skip("perun is installed here: tests/upstream_perun runs the cross-check")
    done = tool("crosscheck.py", code=2)
    assert done.stderr.startswith("SKIPPED: perun is not installed here; `make perun`")


@pytest.mark.skipif(find_spec("perun") is not None, reason="perun is installed here")
def test_without_perun_its_sensors_are_missing_with_the_way_out():
    found = perun_sources()
    assert found.sources == ()
    assert found.notes == ("perun: perun is not installed: pip install 'hpctrain[perun]'",)
    assert when_script_ends(lambda: None) is False
