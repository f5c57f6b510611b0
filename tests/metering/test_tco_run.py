import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.cli import main
from hpctrain.errors import MeteringError
from hpctrain.metering.steps import Steps
from hpctrain.metering.tco import Machine
from hpctrain.metering.tco_run import J_PER_KWH, as_it_was, paused_above, recorded
from hpctrain.storage.provenance import identity
from hpctrain.storage.store import RunStore

HOUR_NS = 3600 * 10**9
BEGIN = datetime(2025, 1, 1, 1, tzinfo=UTC)


def hourly(*values: float) -> Steps:
    starts = tuple(place * HOUR_NS for place in range(len(values)))
    return Steps("eur", starts, len(values) * HOUR_NS, tuple(values), "test.csv")


def simulated(watts, begin_s, prices, threshold, machine):
    """Second by second: energy cost and seconds, for a power in each second of the run."""
    mean_w = sum(watts) / len(watts)
    progress = since = 0
    cost = 0.0
    clock = begin_s
    paused = started = False
    restart = 0
    while progress < len(watts):
        price = prices[clock // 3600]
        if price > threshold:
            if not paused:
                progress -= min(progress - since, round(machine.lost_s))
                since, paused = progress, True
            watt = machine.residual * mean_w
        else:
            if paused and started:
                restart = round(machine.restart_s)
                cost += machine.restart_full_s * mean_w / J_PER_KWH * price
            paused, started = False, True
            if restart:
                restart, watt = restart - 1, mean_w
            else:
                watt, progress = watts[progress], progress + 1
        cost += watt / J_PER_KWH * price
        clock += 1
    return cost, clock - begin_s


@given(
    st.lists(st.integers(50, 500), min_size=1, max_size=6),
    st.integers(0, 3599),
    st.lists(st.sampled_from([0.1, 0.2, 0.7]), min_size=12, max_size=12),
    st.builds(
        Machine,
        psi=st.just(0.0),
        residual=st.sampled_from([0.0, 0.3]),
        restart_s=st.sampled_from([0.0, 600.0]),
        restart_full_s=st.sampled_from([0.0, 60.0]),
        lost_s=st.sampled_from([0.0, 900.0]),
    ),
)
def test_a_paused_run_costs_what_a_simulation_by_the_second_says(levels, begin_s, values, machine):
    watts = [level for level in levels for _ in range(1800)]
    ends = [(begin_s + 1800 * (n + 1), 1800, 1800 * level) for n, level in enumerate(levels)]
    prices = [*values, *[0.1] * 12]
    found = paused_above(recorded(ends), hourly(*prices), 0.3, machine, 0.2)
    cost, seconds = simulated(watts, begin_s, prices, 0.3, machine)
    assert found.energy_cost == pytest.approx(cost, rel=1e-9)
    assert found.duration_s == pytest.approx(seconds, abs=1e-6)


def test_the_energy_of_all_hosts_is_paid_at_the_prices_of_its_time():
    run = recorded([(3600, 3600, 3.6e6), (7200, 3600, 7.2e6), (7200, 7200, 3.6e6)])
    cost = as_it_was(run, hourly(0.1, 0.4), psi=2.0, mean_price=0.25)
    assert cost.energy_kwh == pytest.approx(4.0)
    assert cost.energy_cost == pytest.approx(1.5 * 0.1 + 2.5 * 0.4)
    assert cost.fixed_cost == pytest.approx(2.0 * 4.0 * 0.25)
    assert cost.pauses == 0


def test_the_series_must_cover_the_longer_run():
    run = recorded([(7200, 7200, 3.6e6)])
    with pytest.raises(MeteringError, match=r"run with its pauses is 50% done; take a longer"):
        paused_above(run, hourly(0.1, 0.9), 0.5, Machine(0), 0.5)
    with pytest.raises(MeteringError, match=r"but the run begins at 1970-01-01T03"):
        as_it_was(recorded([(4 * 3600, 3600, 1)]), hourly(0.1), 0, 0.1)
    with pytest.raises(MeteringError, match=r"is asked for"):
        as_it_was(run, Steps("eur", (HOUR_NS,), 9 * HOUR_NS, (1.0,), "late.csv"), 0, 1)
    with pytest.raises(MeteringError, match=r"no energy readings"):
        recorded([])


def sample(hour: int, joules: float, component: str = "package", **more):
    """One hour of one device."""
    return {
        "time_s": 3600.0 * hour, "worker": 0, "host": "a", "device": component,
        "component": component, "duration_s": 3600.0, "coverage": 1.0, "quality": "measured",
        "joules": joules, "low_j": joules, "high_j": joules,
    } | more  # fmt: skip


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Two hours from BEGIN on at 1 kW, without `utc_s`."""
    who = identity("", {}, None) | {"start_time_utc": BEGIN.isoformat()}
    with RunStore.open_for_writing(tmp_path / "run", 0, {"worker": 0}, identity=who) as store:
        store.note("energy_sample", sample(1, 3.6e6))
        store.note("energy_sample", sample(2, 3.6e6))
    return tmp_path / "run"


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """Hours from midnight on: the second hour of the run is dear."""
    rows = [
        f"{(BEGIN + timedelta(hours=n - 1)).isoformat()},{price}"
        for n, price in enumerate((0.1, 0.1, 0.9, 0.2, 0.1, 0.1))
    ]
    path = tmp_path / "prices.csv"
    path.write_text("\n".join(["start_utc,eur_per_kwh", *rows]) + "\n")
    return path


def asked(*options: object, code: int = 0) -> str:
    answer = CliRunner().invoke(main, ["energy", "tco", *map(str, options)])
    assert answer.exit_code == code, answer.output
    return answer.output


def test_a_recorded_run_is_told_what_a_pause_would_have_saved(run_dir, prices):
    options = ("--run", run_dir, "--prices", prices, "--threshold", 0.5, "--residual", 0.1)
    told = json.loads(asked(*options, "--json"))
    assert told["what_if"] is True
    assert told["as_it_was"]["energy_cost"] == pytest.approx(1.0)
    assert told["paused"]["energy_cost"] == pytest.approx(0.1 + 0.09 + 0.2)
    assert (told["paused"]["duration_s"], told["paused"]["pauses"]) == (3 * 3600, 1)
    text = asked(*options)
    assert "What-if" in text or "what-if" in text
    assert "--psi tells them" in text
    assert "-61.0%" in text


def test_the_wall_clock_of_the_rows_goes_before_the_start_of_the_run(tmp_path, prices):
    who = identity("", {}, None) | {"start_time_utc": BEGIN.isoformat()}
    late_s = BEGIN.timestamp() + 3 * 3600
    with RunStore.open_for_writing(tmp_path / "run", 0, {"worker": 0}, identity=who) as store:
        store.note("energy_sample", sample(1, 3.6e6, utc_s=late_s))
        store.note("energy_sample", sample(1, 7.2e6, "node", utc_s=late_s))  # has the package in it
    told = json.loads(
        asked("--run", tmp_path / "run", "--prices", prices, "--threshold", 0.5, "--json")
    )
    assert told["as_it_was"]["energy_kwh"] == pytest.approx(2.0)
    assert told["as_it_was"]["energy_cost"] == pytest.approx(2 * 0.2)


def test_fixed_costs_of_a_run_go_on_in_its_pauses(run_dir, prices):
    told = json.loads(asked("--run", run_dir, "--prices", prices, "--psi", 0.5, "--json"))
    assert told["threshold"] == 0.2  # the best of the series for this machine
    was, paused = told["as_it_was"], told["paused"]
    assert paused["fixed_cost"] == pytest.approx(was["fixed_cost"] * 1.5)
    assert was["fixed_cost"] == pytest.approx(0.5 * 2 * 0.25)


def test_a_series_is_swept_told_and_drawn(prices, tmp_path):
    for suffix in ("svg", "png"):
        drawn = tmp_path / f"tco.{suffix}"
        text = asked("--psi", 0.5, "--prices", prices, "--x", 0.2, "--plot", drawn)
        assert drawn.stat().st_size > 5000
    assert "optimum" in text
    assert "asked" in text
    assert "derived" in text
    first = drawn.read_bytes()
    asked("--psi", 0.5, "--prices", prices, "--plot", drawn)
    assert drawn.read_bytes() == first
    told = json.loads(asked("--psi", 0.5, "--prices", prices, "--json"))
    assert told["policies"]["optimum"]["threshold"] == 0.2
    assert len(told["sweep"]) == 3
    assert told["sweep"][0]["k"] is None


def test_costs_of_a_period_give_psi():
    options = ("--x", 0.1, "--k", 3, "--json")
    by_costs = json.loads(asked("--fixed-cost", 400, "--energy-cost", 200, *options))
    power = ("--power-kw", 10, "--hours", 100, "--mean-price", 0.2)
    by_power = json.loads(asked("--fixed-cost", 400, *power, *options))
    assert by_costs["machine"]["psi"] == by_power["machine"]["psi"] == 2.0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ((), "needs --prices FILE.csv, or both --x and --k"),
        (("--x", 0.1, "--k", 2), "needs --psi, or --fixed-cost"),
        (("--x", 0.1, "--k", 2, "--fixed-cost", 1), "needs --energy-cost, or --power-kw"),
        (("--x", 0.1, "--k", 2, "--psi", 1, "--energy-cost", 1), "give it or them"),
        (("--x", 0.1, "--k", 2, "--psi", 1, "--lost-min", 1), "needs --shutdowns"),
        (("--x", 0.1, "--k", 2, "--psi", 1, "--shutdowns", 3), "needs --hours"),
        (("--x", 0.1, "--k", 2, "--psi", 1, "--restart-kwh", 3), "needs --power-kw"),
        (("--x", 0.1, "--k", 2, "--psi", 1, "--threshold", 3), "needs --prices"),
        (("--x", 2, "--k", 2, "--psi", 1), "x is 2, but"),
        (("--psi", 1, "--residual", 1, "--x", 0.1, "--k", 2), "residual is 1, but"),
        (("--psi", 1, "--prices", "{prices}", "--k", 2), "tells it; leave one out"),
        (("--psi", 1, "--prices", "{prices}", "--shutdowns", 2), "they are counted"),
        (("--psi", 1, "--prices", "{prices}", "--x", 0.1, "--threshold", 2), "give one"),
        (("--psi", 1, "--prices", "{prices}", "--threshold", 0), "nothing would be computed"),
        (("--psi", 1, "--prices", "none.csv"), "none.csv"),
        (("--psi", 1, "--prices", "{prices}", "--plot", "x.pdf"), "must end in .png or .svg"),
        (("--psi", 1, "--x", 0.1, "--k", 2, "--plot", "x.svg"), "give --prices"),
        (("--run", "{run}"), "--run needs --prices"),
        (("--run", "{run}", "--prices", "{prices}"), "needs --threshold or --x, or --psi"),
        (("--run", "{run}", "--prices", "{prices}", "--plot", "x.svg"), "leave out --run"),
    ],
)
def test_bad_options_end_with_two_and_the_way_out(options, error, run_dir, prices):
    told = [str(option).format(run=run_dir, prices=prices) for option in options]
    assert error in asked(*told, code=2)
