"""What programs read: JSON, CSV, and the file for perun."""

import csv
import json
from collections import defaultdict
from io import BytesIO, StringIO

import h5py
import pytest

from hpctrain.compose.energy_perun import perun_bytes
from hpctrain.report.energies.long_form import COLUMNS, write_csv
from hpctrain.report.energies.plain import energy_document, energy_json


def rows_of(*runs):
    text = StringIO()
    write_csv(runs, text)
    return list(csv.DictReader(StringIO(text.getvalue())))


def sums(rows):
    found = defaultdict(float)
    for row in rows:
        found[row["scope"]] += float(row["energy_j"] or 0)
    return found


def test_json_has_everything_and_no_nan(booked_run):
    run = booked_run.read(tariff=0.36, pue=1.5)
    document = json.loads(energy_json([run]), parse_constant=pytest.fail)
    assert (document["schema"], document["version"]) == ("hpctrain-energy-report", 2)
    (told,) = document["runs"]
    assert told["joules"] == document["joules"] == 6000
    assert told["costs"]["cost"] == pytest.approx(6000 / 3.6e6 * 1.5 * 0.36)
    assert sum(one["joules"] for one in told["phases"]) == 5200
    assert told["training"]["joules_per_step"] == 30
    assert told["costs"]["location_gco2"] is None
    assert document["comparison"] is None


def test_json_of_several_runs_has_no_single_total(booked_run, energy_run):
    other = energy_run(name="none")
    document = energy_document([booked_run.read(), other.read()])
    assert "joules" not in document
    assert document["runs"][1]["joules"] is None
    assert document["comparison"][0]["values"] == [6000, None]


def test_rows_of_each_scope_add_up(booked_run):
    booked_run.sample("hill", "rapl:0", "package", 90, 30.0)
    found = sums(rows_of(booked_run.read(end="")))
    assert found["run"] == found["host"] == 6090
    assert found["phase"] + found["unattributed"] + found["not booked"] == pytest.approx(6090)
    assert found["region"] == 380


def test_columns_say_their_units_and_phases_are_by_component(booked_run):
    rows = rows_of(booked_run.read())
    assert tuple(rows[0]) == COLUMNS
    gpu = [row for row in rows if row["scope"] == "phase" and row["component"] == "gpu"]
    assert {(row["rank"], row["name"], float(row["energy_j"])) for row in gpu} == {
        ("0", "compute", 1000.0),
        ("1", "compute", 1000.0),
    }


def test_parts_of_a_node_have_a_scope_of_their_own(energy_run):
    run = energy_run()
    run.sample("hill", "pm:energy", "node", 900)
    run.sample("hill", "pm:cpu", "package", 300)
    found = sums(rows_of(run.read()))
    assert (found["host"], found["part"]) == (900, 300)


def test_missing_energy_is_an_empty_cell(energy_run):
    (row,) = [row for row in rows_of(energy_run().read()) if row["scope"] == "host"]
    assert (row["energy_j"], row["power_w"], row["quality"]) == ("", "", "none")


def opened(*runs):
    return h5py.File(BytesIO(perun_bytes(runs)), "r")


def test_the_tree_of_perun(booked_run):
    with opened(booked_run.read(tariff=0.36, carbon=100.0, pue=2.0)) as file:
        assert list(file) == ["booked"]
        app = file["booked"]
        assert app.attrs["type"] == 1
        assert app.attrs["last_execution_dt"] == "2026-01-02T03:00:00"
        assert app["metrics/ENERGY"].attrs["sum"] == 6000
        assert app["metrics/CO2"].attrs["sum"] == pytest.approx(6000 / 3.6e6 * 2 * 100)
        run = app["nodes/id-booked"]
        assert run.attrs["execution_dt"] == "2026-01-02T03:00:00"
        assert run.attrs["benchmarking.units.joule"] == "k"
        host = run["nodes/0/nodes/hill"]
        assert host.attrs["mpi_ranks"] == "[0, 1]"
        assert host["metrics/CPU_ENERGY"].attrs["value"] == 4000
        assert host["metrics/GPU_POWER"].attrs["value"] == 100
        raw = host["nodes/cpu/nodes/rapl:0/raw_data"]
        assert raw["timesteps"][:].tolist() == [10.0, 20.0]
        assert raw["values"][:].tolist() == [200.0, 200.0]
        assert raw["values"].attrs["unit"] == "W"
        region = run["nodes/0/regions/load_<decode>"]
        assert region["N_RUNS"].attrs["mean"] == 8
        assert region["metrics/POWER"].attrs["mean"] == 80


def test_perun_gets_no_number_for_what_is_not_known(energy_run):
    with opened(energy_run().read()) as file:
        assert "ENERGY" not in file["small/metrics"]
        assert "POWER" not in file["small/nodes/id-small/nodes/0/nodes/hill/metrics"]


def test_without_price_and_carbon_energy_is_no_statistic(booked_run):
    with opened(booked_run.read()) as file:
        assert file["booked/metrics/ENERGY"].attrs["value"] == 6000
        assert "MONEY" not in file["booked/metrics"]


def test_names_that_no_group_may_have_are_changed(energy_run):
    run = energy_run(name="a/b", hosts=("..", "x/y", "x_y"))
    with opened(run.read()) as file:
        assert list(file) == ["a_b"]
        names = set(file["a_b/nodes/id-a_b/nodes/0/nodes"])
        assert names == {"_..", "x_y", "x_y-2"}
