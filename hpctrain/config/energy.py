"""The section `[energy]`: which sensors are looked at, and how often."""

from typing import Annotated, Literal

from pydantic import Field

from hpctrain.config.section import Allowed, Section

_Path = Annotated[str, Field(min_length=1), Allowed("the path of a directory")]
_File = Annotated[str, Field(min_length=1), Allowed("the path of a TOML file")]


class EnergyConfig(Section):
    """What a run tells of its energy; `profile` allows an estimate where there is no sensor."""

    meter: Literal["auto", "off", "rapl", "pm_counters", "hwmon", "nvml", "model"] = "auto"
    rate_hz: Annotated[float, Field(ge=0.1, le=10)] = 1.0
    sysfs_root: _Path = "/sys"
    profile: _File | None = None
