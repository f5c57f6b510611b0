"""What energy costs, in money and in carbon dioxide. Pure.

The energy that sensors see is that of the computers (IT energy). A computing centre also cools and
converts: its facility energy is PUE times that. Tariffs are for what the meter at the door sees, so
cost and emissions are those of the facility energy, and PUE is applied here and nowhere else.

Emissions are told in both ways of the GHG Protocol's scope 2 guidance: by the grid where the
machine stands (location-based) and by the contract under which its power is bought (market-based).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from hpctrain.errors import MeteringError
from hpctrain.metering.steps import Steps

UJ_PER_KWH = 3_600_000_000_000

EnergyAt = Callable[[int], int]  # microjoules to date at nanoseconds since 1970


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a site runs its machines; None: not known, and not told.

    Attributes:
        tariff: price per kWh, in its own currency.
        location, market: grams of CO2 equivalent per kWh, of the grid and of the contract.
        pue: facility energy over IT energy (ISO/IEC 30134-2); 1 or more.
    """

    tariff: Steps | None = None
    location: Steps | None = None
    market: Steps | None = None
    pue: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pue) and self.pue >= 1):
            raise MeteringError(f"pue is {self.pue:g}, but facility energy is at least IT energy")
        if self.tariff is not None and self.tariff.unit == "gco2":
            raise MeteringError(f"{self.tariff.source}: gco2 is no currency")
        for steps in (self.location, self.market):
            if steps is not None and steps.unit != "gco2":
                raise MeteringError(f"{steps.source}: has {steps.unit}_per_kwh, not gco2_per_kwh")


@dataclass(frozen=True, slots=True)
class Bill:
    """Of an interval.

    Attributes:
        it_kwh: what the sensors saw.
        facility_kwh: PUE times that.
        pue: that PUE.
        cost: of the facility energy, in `currency`; None without a tariff.
        location_gco2, market_gco2: of the facility energy; None without an intensity.
    """

    it_kwh: float
    facility_kwh: float
    pue: float
    currency: str
    cost: float | None
    location_gco2: float | None
    market_gco2: float | None


def priced_in(terms: Terms, unit: str) -> tuple[Steps | None, float]:
    """By what a kWh of IT energy is multiplied: a step function (None: 1), and a factor.

    Args:
        terms: of the site.
        unit: "kwh" of IT energy; "cost" or "gco2" (by location) of facility energy.
    """
    match unit:
        case "cost":
            return terms.tariff, terms.pue
        case "gco2":
            return terms.location, terms.pue
        case _:
            return None, 1.0


def bill(energy_at_uj: EnergyAt, begin_ns: int, end_ns: int, terms: Terms) -> Bill:
    """The energy of an interval at the prices and intensities that held when it was used.

    Args:
        energy_at_uj: E(t) of the sensors, in wall time.
        begin_ns: nanoseconds since 1970.
        end_ns: likewise.
        terms: of the site.

    Raises:
        MeteringError: if a tariff or intensity does not cover the interval.
    """

    def weighed(steps: Steps | None) -> float | None:
        if steps is None:
            return None
        return terms.pue * math.fsum(
            (energy_at_uj(upto) - energy_at_uj(since)) / UJ_PER_KWH * value
            for since, upto, value in steps.pieces(begin_ns, end_ns)
        )

    it_kwh = (energy_at_uj(end_ns) - energy_at_uj(begin_ns)) / UJ_PER_KWH
    return Bill(
        it_kwh, terms.pue * it_kwh, terms.pue,
        currency=terms.tariff.unit if terms.tariff else "",
        cost=weighed(terms.tariff),
        location_gco2=weighed(terms.location),
        market_gco2=weighed(terms.market),
    )  # fmt: skip
