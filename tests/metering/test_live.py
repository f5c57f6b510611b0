"""Energy to date and what it has cost, while a run goes on."""

from pathlib import Path

import pytest

from hpctrain.metering.board import BoardReader
from hpctrain.metering.crew import Member
from hpctrain.metering.live import LiveEnergy, RunningBill
from hpctrain.metering.money import Terms, bill
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.shares import Sharing
from hpctrain.metering.steps import Steps, constant
from tests.metering.hosts import KnownPower, S, SetClock

KWH_UJ = 3_600_000_000_000
HOURS = Steps("eur", (0, 3600 * S, 7200 * S), 10_800 * S, (0.1, 0.5, 0.2), "hours.csv")


def test_a_running_bill_comes_to_what_the_bill_at_the_end_says() -> None:
    terms = Terms(tariff=HOURS, pue=1.4)
    running = RunningBill(terms, "cost")
    for second in range(0, 10_801, 90):
        running.add(second * S, second * KWH_UJ // 7200)
    at_once = bill(lambda t_ns: t_ns // S * KWH_UJ // 7200, 0, 10_800 * S, terms)
    assert running.spent == pytest.approx(at_once.cost, rel=1e-9)
    assert running.spent == pytest.approx(1.4 * 0.5 * (0.1 + 0.5 + 0.2))


def test_kwh_are_of_it_energy_and_money_of_the_facility() -> None:
    terms = Terms(tariff=constant(0.3, "eur"), location=constant(400, "gco2"), pue=2.0)
    spent = {}
    for unit in ("kwh", "cost", "gco2"):
        running = RunningBill(terms, unit)
        running.add(0, 0)
        spent[unit] = running.add(S, KWH_UJ)
    assert spent == pytest.approx({"kwh": 1.0, "cost": 0.6, "gco2": 800.0})


def test_after_the_end_of_a_series_its_last_value_holds() -> None:
    assert HOURS.mean(-3600 * S, 0) == pytest.approx(0.1)
    assert HOURS.mean(10_800 * S, 20_000 * S) == pytest.approx(0.2)
    assert HOURS.mean(7200 * S, 14_400 * S) == pytest.approx(0.2)
    assert HOURS.mean(0, 10_800 * S) == pytest.approx(0.8 / 3)
    assert HOURS.mean(1800 * S, 5400 * S) == pytest.approx(0.3)
    assert HOURS.mean(5, 5) == 0.1


def test_energy_now_is_carried_on_from_the_last_look_but_not_for_long(tmp_path: Path) -> None:
    clock = SetClock()
    crew = (Member(0, "h", 1, (0,)),)
    sampler = Sampler(
        [KnownPower(clock, lambda t: 200 * t)], tmp_path / "b", clock=clock,
        sharing=Sharing(crew, idle_w={"package": 1e6}),
    )  # fmt: skip
    terms = Terms(tariff=constant(0.36, "eur"), pue=1.5)
    live = LiveEnergy(BoardReader(tmp_path / "b"), 0, terms, clock)
    assert live.now() is None
    for second in range(11):
        clock.now_ns = second * S
        sampler.look()
        now = live.now()
    assert now is not None
    assert (now.joules, now.watts) == (2000.0, 200.0)
    assert now.quality == "measured"
    assert now.cost == pytest.approx(2000 / 3.6e6 * 0.36 * 1.5)
    assert (now.currency, now.gco2) == ("EUR", None)
    clock.now_ns = 10 * S + S // 2
    assert live.joules() == pytest.approx(2100.0)
    clock.now_ns = 60 * S
    assert live.joules() == pytest.approx(2400.0)  # two periods, and no more is made up
    assert live.spent_uj(with_nobody=True)[1] == 2_000_000_000
