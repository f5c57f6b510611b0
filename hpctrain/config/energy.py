"""The section `[energy]`: what is metered, whose it is, what it costs, what may be spent."""

from typing import Annotated, Literal

from pydantic import Field

from hpctrain.config.section import (
    Allowed,
    NonNegativeFloat,
    PositiveFloat,
    Section,
)

_Path = Annotated[str, Field(min_length=1), Allowed("the path of a directory")]
_File = Annotated[str, Field(min_length=1), Allowed("the path of a TOML file")]
_Csv = Annotated[str, Field(min_length=1)]
_Price = Annotated[float | _Csv | None, Allowed("a number, or the path of a CSV file")]
_Intensity = Annotated[
    NonNegativeFloat | _Csv | None, Allowed("a number of at least 0, or the path of a CSV file")
]
_Currency = Annotated[
    str, Field(pattern=r"^[A-Za-z]{1,8}$"), Allowed("the name of a currency such as EUR")
]


class EnergyConfig(Section):
    """What a run tells of its energy, and what it may use.

    `profile` allows an estimate where there is no sensor; `tariff` is per kWh, `carbon` and
    `carbon_market` are grams of CO2 equivalent per kWh, by location and by contract.
    """

    meter: Literal["auto", "off", "rapl", "pm_counters", "hwmon", "nvml", "perun", "model"] = "auto"
    rate_hz: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    sysfs_root: _Path = "/sys"
    profile: _File | None = None
    hosts: Literal["auto", "exclusive", "shared"] = "auto"
    idle: Literal["cores", "ranks", "none"] = "cores"
    tariff: _Price = None
    currency: _Currency = "EUR"
    carbon: _Intensity = None
    carbon_market: _Intensity = None
    pue: Annotated[float, Field(ge=1)] = 1.0
    budget_kwh: PositiveFloat | None = None
    budget_cost: PositiveFloat | None = None
    budget_gco2: PositiveFloat | None = None
    pause_above: float | None = None
