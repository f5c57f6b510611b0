"""What a site's energy costs and emits, as settings and command lines say it."""

from __future__ import annotations

from pathlib import Path

from hpctrain.metering.money import Terms
from hpctrain.metering.steps import Steps, constant, read_steps

Given = float | str | None  # a constant, the path of a CSV file, or not known


def read_terms(
    tariff: Given = None,
    currency: str = "EUR",
    carbon: Given = None,
    carbon_market: Given = None,
    pue: float = 1.0,
) -> Terms:
    """Terms from constants and files.

    Args:
        tariff: per kWh.
        currency: of a constant tariff; a file says its own.
        carbon: gCO2e per kWh of the grid.
        carbon_market: gCO2e per kWh of the contract.
        pue: facility energy over IT energy.

    Raises:
        MeteringError: if a file cannot be used, or a value is not allowed.
    """
    return Terms(
        _steps(tariff, currency.lower()), _steps(carbon, "gco2"), _steps(carbon_market, "gco2"), pue
    )


def _steps(given: Given, unit: str) -> Steps | None:
    if given is None:
        return None
    return read_steps(Path(given)) if isinstance(given, str) else constant(given, unit)
