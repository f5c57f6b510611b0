"""What is known of a site: partitions, how ranks are started, where things are, what energy costs.

A profile is a TOML file; some come with the package (`sites/`). What is not known is left out, and
then nothing is checked against it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from hpctrain.config.explain import explain
from hpctrain.config.section import Allowed, PositiveInt, Section
from hpctrain.errors import ConfigError

Minutes = Annotated[
    str,
    Field(pattern=r"^(\d+-)?\d{1,2}:\d\d:\d\d$"),
    Allowed("a time such as 08:00:00 or 2-00:00:00"),
]
_Line = Annotated[
    str,
    Field(pattern=r"^[^\x00-\x1f\x7f]*$"),
    Allowed("a text of one line"),
]
_Lines = Annotated[tuple[_Line, ...], Field(strict=False), Allowed("a list of texts of one line")]
_GpuOption = Annotated[str, Field(pattern=r"^([^\x00-\x1f\x7f{}]|\{n\})*$")]


class Partition(Section):
    """One partition.

    `gpu_options` is what asks for GPUs, with {n} for their number; `options` are further lines for
    sbatch.
    """

    cores_per_host: PositiveInt | None = None
    gpus_per_host: Annotated[int, Field(ge=0)] = 0
    gpu_options: Annotated[
        tuple[_GpuOption, ...],
        Field(strict=False),
        Allowed('a list of texts such as "--gres=gpu:{n}", without other braces'),
    ] = ()
    max_hosts: PositiveInt | None = None
    max_time: Minutes | None = None
    needs_account: bool = False
    options: _Lines = ()


class LaunchSection(Section):
    """How ranks are started; `mpi = "auto"` asks the MPI library that Python loads.

    `gpu_bind` is srun's --gpu-bind where there are GPUs; "" leaves it to the site.
    """

    mpi: Literal["auto", "pmix", "pmi2", "cray_shasta", "none"] = "auto"
    gpu_bind: Annotated[
        str,
        Field(pattern=r"^[a-z0-9_:,*]*$"),
        Allowed('what srun\'s --gpu-bind takes, such as "none", "closest" or "single:1", or ""'),
    ] = "none"
    options: _Lines = ()


class EnvironmentSection(Section):
    """What a job needs before it can run Python: modules, an environment, other lines of bash."""

    modules: _Lines = ()
    activate: str = ""
    lines: Annotated[tuple[str, ...], Field(strict=False)] = ()


class StorageSection(Section):
    """Where runs are to lie: `run_dir` goes before that of the settings; {name} is the run's."""

    run_dir: Annotated[
        str,
        Field(pattern=r"^([^\x00-\x1f\x7f{}]|\{name\})*$"),
        Allowed('a path such as "/scratch/me/{name}", without other braces'),
    ] = ""
    note: _Line = ""


class EnergySection(Section):
    """Of `[energy]` of the settings; what is given there goes first."""

    meter: str = ""
    tariff: float | None = None
    currency: str = "EUR"
    carbon: float | None = None
    pue: Annotated[float, Field(ge=1)] | None = None


class Site(Section):
    """A machine, or a kind of machines."""

    name: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]+$"), Allowed("a text of one line")]
    about: str
    source: str = ""
    tested: str = ""
    partition: str = ""
    partitions: dict[str, Partition] = Field(default_factory=dict)
    launch: LaunchSection = LaunchSection()
    environment: EnvironmentSection = EnvironmentSection()
    storage: StorageSection = StorageSection()
    energy: EnergySection = EnergySection()


def site_names() -> list[str]:
    """The profiles that come with the package."""
    folder = files("hpctrain.cluster.jobs") / "sites"
    return sorted(item.name.removesuffix(".toml") for item in folder.iterdir())


def read_site(name: str) -> Site:
    """A profile of the package, or the TOML file of that path.

    Raises:
        ConfigError: if there is none, or it makes no sense.
    """
    if name in site_names():
        text = (files("hpctrain.cluster.jobs") / "sites" / f"{name}.toml").read_text("utf-8")
    else:
        text = _own(name)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"site {name}: not TOML: {error}") from None
    try:
        site = Site.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_problems(name, values, error))) from None
    if site.partition and site.partition not in site.partitions:
        named = f"give one of {', '.join(site.partitions)}, or " if site.partitions else ""
        raise ConfigError(
            f"site {name}: partition: {site.partition!r} has no table; {named}add "
            f"[partitions.{site.partition}]"
        )
    return site


def _problems(name: str, values: dict[str, Any], error: ValidationError) -> Iterator[str]:
    """A line for each, also inside of partitions, which have names of their own."""
    partitions = values.get("partitions")
    if isinstance(partitions, dict):
        for key, table in partitions.items():
            try:
                Partition.model_validate(table)
            except ValidationError as wrong:
                for inner, text in explain(wrong, Partition, table).items():
                    at = f"{key}.{inner}" if isinstance(table, dict) else key
                    yield f"site {name}: partitions.{at}: {text}"
    for key, text in explain(error, Site, values).items():
        if not isinstance(partitions, dict) or key.partition(".")[0] != "partitions":
            yield f"site {name}: {key}: {text}"


def _own(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ConfigError(f"site {name}: not TOML: it is no text in UTF-8") from None
    except OSError as error:
        if name.endswith(".toml"):
            raise ConfigError(f"site {name}: cannot be read: {error.strerror}") from None
        raise ConfigError(
            f"site: {name!r} is not known; give one of {', '.join(site_names())}, or the path of a "
            "TOML file"
        ) from None


def seconds_of(text: str) -> int:
    """Seconds of a time as Slurm writes it: D-HH:MM:SS, HH:MM:SS, MM:SS, or minutes.

    Raises:
        ConfigError: if it is none.
    """
    match = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+)(?::(\d+))?", text)
    if match is None:
        raise ConfigError(f"time: {text!r} is not allowed; give minutes, HH:MM:SS or D-HH:MM:SS")
    days, first, second, third = match.groups()
    if third is None and first is None:
        hours, minutes, seconds = ("0", second, "0") if days is None else (second, "0", "0")
    elif third is None:
        hours, minutes, seconds = ("0", first, second) if days is None else (first, second, "0")
    else:
        hours, minutes, seconds = first, second, third
    return ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes)) * 60 + int(seconds)


def time_text(seconds: int) -> str:
    """As Slurm writes it."""
    days, rest = divmod(seconds, 86400)
    text = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}-{text}" if days else text
