from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpctrain.errors import MeteringError
from hpctrain.metering.money import UJ_PER_KWH, Terms, bill
from hpctrain.metering.steps import Steps, constant, read_steps

HOUR = 3_600_000_000_000


def at_ns(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp()) * 10**9


def file(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "series.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def one_kw(zero_ns: int):
    """1 kW since `zero_ns`."""
    return lambda time_ns: (time_ns - zero_ns) * UJ_PER_KWH // HOUR


def test_energy_is_paid_at_the_price_that_held_when_it_was_used(tmp_path):
    tariff = read_steps(
        file(
            tmp_path, "start_utc,end_utc,eur_per_kwh",
            "2026-01-01T00:00Z,2026-01-01T01:00Z,0.10",
            "2026-01-01T01:00Z,2026-01-01T04:00Z,0.40",
            "2026-01-01T04:00Z,2026-01-01T05:00Z,-0.20",
        )
    )  # fmt: skip
    zero = at_ns("2026-01-01T00:00Z")
    result = bill(one_kw(zero), zero + HOUR // 2, zero + 9 * HOUR // 2, Terms(tariff))
    assert result.it_kwh == 4.0
    assert result.cost == pytest.approx(0.5 * 0.10 + 3 * 0.40 - 0.5 * 0.20, rel=1e-12)
    assert result.currency == "eur"
    assert result.location_gco2 is None


def test_pue_is_applied_once_and_it_energy_is_kept_beside_it():
    terms = Terms(constant(0.5, "eur"), constant(300, "gco2"), constant(0, "gco2"), pue=1.25)
    result = bill(one_kw(0), 0, 8 * HOUR, terms)
    assert (result.it_kwh, result.facility_kwh) == (8.0, 10.0)
    assert (result.cost, result.location_gco2, result.market_gco2) == (5.0, 3000.0, 0.0)


def test_the_night_in_which_clocks_go_back_has_every_hour_once(tmp_path):
    hours = [f"2026-10-25T0{hour}:00:00Z,{hour}" for hour in range(4)]
    steps = read_steps(file(tmp_path, "start_utc,gco2_per_kwh", *hours))
    zero = at_ns("2026-10-25T00:00Z")
    assert steps.end_ns == zero + 4 * HOUR
    result = bill(one_kw(zero), zero, zero + 4 * HOUR, Terms(location=steps))
    assert result.location_gco2 == 0 + 1 + 2 + 3


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["0:00Z,1", "1:00Z,2", "3:00Z,3"], "line 4: a gap between 2026-01-01T02:00:00Z and"),
        (["0:00Z,1", "2:00Z,2", "3:00Z,3"], "line 4: an overlap"),
        (["0:00Z,1", "1:00,2"], "line 3: '2026-01-01T01:00' is not a time in UTC"),
        (["0:00Z,1", "1:00+01:00,2"], "line 3: .* is not a time in UTC"),
        (["0:00Z,1", '1:00Z,"0,3"'], "line 3: eur_per_kwh is '0,3'"),
        (["0:00Z,1", "1:00Z,nan"], "line 3: eur_per_kwh is 'nan'"),
        (["0:00Z,1", "1:00Z"], "line 3: eur_per_kwh is None"),
        (["0:00Z,1", "0:00Z,2"], "line 3: not after the line before"),
        (["0:00Z,1"], "needs two rows"),
    ],
)
def test_what_is_wrong_in_a_series_is_said_with_its_line(tmp_path, lines, error):
    rows = [f"2026-01-01T0{line}" for line in lines]
    with pytest.raises(MeteringError, match=error):
        read_steps(file(tmp_path, "start_utc,eur_per_kwh", *rows))


def test_gaps_and_overlaps_between_given_ends_are_refused(tmp_path):
    head = "start_utc,end_utc,eur_per_kwh"
    first = "2026-01-01T00:00Z,2026-01-01T01:00Z,1"
    for start, error in (("01:30", "line 3: a gap"), ("00:30", "line 3: an overlap")):
        row = f"2026-01-01T{start}Z,2026-01-01T02:00Z,1"
        with pytest.raises(MeteringError, match=error):
            read_steps(file(tmp_path, head, first, row))
    with pytest.raises(MeteringError, match="line 2: ends at"):
        read_steps(file(tmp_path, head, "2026-01-01T00:00Z,2026-01-01T00:00Z,1"))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MeteringError, match="line 1: needs start_utc"):
        read_steps(file(tmp_path, "time,price", "1,2"))
    with pytest.raises(MeteringError, match="No such file"):
        read_steps(tmp_path / "none.csv")
    with pytest.raises(MeteringError, match="no rows"):
        read_steps(file(tmp_path, "start_utc,end_utc,eur_per_kwh"))
    row = "2026-01-01T00:00Z,2026-01-01T01:00Z,-1"
    with pytest.raises(MeteringError, match="cannot be below 0"):
        read_steps(file(tmp_path, "start_utc,end_utc,gco2_per_kwh", row))


def test_what_a_series_does_not_cover_is_not_made_up():
    steps = Steps("eur", (0,), HOUR, (1.0,), "t.csv")
    with pytest.raises(MeteringError, match=r"t\.csv is from 1970-01-01T00:00:00Z to"):
        bill(one_kw(0), 0, 2 * HOUR, Terms(steps))


def test_terms_that_make_no_sense_are_refused():
    with pytest.raises(MeteringError, match=r"pue is 0\.9"):
        Terms(pue=0.9)
    with pytest.raises(MeteringError, match="no currency"):
        Terms(tariff=constant(1, "gco2"))
    with pytest.raises(MeteringError, match="not gco2_per_kwh"):
        Terms(market=constant(1, "eur"))


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=10),
    st.lists(st.integers(0, 10 * HOUR), min_size=2, max_size=10),
)
def test_bills_of_parts_add_up_to_the_bill_of_the_whole(values, cuts):
    starts = tuple(i * HOUR for i in range(len(values)))
    steps = Steps("eur", starts, 11 * HOUR, tuple(values), "t.csv")
    times, terms = sorted(cuts), Terms(steps, pue=1.3)
    parts = [bill(one_kw(0), a, b, terms).cost for a, b in pairwise(times)]
    whole = bill(one_kw(0), times[0], times[-1], terms).cost
    # each part is off by a few roundings of at most 10 kWh times 1.3
    assert sum(p for p in parts if p is not None) == pytest.approx(whole, abs=1e-12)
