"""`hpctrain energy tco`: whether it pays to switch a machine off while energy is dear."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpctrain.cluster.launcher import read_launcher
from hpctrain.errors import MeteringError
from hpctrain.metering.reading import Component, is_part
from hpctrain.metering.steps import Steps, read_steps
from hpctrain.metering.tco import (
    Machine,
    Policy,
    Prices,
    at_threshold,
    best,
    from_x_and_k,
    prices_of,
    psi_of,
    sweep,
    threshold_for,
)
from hpctrain.metering.tco_run import Recorded, as_it_was, paused_above, recorded
from hpctrain.report.console import make_console, seen_by
from hpctrain.report.energies.hosts import read_hosts
from hpctrain.report.energy_line import worst
from hpctrain.report.plot import need_matplotlib
from hpctrain.report.tables import RunTables
from hpctrain.report.tco import (
    Answer,
    RunAnswer,
    print_run_tco,
    print_tco,
    run_tco_json,
    tco_json,
)
from hpctrain.storage.read import Run, open_run

if TYPE_CHECKING:
    from rich.console import Console

PLOTS = (".png", ".svg")


@dataclass(frozen=True, slots=True)
class Question:
    """The options of the command, by their names; None: not given."""

    psi: float | None = None
    fixed_cost: float | None = None
    energy_cost: float | None = None
    power_kw: float | None = None
    hours: float | None = None
    mean_price: float | None = None
    prices: Path | None = None
    x: float | None = None
    k: float | None = None
    threshold: float | None = None
    residual: float = 0.0
    restart_min: float = 0.0
    restart_kwh: float = 0.0
    lost_min: float = 0.0
    shutdowns: int | None = None
    run: Path | None = None
    plot: Path | None = None
    as_json: bool = False


def tco(asked: Question) -> int:
    """Answer on standard output. Returns the exit code.

    Raises:
        HpctrainError: if the options do not say enough, contradict each other or cannot be.
    """
    if asked.plot is not None:
        _check_plot(asked)
    if asked.run is not None:
        return _tell_run(asked, asked.run)
    answer = _from_series(asked, asked.prices) if asked.prices else _from_x_and_k(asked)
    if asked.as_json:
        print(tco_json(answer))
    else:
        print_tco(answer, _console())
    if asked.plot is not None and answer.prices is not None:
        _draw(answer, answer.prices, asked.plot)
    return 0


def _from_series(asked: Question, path: Path) -> Answer:
    for name, value in (("--k", asked.k), ("--mean-price", asked.mean_price)):
        if value is not None:
            raise MeteringError(f"{name} {value:g}: the series {path} tells it; leave one out")
    if asked.shutdowns is not None:
        raise MeteringError(
            f"--shutdowns {asked.shutdowns}: in a series they are counted; leave it out"
        )
    prices = prices_of(read_steps(path))
    hours = prices.period_s / 3600 if asked.hours is None else asked.hours
    machine = _machine(asked, _psi(asked, hours, prices.mean), asked.power_kw)
    policies = sweep(machine, prices)
    told: dict[str, Policy] = {"optimum": best(policies)}
    if asked.x is not None or asked.threshold is not None:
        told["asked"] = at_threshold(machine, prices, _threshold(asked, prices))
    return Answer(machine, prices, told, policies)


def _from_x_and_k(asked: Question) -> Answer:
    if asked.x is None or asked.k is None:
        raise MeteringError("needs --prices FILE.csv, or both --x and --k")
    if asked.threshold is not None:
        raise MeteringError(f"--threshold {asked.threshold:g} needs --prices FILE.csv")
    machine = _machine(asked, _psi(asked, asked.hours, asked.mean_price), asked.power_kw)
    if machine.restart_s or machine.restart_full_s or machine.lost_s:
        _need(asked.shutdowns, "--shutdowns", "or --prices FILE.csv, where they are counted")
    hours = asked.hours
    if asked.shutdowns:
        hours = _need(hours, "--hours", "in which there are these shutdowns")
    period_s = float("inf") if hours is None else hours * 3600
    policy = from_x_and_k(machine, asked.x, asked.k, asked.shutdowns or 0, period_s)
    return Answer(machine, None, {"asked": policy})


def _psi(asked: Question, hours: float | None, mean_price: float | None) -> float:
    if asked.psi is not None:
        if asked.fixed_cost is not None or asked.energy_cost is not None:
            raise MeteringError("--psi is fixed cost over energy cost: give it or them")
        return asked.psi
    fixed_cost = _need(asked.fixed_cost, "--psi", "or --fixed-cost with what the energy costs")
    if asked.energy_cost is not None:
        return psi_of(fixed_cost, asked.energy_cost)
    power_kw = _need(asked.power_kw, "--energy-cost", "or --power-kw")
    hours = _need(hours, "--hours", "in which the fixed cost is paid")
    mean_price = _need(mean_price, "--mean-price", "per kWh")
    return psi_of(fixed_cost, power_kw * hours * mean_price)


def _machine(asked: Question, psi: float, power_kw: float | None) -> Machine:
    restart_full_s = 0.0
    if asked.restart_kwh:
        power_kw = _need(power_kw, "--power-kw", "to set --restart-kwh against")
        if not power_kw > 0:
            raise MeteringError(f"--power-kw is {power_kw:g}, but must be above 0")
        restart_full_s = asked.restart_kwh / power_kw * 3600
    return Machine(psi, asked.residual, asked.restart_min * 60, restart_full_s, asked.lost_min * 60)


def _need(value: float | None, option: str, use: str) -> float:
    if value is None:
        raise MeteringError(f"needs {option}, {use}")
    return value


def _threshold(asked: Question, prices: Prices) -> float:
    if asked.threshold is not None:
        if asked.x is not None:
            raise MeteringError("--threshold and --x say the same in two ways: give one")
        return asked.threshold
    assert asked.x is not None
    return threshold_for(prices, asked.x)


def _tell_run(asked: Question, run_dir: Path) -> int:
    if asked.prices is None:
        raise MeteringError("--run needs --prices FILE.csv, which covers the run and its pauses")
    if asked.plot is not None:
        raise MeteringError("--plot draws the sweep of a series: leave out --run")
    run = open_run(run_dir)
    steps = read_steps(asked.prices)
    answer = _replayed(asked, run, recorded(intervals(run)), steps)
    if asked.as_json:
        print(run_tco_json(answer))
    else:
        print_run_tco(answer, _console())
    return 0


def _replayed(asked: Question, run: Run, record: Recorded, steps: Steps) -> RunAnswer:
    prices = prices_of(steps)
    psi_known = asked.psi is not None or asked.fixed_cost is not None
    kw = record.mean_w / 1000 if asked.power_kw is None else asked.power_kw
    hours = prices.period_s / 3600 if asked.hours is None else asked.hours
    psi = _psi(asked, hours, prices.mean) if psi_known else 0.0
    machine = _machine(asked, psi, kw)
    if asked.x is not None or asked.threshold is not None:
        threshold = _threshold(asked, prices)
    elif psi_known:
        threshold = best(sweep(machine, prices)).threshold or 0.0
    else:
        raise MeteringError("needs --threshold or --x, or --psi to find the best one")
    was = as_it_was(record, steps, psi, prices.mean)
    paused = paused_above(record, steps, threshold, machine, prices.mean)
    quality = worst([host.amount.quality for host in read_hosts(run.table("energy_sample"), ())])
    return RunAnswer(run.run_dir.name, prices, threshold, was, paused, quality, psi_known)


def intervals(run: RunTables) -> Iterator[tuple[float, float, float]]:
    """End since 1970, length, and joules of what the devices used that are part of no other."""
    rows = run.table("energy_sample")
    began_s = datetime.fromisoformat(str(run.identity["start_time_utc"])).timestamp()
    ends_s = began_s + rows["time_s"]
    if "utc_s" in rows:
        ends_s = np.where(np.isfinite(rows["utc_s"]), rows["utc_s"], ends_s)
    present: dict[str, set[Component]] = {}
    for host, component in zip(rows["host"], rows["component"], strict=True):
        present.setdefault(str(host), set()).add(component)
    for place, end_s in enumerate(ends_s):
        joules = float(rows["joules"][place])
        if np.isfinite(joules) and not is_part(
            rows["component"][place], present[str(rows["host"][place])]
        ):
            yield float(end_s), float(rows["duration_s"][place]), joules


def _check_plot(asked: Question) -> None:
    assert asked.plot is not None
    if asked.plot.suffix not in PLOTS:
        raise MeteringError(f"--plot {asked.plot}: the name must end in {' or '.join(PLOTS)}")
    if asked.prices is None:
        raise MeteringError("--plot draws the sweep of a series: give --prices FILE.csv")
    need_matplotlib()


def _draw(answer: Answer, prices: Prices, path: Path) -> None:
    from hpctrain.report.figure import save
    from hpctrain.report.tco_plot import draw_tco

    try:
        save(lambda: draw_tco(answer.machine, prices, answer.sweep), path)
    except OSError as error:
        raise MeteringError(f"cannot write {path}: {error}") from error


def _console() -> Console:
    launcher = read_launcher(os.environ)
    return make_console(seen_by(launcher.terminal, launcher.is_rank))
