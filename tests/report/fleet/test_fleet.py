"""`hpctrain energy fleet`: what is found, told and summed."""

import csv
import getpass
import json
import re

import pytest

KWH = 3.6e6


def rows_of(path, scope):
    with path.open() as file:
        return [row for row in csv.DictReader(file) if row["scope"] == scope]


@pytest.fixture
def table(ask, tmp_path):
    """The rows of one scope in the CSV file, after a call with these options."""

    def make(scope, *options):
        path = tmp_path / "fleet.csv"
        ask(tmp_path / "runs", "--csv", path, *options)
        return rows_of(path, scope)

    return make


def test_every_run_below_is_found_once_and_the_largest_comes_first(fleet, ask, tmp_path):
    fleet.add(1 * KWH, where="a/deep/small")
    fleet.add(3 * KWH, where="b/large")
    inside = fleet.add(2 * KWH, where="b/large/inside")
    text = ask(tmp_path / "runs", tmp_path / "runs" / "b")
    assert text.startswith("2 runs: 4 kWh, measured\n")
    assert inside.name not in text
    assert text.index("run2") < text.index("run1")


def test_a_run_itself_may_be_named(fleet, ask):
    run = fleet.add(1 * KWH)
    assert ask(run.run_dir).startswith("1 run: 1 kWh, measured\n")


def test_runs_that_cannot_be_read_are_listed_and_the_others_told(fleet, ask, tmp_path):
    fleet.add(1 * KWH)
    for name, text in (("torn", "{"), ("odd", '{"format": 1, "search": {"space": []}}')):
        (tmp_path / "runs" / name).mkdir()
        (tmp_path / "runs" / name / "run.json").write_text(text)
    text = ask(tmp_path / "runs")
    assert text.startswith("1 run: 1 kWh")
    listed = text.partition("Not in this report")[2]
    assert "torn" in listed
    assert "odd" in listed


def test_simulations_used_nothing(fleet, ask, tmp_path):
    fleet.add(1 * KWH)
    run = fleet.add(name="dream")
    run.book("phase", host="imagined-0", package_j=9 * KWH, quality="estimate")
    run.write()
    text = ask(tmp_path / "runs")
    assert text.startswith("1 run: 1 kWh")
    assert "it was simulated: nothing was used" in re.sub(r"\s+", " ", text)


def test_runs_without_readings_are_counted_and_not_zero(fleet, ask, table, tmp_path):
    fleet.add(1 * KWH)
    fleet.add()
    text = ask(tmp_path / "runs")
    assert text.startswith("2 runs: 1 kWh, partial, 1 of them with no readings\n")
    assert "no readings" in text.partition("Runs")[2].partition("By user")[0]
    assert "1 of 2 runs have no readings" in text
    silent = table("run")[1]
    assert (silent["it_kwh"], silent["quality"], silent["waste_kwh"]) == ("", "none", "")
    assert table("all")[0]["runs_without_readings"] == "1"


def test_the_quality_of_a_sum_is_the_worst(fleet, table):
    fleet.add(1 * KWH)
    guess = fleet.add()
    guess.sample("hill", "model:x", "node", KWH, quality="estimate", low_j=KWH / 2, high_j=2 * KWH)
    guess.write()
    (whole,) = table("all")
    assert whole["quality"] == "estimate"
    assert [float(whole[name]) for name in ("low_kwh", "it_kwh", "high_kwh")] == [1.5, 2.0, 3.0]


def test_sums_by_project_partition_method_and_owner_add_up(fleet, table):
    one = {"id": "1", "account": "climate", "partition": "cpu"}
    two = {"id": "2", "account": "astro", "partition": "cpu"}
    fleet.add(3 * KWH, job=one, method="async")
    fleet.add(1 * KWH, job=two, method="async")
    fleet.search([("done", 1 * KWH)])

    def told(by):
        return {row["name"]: float(row["it_kwh"]) for row in table(by)}

    assert told("project") == {"climate": 3.0, "astro": 1.0, "not known": 1.0}
    assert told("partition") == {"cpu": 4.0, "not known": 1.0}
    assert told("method") == {"training: async": 4.0, "search: evolution": 1.0}
    assert told("user") == {getpass.getuser(): 5.0}
    assert [float(row["share"]) for row in table("project")] == [0.6, 0.2, 0.2]


def test_text_has_the_sums_that_are_asked_for(fleet, ask, tmp_path):
    fleet.add(1 * KWH)
    runs = tmp_path / "runs"
    assert re.findall(r"^By \w+$", ask(runs), re.MULTILINE) == ["By user"]
    text = ask(runs, "--by", "method", "--by", "project")
    assert re.findall(r"^By \w+$", text, re.MULTILINE) == ["By method", "By project"]


def test_waste_is_failed_candidates_and_runs_that_were_lost(fleet, table, ask, tmp_path):
    fleet.search([("done", 5 * KWH), ("failed", 1 * KWH), ("stopped", 2 * KWH)], name="sweep")
    fleet.search([("done", 1 * KWH), ("failed", 1 * KWH)], name="lost", end="abort")
    fleet.add(3 * KWH, name="broken", end="abort")
    fleet.add(4 * KWH, name="fine")
    waste = {row["name"]: float(row["waste_kwh"]) for row in table("run")}
    assert waste == pytest.approx({"sweep": 3.0, "lost": 2.0, "broken": 3.0, "fine": 0.0})
    (whole,) = table("all")
    assert float(whole["waste_share"]) == pytest.approx(8 / 17)
    assert "killed or aborted and not resumed since" in re.sub(r"\s+", " ", ask(tmp_path / "runs"))


def test_a_run_that_was_resumed_is_not_lost(fleet, table):
    run = fleet.add(3 * KWH)
    run.add("event", 0, time_s=5.0, kind="abort", text="no")
    run.add("event", 0, time_s=6.0, kind="resume", text="{}")
    run.write()
    assert float(table("run")[0]["waste_kwh"]) == 0


def test_terms_go_before_those_of_the_runs(fleet, table):
    fleet.add(1 * KWH, settings={"tariff": 0.2, "currency": "CHF", "pue": 1.5})
    fleet.add(2 * KWH)
    own = table("run")
    assert [row["currency"] for row in own] == ["", "CHF"]
    assert own[0]["cost"] == ""
    assert float(own[1]["cost"]) == pytest.approx(0.2 * 1.5)
    assert table("all")[0]["runs_billed"] == "1"
    given = table("all", "--tariff", 0.1, "--currency", "EUR", "--pue", 2, "--carbon", 100)[0]
    assert given["currency"] == "EUR"
    assert float(given["cost"]) == pytest.approx(3 * 2 * 0.1)
    assert float(given["location_gco2"]) == pytest.approx(600)


def test_costs_in_two_currencies_have_no_sum(fleet, ask, table, tmp_path):
    fleet.add(1 * KWH, settings={"tariff": 0.2, "currency": "CHF"})
    fleet.add(1 * KWH, settings={"tariff": 0.4, "currency": "EUR"})
    (whole,) = table("all")
    assert (whole["cost"], whole["currency"]) == ("", "several")
    assert "0.200 CHF + 0.400 EUR" in ask(tmp_path / "runs")


def test_terms_that_do_not_suit_a_run_leave_it_without_a_bill(fleet, ask, table, steps_file):
    fleet.add(1 * KWH, settings={"tariff": "gone.csv", "pue": 1.5})
    (row,) = table("run")
    assert (float(row["it_kwh"]), row["cost"], row["facility_kwh"]) == (1.0, "", "")
    assert "gone.csv" in row["note"]
    late = steps_file("late.csv", "eur_per_kwh", [0.1], begin_s=3600)
    text = ask(fleet.root, "--tariff", late)
    assert "is asked for" in re.sub(r"\s+", " ", text.partition("Not billed")[2])


def test_gpus_that_nobody_used_are_told(fleet, table, ask):
    job = {"id": "1", "partition": "mixed"}
    idle = fleet.add(6 * KWH, job=job, name="idle")
    busy = fleet.add(3 * KWH, name="busy")
    for run, gpu_j, free_j in ((idle, None, 2 * KWH), (busy, 2 * KWH, 0)):
        run.sample("hill", "gpu:0", "gpu", KWH)
        run.sample("hill", "gpu:1", "gpu", KWH)
        run.book("phase", name="compute", package_j=KWH, **({"gpu_j": gpu_j} if gpu_j else {}))
        run.book("unattributed", gpu_j=free_j)
        run.write()
    found = {row["name"]: row["idle_gpu_kwh"] for row in table("run")}
    assert found == {"idle": "2.0", "busy": ""}
    section = ask(fleet.root).partition("Idle GPUs")[2]
    assert "25.0 %" in section
    assert re.search(r"idle +1 +2 ", section)


def test_gpus_of_a_shared_host_are_shown_and_not_added(fleet, table, ask):
    run = fleet.add(6 * KWH)
    run.sample("hill", "gpu:0", "gpu", 2 * KWH)
    run.book("phase", name="compute", package_j=KWH, shared=True)
    run.book("unattributed", gpu_j=2 * KWH, shared=True)
    run.write()
    assert table("all")[0]["idle_gpu_kwh"] == ""
    assert "shared" in ask(fleet.root).partition("Idle GPUs")[2]


def test_a_what_if_is_summed_over_the_runs_that_the_prices_cover(fleet, ask, table, steps_file):
    prices = steps_file("prices.csv", "eur_per_kwh", [0.4, 0.1, 0.1], seconds=5)
    fleet.add(2 * KWH, name="own", settings={"pause_above": 0.3})
    fleet.add(1 * KWH, name="none")
    late = fleet.add(1 * KWH, name="late", settings={"pause_above": 0.3})
    late.sample("hill", "rapl:0", "package", KWH, 7200.0)
    late.write()
    text = re.sub(r"\s+", " ", ask(fleet.root, "--prices", prices))
    assert "an upper bound" in text
    listed = text.partition("Not counted")[2]
    assert "it has no energy.pause_above" in listed
    assert "is asked for" in listed or "take a longer series" in listed
    saved = {row["name"]: row["what_if_saving"] for row in table("run", "--prices", prices)}
    assert (saved["none"], saved["late"]) == ("", "")
    assert float(saved["own"]) == pytest.approx(2 * (0.25 - 0.1))
    asked = table("run", "--prices", prices, "--threshold", 0.3)
    assert sum(float(row["what_if_saving"] or 0) for row in asked) == pytest.approx(0.45)


def test_the_page_has_all_sums_and_escapes_names(fleet, ask, tmp_path):
    fleet.add(1 * KWH, name="<b>bold</b>", where="bold", job={"id": "7", "account": "<i>"})
    page = tmp_path / "fleet.html"
    assert f"written to {page}" in ask(fleet.root, "--html", page)
    text = page.read_text()
    for by in ("user", "project", "partition", "method"):
        assert f"<h3>By {by}</h3>" in text
    assert "&lt;b&gt;bold" in text
    assert "<b>bold" not in text
    assert "<i>" not in text
    assert not re.search(r"https?://|<script|src=", text)
    ask(fleet.root, "--html", page, "--by", "user")
    assert "<h3>By project</h3>" not in page.read_text()


def test_what_is_wrong_ends_with_two(fleet, ask, tmp_path):
    (tmp_path / "empty").mkdir()
    text = ask(tmp_path / "empty", code=2)
    assert f"{tmp_path / 'empty'}: neither it nor a directory below it holds a run.json" in text
    assert "is no directory" in ask(tmp_path / "gone", code=2)
    fleet.add(1 * KWH)
    assert "needs --prices" in ask(fleet.root, "--threshold", 1, code=2)
    assert "gone.csv" in ask(fleet.root, "--tariff", "gone.csv", code=2)
    assert "cannot write" in ask(fleet.root, "--csv", tmp_path / "gone" / "a.csv", code=2)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "run.json").write_text(json.dumps({"format": 99}))
    assert "none of 1 directories can be read" in ask(broken, code=2)
