"""Hosts, phases, ranks, regions: where the energy of a run went, and what is left over."""

import json

import pytest

from hpctrain.report.energies.amount import Amount, together
from hpctrain.report.energies.ledger import ROUNDING


def test_phases_and_unattributed_are_the_host(booked_run):
    run = booked_run.read()
    assert run.total.joules == 6000
    booked = sum(one.amount.known_j for one in run.ledger.phases)
    free = sum(amount.known_j for amount in run.ledger.unattributed.values())
    assert (booked, free) == (5200, 800)
    assert run.ledger.not_booked_j == {}
    assert (run.total.quality, run.total.watts, run.total.coverage) == ("measured", 300, 1)


def test_components_of_phases_add_up_to_them(booked_run):
    run = booked_run.read()
    for one in run.ledger.phases:
        assert sum(one.amount.components.values()) == one.amount.joules


def test_what_a_killed_run_did_not_book_is_shown(booked_run, told):
    booked_run.sample("hill", "rapl:0", "package", 900, 30.0)
    run = booked_run.read(end="")
    assert run.ledger.not_booked_j == {"hill": 900}
    assert run.state.standing == "killed"
    text = told(run)
    line = next(line for line in text.splitlines() if line.startswith("not booked"))
    assert line.split() == ["not", "booked", "900", "13.0", "%", "measured"]
    assert "the last seconds of each part that was killed" in " ".join(text.split())
    assert "Not booked: on 1 host" in text


def test_a_ledger_that_goes_further_than_the_samples_leaves_less_than_nothing(booked_run):
    booked_run.book("phase", name="other", end_s=30.0, package_j=50)
    assert booked_run.read().ledger.not_booked_j == {"hill": -50}


def test_rounding_is_not_called_not_booked(booked_run):
    booked_run.book("phase", name="other", end_s=30.0, package_j=6000 * ROUNDING / 2)
    assert booked_run.read().ledger.not_booked_j == {}


def test_a_run_without_a_ledger_tells_its_hosts(energy_run, told):
    run = energy_run()
    run.sample("hill", "rapl:0", "package", 500)
    text = told(run.read())
    assert "500 J, measured" in text
    assert "This run kept no ledger of phases." in text
    assert "not booked" not in text


def test_one_of_two_hosts_without_readings_makes_the_total_partial(energy_run, told):
    run = energy_run(hosts=("hill", "dale"))
    run.sample("hill", "rapl:0", "package", 500)
    seen = run.read()
    assert (seen.total.joules, seen.total.quality, seen.total.coverage) == (500, "partial", 0.5)
    text = told(seen)
    assert "500 J, partial, on 1 of 2 hosts only, readings for 50.0 % of the hosts' time" in text
    assert "dale  no readings" in text


def test_a_host_that_stops_telling_before_the_others_is_partial(energy_run):
    run = energy_run(hosts=("hill", "dale"))
    for end_s in (10.0, 20.0, 30.0, 40.0):
        run.sample("hill", "rapl:0", "package", 500, end_s)
    run.sample("dale", "rapl:0", "package", 500)
    dale, hill = run.read().hosts
    assert (dale.amount.quality, dale.amount.coverage) == ("partial", 0.25)
    assert (hill.amount.quality, hill.amount.coverage) == ("measured", 1)


def test_the_worst_host_decides_on_the_quality(energy_run):
    run = energy_run(hosts=tuple("abcdefgh"))
    for host in run.hosts:
        run.sample(host, "rapl:0", "package", 500, coverage=0.95 if host == "c" else 1.0)
    total = run.read().total
    assert total.quality == "partial"
    assert total.coverage == pytest.approx(1 - 0.05 / 8)


def test_a_gap_between_two_parts_of_a_run_is_no_missing_time(energy_run):
    run = energy_run()
    for end_s in (10.0, 20.0, 3610.0, 3620.0):
        run.sample("hill", "rapl:0", "package", 500, end_s)
    total = run.read().total
    assert (total.joules, total.watts, total.coverage, total.quality) == (2000, 50, 1, "measured")


def test_no_joules_are_something_else_than_no_readings(energy_run, told):
    run = energy_run()
    run.sample("hill", "gpu:0", "gpu", 0)
    seen = run.read(tariff=0.3)
    assert (seen.total.joules, seen.total.quality, seen.total.watts) == (0, "measured", 0)
    assert seen.costs.bill.cost == 0
    text = told(seen)
    assert "small: 0 J, measured" in text
    assert "no readings" not in text


def test_regions_are_inclusive_and_told_per_call(booked_run, told):
    text = told(booked_run.read(), width=100)
    assert "load/<decode>      1      8          80            10" in text
    assert "lie within phases: do not add them up" in " ".join(text.split())


def test_an_estimate_has_its_bounds_in_every_table(energy_run, told):
    run = energy_run(settings={"tariff": 0.36, "budget_kwh": 0.01})
    run.sample("hill", "model:box", "node", 3600, quality="estimate", low_j=1800.0, high_j=7200.0)
    run.book("phase", name="compute", node_j=3600, quality="estimate", low_j=1800, high_j=7200)
    text = told(run.read())
    assert "IT energy               ~1.00 Wh (estimate, 0.500 to 2.00 Wh)" in text
    assert "~0.000360 EUR (estimate, 0.000180 to 0.000720 EUR)" in text
    assert "(estimate, 0.000500 to 0.00200)" in text  # of the budget
    lines = [line for line in text.splitlines() if line.endswith("~360  estimate")]
    assert len(lines) == 4  # component, host, phase, rank
    assert all("~" in line and " to " in line for line in lines)


def test_joules_per_inner_step_and_per_token(booked_run, told):
    run = booked_run.read()
    assert (run.work.steps, run.work.tokens, run.work.compute_j) == (200, 4000, 4800)
    text = told(run)
    assert "per inner step     30 J (whole run)" in text
    assert "24 J (phase of inner steps alone)" in text
    assert "per token          1.5 J (whole run)" in text


def test_many_ranks_are_summed_below_those_with_the_most(energy_run, told):
    run = energy_run()
    for rank in range(40):
        run.sample("hill", f"gpu:{rank}", "gpu", 100 + rank)
        run.book("phase", rank=rank, name="compute", gpu_j=100 + rank)
    text = told(run.read(), width=120)
    assert "24 others" in text
    assert "The ranks with the most energy are shown, and the sum of the others." in text


def test_a_sum_with_an_unknown_part_is_partial():
    known = Amount(10.0, 10.0, 10.0, 5.0, 2.0, 1.0, "measured")
    assert together([known, Amount(seconds=5.0)]).quality == "partial"
    assert together([known, Amount(seconds=5.0)]).coverage == 0.5
    assert together([Amount(), Amount()]).joules is None


def test_shared_hosts_are_told(booked_run, told):
    booked_run.book("phase", name="other", package_j=0, shared=True)
    assert "measured, hosts perhaps shared with other jobs" in told(booked_run.read())


def test_a_budget_says_what_is_left(booked_run, told):
    booked_run.settings["budget_kwh"] = 0.01
    text = told(booked_run.read())
    assert "limit       0.01 kWh (IT energy)" in text
    assert "used        0.001667 kWh, 16.7 %" in text
    assert "share left  83.3 %" in text


def test_a_sensor_that_fell_silent_makes_its_host_partial(energy_run, told):
    run = energy_run(settings={"budget_kwh": 0.001})
    run.sample("hill", "rapl:0", "package", 1000)
    run.book("phase", name="compute", package_j=1000)
    run.book("host", package_j=1000)
    run.book("host", end_s=40.0, seconds=30.0, coverage=0.0, quality="none")
    seen = run.read()
    assert (seen.total.joules, seen.total.coverage, seen.total.quality) == (1000, 0.25, "partial")
    assert seen.total.watts == 100
    assert [part.amount.quality for part in seen.hosts[0].components] == ["partial"]
    assert "25.0 % covered" in told(seen)
    assert "at least 0.0002778 kWh" in told(seen)
    assert "at most 72.2 %" in told(seen)


def test_a_budget_is_that_of_the_last_resume(booked_run, told):
    """The run began with a smaller one, which was spent."""
    booked_run.settings["budget_kwh"] = 0.001
    for budgets in ({"budget_kwh": 0.001}, {"budget_kwh": 0.01}):
        booked_run.add("event", kind="meter", text=json.dumps({"budgets": budgets}))
    booked_run.add("event", 1, kind="meter", text=json.dumps({"budgets": {"budget_kwh": 0.001}}))
    assert "limit       0.01 kWh (IT energy)" in told(booked_run.read())


def test_a_run_that_was_not_to_be_metered_says_so(energy_run, told):
    assert 'energy.meter = "off"' in told(energy_run(settings={"meter": "off"}).read())


def test_a_run_that_ended_before_its_first_row_does_not_blame_the_sensors(energy_run, told):
    run = energy_run()
    run.add("event", kind="meter", text=json.dumps({"rate_hz": 1.0}))
    assert "it had sensors" in told(run.read("abort"))


def test_what_a_simulation_imagines_is_an_estimate_of_its_workers(energy_run, told):
    run = energy_run(settings={"tariff": 0.36})
    for worker in (0, 1):
        for name, joules in (("compute", 3000.0), ("wait", 600.0)):
            run.book("phase", host=f"imagined-{worker}", rank=worker, name=name, seconds=5.0,
                     node_j=joules, quality="estimate")  # fmt: skip
    seen = run.read()
    assert [host.host for host in seen.hosts] == ["imagined-0", "imagined-1"]
    assert (seen.total.joules, seen.total.quality, seen.total.watts) == (7200, "estimate", 720)
    assert seen.costs.bill.cost == pytest.approx(0.002 * 0.36)
    assert seen.ledger.not_booked_j == {}
    text = told(seen)
    assert "imagined: watts that the settings give" in text
    assert "EE HPC WG" not in text


def test_what_the_hosts_said_of_their_meters_is_provenance(booked_run, told):
    about = {"host": "hill", "rate_hz": 2.0, "clock_uncertainty_ns": 40_000, "idle": "cores"}
    booked_run.add("event", kind="meter", text=json.dumps(about))
    booked_run.add("event", kind="meter", text="not JSON")
    text = told(booked_run.read())
    assert "sampling rate           2 Hz" in text
    assert "readings are placed in the hosts' UTC within 0.04 ms" in " ".join(text.split())
    assert "idle power              shared out by cores" in text
