"""What a run cost and emitted: bills of E(t) at the prices that held, summed over its hosts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from hpctrain.metering.money import Bill, Terms, bill
from hpctrain.report.energies.curve import HostCurve, Which


@dataclass(frozen=True, slots=True)
class Costs:
    """The bill of a run, and those of its bounds if it is an estimate."""

    bill: Bill
    low: Bill | None = None
    high: Bill | None = None

    def bounds(self, name: str) -> tuple[float, float] | None:
        """The lower and upper bound of one field of the bill; None if it is no estimate.

        A negative price turns them round.
        """
        if self.low is None or self.high is None or getattr(self.bill, name) is None:
            return None
        ends = sorted((getattr(self.low, name), getattr(self.high, name)))
        return ends[0], ends[1]


def costs_of(curves: Sequence[HostCurve], terms: Terms, estimated: bool) -> Costs:
    """The bills of all stretches of all hosts, added up.

    Raises:
        MeteringError: if a tariff or intensity does not cover the run.
    """
    whole = _bill(curves, terms, "joules")
    if not estimated:
        return Costs(whole)
    return Costs(whole, _bill(curves, terms, "low_j"), _bill(curves, terms, "high_j"))


def _bill(curves: Sequence[HostCurve], terms: Terms, which: Which) -> Bill:
    return _sum(
        terms,
        [
            bill(partial(curve.energy_uj, which=which), begin_ns, end_ns, terms)
            for curve in curves
            for begin_ns, end_ns in curve.spans_ns
        ],
    )


def _sum(terms: Terms, bills: Sequence[Bill]) -> Bill:
    def add(known: object, values: Iterable[float | None]) -> float | None:
        return sum(value or 0.0 for value in values) if known is not None else None

    return Bill(
        sum(one.it_kwh for one in bills), sum(one.facility_kwh for one in bills), terms.pue,
        currency=terms.tariff.unit if terms.tariff else "",
        cost=add(terms.tariff, (one.cost for one in bills)),
        location_gco2=add(terms.location, (one.location_gco2 for one in bills)),
        market_gco2=add(terms.market, (one.market_gco2 for one in bills)),
    )  # fmt: skip
