"""`hpctrain energy ...`: the commands about energy."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import click


@click.group()
def energy() -> None:
    """What runs used: see docs/energy.md."""


_file_option = partial(click.option, type=click.Path(path_type=Path, dir_okay=False))
_TERMS = (
    click.option("--tariff", metavar="X|FILE", help="Price of a kWh, or a CSV file of prices."),
    click.option("--currency", metavar="C", help="Of a constant tariff, such as EUR."),
    click.option("--carbon", metavar="X|FILE", help="gCO2e per kWh of the grid."),
    click.option("--carbon-market", metavar="X|FILE", help="gCO2e per kWh of the contract."),
    click.option("--pue", type=click.FloatRange(min=1), help="Facility energy over IT energy."),
)


def _term_options(command: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
    for option in reversed(_TERMS):
        command = option(command)
    return command


@energy.command("report")
@click.argument("runs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="RUN...")
@click.option("--json", "as_json", is_flag=True, help="For programs instead of people.")
@_file_option("--csv", metavar="FILE", help="Write a long table.")
@_file_option("--html", metavar="FILE", help="Write one page with drawings.")
@_file_option("--hdf5", metavar="FILE", help="Write a file for perun export.")
@click.option("--top", type=click.IntRange(min=1), default=10, help="How many candidates.")
@_term_options
def energy_report(
    runs: tuple[Path, ...],
    as_json: bool,
    csv: Path | None,
    html: Path | None,
    hdf5: Path | None,
    top: int,
    **terms: Any,
) -> NoReturn:
    """Say what the runs in the directories RUN used, where it went, and what it cost.

    Terms that are given here hold in place of those in the runs' settings; "none" leaves one out.
    Several runs are compared to the first.
    """
    from hpctrain.compose.energy_report import Wanted, report_energy

    given = {name: value for name, value in terms.items() if value is not None}
    sys.exit(report_energy(runs, Wanted(as_json, csv, html, hdf5, top), given))


@energy.command("fleet")
@click.argument("dirs", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="DIR...")
@_file_option("--csv", metavar="FILE", help="Write a row per run, user, project, ...")
@_file_option("--html", metavar="FILE", help="Write one page.")
@click.option("--by", type=click.Choice(["user", "project", "partition", "method"]), multiple=True,
              help="Sums; may be repeated. Else user, on the page all.")  # fmt: skip
@_file_option("--sacct", metavar="FILE", help="An export of sacct; else it is asked.")
@_file_option("--prices", metavar="FILE", help="What if runs had paused while energy was dear?")
@click.option("--threshold", type=float, help="Dear is above this; else energy.pause_above.")
@_term_options
def energy_fleet(
    dirs: tuple[Path, ...],
    csv: Path | None,
    html: Path | None,
    by: tuple[Any, ...],
    sacct: Path | None,
    prices: Path | None,
    threshold: float | None,
    **terms: Any,
) -> NoReturn:
    """Say what all runs below the directories DIR used, and sum it up.

    Terms that are given here hold in place of those in the runs' settings; "none" leaves one out.
    """
    from hpctrain.compose.fleet import Wanted, report_fleet

    given = {name: value for name, value in terms.items() if value is not None}
    sys.exit(report_fleet(dirs, Wanted(csv, html, by, sacct, prices, threshold), given))


_at_least_0 = click.FloatRange(min=0)


@energy.command("tco")
@click.option("--psi", type=_at_least_0, help="Fixed cost over energy cost, always on.")
@click.option("--fixed-cost", type=_at_least_0, help="Instead of --psi, of some period.")
@click.option("--energy-cost", type=float, help="Of the same period, always on.")
@click.option("--power-kw", type=float, help="Instead of --energy-cost: at full operation.")
@click.option("--hours", type=float, help="Length of the period; else that of the prices.")
@click.option("--mean-price", type=float, help="Per kWh, where there are no --prices.")
@click.option("--prices", type=click.Path(path_type=Path), help="CSV: start_utc, eur_per_kwh.")
@click.option("--x", type=float, help="Share of the time off, 0 to 1.")
@click.option("--k", type=float, help="Mean price when off over mean price, without --prices.")
@click.option("--threshold", type=float, help="Off while the price is above it.")
@click.option("--residual", type=float, default=0.0, help="Power when off over full power.")
@click.option("--restart-min", type=_at_least_0, default=0.0, help="A restart takes.")
@click.option("--restart-kwh", type=_at_least_0, default=0.0, help="And uses beyond full power.")
@click.option("--lost-min", type=_at_least_0, default=0.0, help="Computing lost by a shutdown.")
@click.option("--shutdowns", type=int, help="How many in --hours, without --prices.")
@click.option("--run", type=click.Path(path_type=Path), help="What if this run had paused?")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it: FILE.svg or FILE.png.")
@click.option("--json", "as_json", is_flag=True, help="For programs instead of people.")
def energy_tco(**asked: Any) -> NoReturn:
    """Say whether it pays to switch a machine off while energy is dear.

    The model is that of Arzt and Wolf, arXiv 2509.07567; see docs/energy.md.
    """
    from hpctrain.compose.tco import Question, tco

    sys.exit(tco(Question(**asked)))


@energy.command("calibrate")
@click.option("--name", default="", help="Of the machine.")
@click.option("-o", "--output", type=click.Path(path_type=Path), default="profile.toml",
              help="Where to write the profile; %h is the host's name.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0, min_open=True), default=30.0, help="Of each.")
@click.option("--settle-s", type=_at_least_0, default=5.0, help="Before each.")
@click.option("--repeat", type=click.IntRange(min=1), default=3, help="Measurements of each.")
@click.option("--cores", type=click.IntRange(min=1), help="At full load; else all of the process.")
@click.option("--meter", type=click.Choice(["auto", "rapl", "pm_counters", "hwmon", "nvml"]),
              default="auto", help="Sensors.")  # fmt: skip
@click.option("--sysfs-root", type=click.Path(path_type=Path), default="/sys", help="DIR.")
def energy_calibrate(**asked: Any) -> NoReturn:
    """Measure what this host takes idle and at full load, and write a profile for estimates."""
    from hpctrain.compose.calibrate import Asked, calibrate

    sys.exit(calibrate(Asked(**asked)))
