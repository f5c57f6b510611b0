"""The whole text of a run, as an operator sees it."""

from dataclasses import replace
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def test_the_text_of_a_training(booked_run, told):
    booked_run.settings |= {"budget_cost": 0.01, "tariff": 0.36, "carbon": 400.0, "pue": 1.2}
    run = booked_run.read(carbon_market=50.0)
    text = told(replace(run, run_dir="RUN"))
    assert text == (GOLDEN / "training.txt").read_text()


def test_wide_tables_run_over_and_cut_nothing(booked_run, told):
    name = "a-host-with-a-very-long-name-" + "x" * 60
    booked_run.sample(name, "model:x", "node", 1e7, quality="estimate", low_j=9e6, high_j=2e7)
    narrow = told(booked_run.read(), width=40)
    assert "…" not in narrow
    assert name[-20:] in narrow.replace("\n", "")
    assert "~2777.778 (" not in narrow
    assert "estimate" in narrow


def test_names_cannot_move_the_cursor(energy_run, told):
    run = energy_run(name="a\x1b[31m\rb", hosts=("h[bold]\x07",))
    run.sample("h[bold]\x07", "rapl:0", "package", 10)
    text = told(run.read())
    assert "a?[31m?b: 10 J" in text
    assert "h[bold]?" in text
    assert not {"\x1b", "\x07", "\r"} & set(text)


def test_a_region_that_has_not_ended_has_no_energy_per_call(booked_run, told):
    booked_run.book("region", name="open", count=0, package_j=30)
    line = next(line for line in told(booked_run.read()).splitlines() if line.startswith("open"))
    assert line.split() == ["open", "1", "0", "30", "10", "measured"]
