import pytest

from hpctrain.report.progress import RATE_OVER_S, ProgressDisplay, Rate


def test_the_rate_is_that_of_the_last_half_minute():
    rate = Rate(1000)
    for second in range(200):
        rate.see(float(second), second if second < 100 else 100 + 5 * (second - 100))
    assert rate.steps_per_s == pytest.approx(5.0)
    assert len(rate._seen) <= RATE_OVER_S + 2


def test_a_resumed_run_is_timed_from_where_it_goes_on():
    rate = Rate(1000)
    rate.see(10.0, 900)
    rate.see(12.0, 920)
    assert rate.text == "10.0 steps/s  8.0 s left"


def test_without_a_step_in_between_there_is_no_rate():
    rate = Rate(None)
    rate.see(1.0, 5)
    rate.see(1.0, 5)
    assert rate.text == ""


def test_plain_progress_is_a_line_without_codes(capsys):
    display = ProgressDisplay("auto", 2500, terminal=False)
    display.update(0, "")
    display.update(1200, "held-out [x] 2.300")
    display.close()
    line = capsys.readouterr().err
    assert line.startswith("1,200 of 2,500 steps  ")
    assert line.endswith("left  held-out [x] 2.300\n")
    assert "\x1b" not in line


def test_the_first_plain_line_comes_after_its_time(capsys):
    display = ProgressDisplay("plain", 10)
    assert display.due
    display.update(0, "")
    assert not display.due
    assert capsys.readouterr().err == ""


def test_live_progress_leaves_its_line_and_takes_no_other(capsys):
    display = ProgressDisplay("auto", 100, terminal=True)
    display.update(50, "held-out [x] 2.300")
    display.close()
    err = capsys.readouterr().err
    assert "50 of 100 steps" in err
    assert "held-out [x] 2.300" in err
    assert "\x1b[1A" not in err  # one line up


def test_no_progress_is_never_due(capsys):
    display = ProgressDisplay("none", 10, terminal=True)
    assert not display.due
    display.update(1, "")
    display.close()
    assert capsys.readouterr().err == ""
