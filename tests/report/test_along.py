import numpy as np
import pytest

from hpctrain.report.energy_along import read_energy_along
from hpctrain.report.losses import Curve, mean_curve, repeated
from hpctrain.report.plot import plot_run, plot_training
from hpctrain.storage.read import open_run


def drawn(run):
    return [path.name for path in plot_training(open_run(run.run_dir), "svg")]


def booked(end_s, joules, **other):
    """A row of the ledger about a whole host, of two seconds."""
    return ("energy", {
        "time_s": end_s, "host": "hill", "scope": "host", "duration_s": 2.0, "joules": joules,
        "low_j": joules, "high_j": joules, "coverage": 1.0, "quality": "measured", **other,
    })  # fmt: skip


def energy_of(run, *rows, hosts=("hill",)):
    run.part(0, [(0, 1.0), (1, 4.0)], before=rows)
    return read_energy_along(open_run(run.run_dir).table("energy"), hosts)


def test_a_run_that_was_evaluated_more_than_once_is_drawn_along_its_costs(small_run):
    run = small_run()
    run.part(0, [(0, 1.0), (1, 2.0)])
    run.part(1, [(0, 3.0)])
    assert drawn(run) == ["show.svg", "show-along.svg"]
    text = (run.run_dir / "show-along.svg").read_text()
    assert plot_run(open_run(run.run_dir), "svg") == run.run_dir / "show.svg"
    assert (run.run_dir / "show-along.svg").read_text() == text


def test_a_run_that_was_evaluated_once_is_not_drawn_along_its_costs(small_run):
    run = small_run()
    run.part(0, [(0, 1.0)])
    run.part(1, [(0, 3.0)])
    assert drawn(run) == ["show.svg"]


def test_energy_has_a_panel_where_there_are_readings_and_none_where_there_are_not(small_run):
    run = small_run()
    run.part(0, [(0, 1.0), (1, 4.0)])
    drawn(run)
    assert "energy of all hosts" not in (run.run_dir / "show-along.svg").read_text()
    with run.store(0, resume=True) as store:
        for kind, row in (booked(2.0, 50.0), booked(4.0, 100.0, quality="estimate", low_j=50.0)):
            store.note(kind, {"worker": 0, **row})
    drawn(run)
    text = (run.run_dir / "show-along.svg").read_text()
    assert "<!-- against energy of all hosts -->" in text
    assert "joules, an estimate" in text


def test_the_mean_goes_over_domains_that_were_measured_more_than_once():
    first = Curve("first", np.array([0.0, 1.0, 2.0, 5.0]), np.array([4.0, 3.0, 2.0, 1.0]))
    second = Curve("second", np.array([1.0, 3.0]), np.array([6.0, 2.0]))
    once = Curve("once", np.array([3.0]), np.array([99.0]))
    mean = mean_curve([first, second, once])
    assert mean.name == "mean of 2 domains"
    assert mean.time_s.tolist() == [1.0, 2.0, 3.0]
    assert mean.loss.tolist() == pytest.approx([4.5, 3.0, (5 / 3 + 2.0) / 2])


def test_a_single_domain_is_its_own_mean():
    curve = Curve("it", np.array([0.0, 1.0]), np.array([4.0, 3.0]))
    assert mean_curve([curve]) is curve


def test_a_domain_that_was_measured_twice_at_one_time_cannot_be_followed():
    assert not repeated([Curve("it", np.array([1.0, 1.0]), np.array([4.0, 3.0]))])


def test_energy_grows_evenly_inside_a_row_and_not_between_rows(small_run):
    energy = energy_of(small_run(), booked(2.0, 10.0), booked(5.0, 20.0))
    used = energy.by(np.array([0.0, 1.0, 2.0, 2.5, 3.0, 4.0, 9.0]))
    assert used.tolist() == pytest.approx([0.0, 5.0, 10.0, 10.0, 10.0, 20.0, 30.0])
    assert energy.words == "measured"


def test_energy_of_phases_and_rounds_is_not_added_to_that_of_their_host(small_run):
    parts = [booked(2.0, 4.0, scope=scope) for scope in ("phase", "round", "unattributed")]
    assert energy_of(small_run(), booked(2.0, 10.0), *parts).by(np.array([2.0])) == [10.0]


def test_an_estimate_is_called_one_with_its_bounds(small_run):
    row = booked(2.0, 10.0, quality="estimate", low_j=7.5, high_j=13.0)
    assert energy_of(small_run(), row).words == "an estimate\n(0.75 to 1.3 times that)"


def test_readings_that_are_missing_are_told_and_are_no_zeros(small_run):
    missing = booked(4.0, float("nan"), coverage=0.0, quality="none", low_j=0.0, high_j=0.0)
    energy = energy_of(small_run(), booked(2.0, 10.0), missing, hosts=("hill", "dale"))
    assert energy.words == "measured for 50% of the time,\n1 of 2 hosts only"


def test_without_any_reading_there_is_no_energy(small_run):
    missing = booked(4.0, float("nan"), coverage=0.0, quality="none")
    assert energy_of(small_run(), missing) is None


def test_a_run_without_a_ledger_has_no_energy(small_run):
    assert energy_of(small_run()) is None


def test_what_a_simulation_imagines_is_called_so(small_run):
    where = {"scope": "phase", "host": "imagined-0", "quality": "estimate"}
    rows = [booked(4.0, 30.0, name="compute", **where), booked(4.0, 10.0, name="wait", **where)]
    energy = energy_of(small_run(), *rows)
    assert energy.words == "imagined (simulate.watts)"
    assert energy.by(np.array([0.0, 1.0, 4.0])).tolist() == [0.0, 10.0, 40.0]
