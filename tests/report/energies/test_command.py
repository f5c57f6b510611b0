"""`hpctrain energy report` as it is called."""

import json

import pytest
from click.testing import CliRunner

from hpctrain.cli import main


@pytest.fixture
def report():
    def run(*arguments):
        return CliRunner().invoke(main, ["energy", "report", *map(str, arguments)])

    return run


@pytest.fixture
def run_dir(booked_run):
    booked_run.write()
    return booked_run.run_dir


def test_text_is_what_there_is_without_options(report, run_dir):
    done = report(run_dir)
    assert done.exit_code == 0
    assert done.output.startswith("booked: 1.67 Wh, measured\n")


def test_terms_of_the_command_line_go_before_those_of_the_run(report, booked_run):
    booked_run.settings |= {"tariff": 0.1, "pue": 1.1, "carbon": 300.0}
    booked_run.write()
    done = report(
        booked_run.run_dir, "--json", "--tariff", "0.36", "--currency", "CHF", "--pue", "2",
        "--carbon", "none",
    )  # fmt: skip
    (run,) = json.loads(done.output)["runs"]
    assert run["costs"]["currency"] == "CHF"
    assert run["costs"]["cost"] == pytest.approx(6000 / 3.6e6 * 2 * 0.36)
    assert run["costs"]["location_gco2"] is None
    assert run["terms"]["given_to_report"] == ["carbon", "currency", "pue", "tariff"]
    text = report(booked_run.run_dir, "--tariff", "0.36").output
    assert "0.36 eur per kWh, given to this report" in text
    assert "300 gco2 per kWh, as the run's settings say" in text


def test_all_files_in_one_go(report, run_dir, tmp_path):
    paths = {name: tmp_path / f"out.{name}" for name in ("csv", "html", "hdf5")}
    done = report(run_dir, *(x for name, path in paths.items() for x in (f"--{name}", path)))
    assert done.exit_code == 0
    assert done.output.splitlines()[0] == "booked: 1.67 Wh, measured"
    assert all(f"written to {path}" in done.output for path in paths.values())
    assert paths["csv"].read_text().startswith("run,run_id,scope,host,")
    assert paths["html"].read_text().startswith("<!doctype html>")
    assert paths["hdf5"].read_bytes().startswith(b"\x89HDF")


def test_a_directory_that_is_no_run_is_named(report, tmp_path):
    done = report(tmp_path)
    assert done.exit_code == 2
    assert f"{tmp_path} is no run directory" in done.output
    assert "Traceback" not in done.output


def test_a_file_that_cannot_be_written_is_named(report, run_dir, tmp_path):
    path = tmp_path / "missing" / "out.csv"
    done = report(run_dir, "--csv", path)
    assert done.exit_code == 2
    assert f"cannot write {path}: No such file or directory" in done.output


def test_nothing_is_written_if_a_run_is_wrong(report, run_dir, tmp_path):
    done = report(run_dir, tmp_path / "none", "--csv", tmp_path / "out.csv")
    assert done.exit_code == 2
    assert not (tmp_path / "out.csv").exists()


def test_prices_that_do_not_cover_the_run_are_wrong_input(report, run_dir, steps_file):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.1, 0.2], begin_s=10)
    done = report(run_dir, "--tariff", prices)
    assert done.exit_code == 2
    assert f"{run_dir}: " in done.output
    assert "2026-01-02T03:00:00Z to 2026-01-02T03:00:20Z is asked for" in done.output


def test_a_file_of_prices_that_is_gone_is_wrong_input(report, run_dir, tmp_path):
    done = report(run_dir, "--tariff", tmp_path / "gone.csv")
    assert done.exit_code == 2
    assert "gone.csv" in done.output


def test_runs_of_one_name_are_told_apart_by_their_directories(report, energy_run):
    runs = [energy_run(), energy_run()]
    for run in runs:
        run.sample("hill", "rapl:0", "package", 100)
        run.write()
    done = report(*(run.run_dir for run in runs), "--json")
    labels = [run["label"] for run in json.loads(done.output)["runs"]]
    assert labels == [f"small in {run.run_dir}" for run in runs]


def test_no_run_at_all_is_wrong_usage(report):
    assert report().exit_code == 2
