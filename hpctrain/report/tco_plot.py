"""Variable capacity as a drawing: the saving over the share of time off, and the price curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpctrain.metering.tco import Machine, Policy, Prices, best, saving
from hpctrain.report.style import CURVE_COLOURS, FAINT_COLOUR

WIDTH_IN, HEIGHT_IN = 9.0, 3.2
FEW = 6  # times the optimum: how much of the axis of x is drawn
LEAST_SHOWN = 0.02


def draw_tco(machine: Machine, prices: Prices, sweep: Sequence[Policy]) -> Figure:
    """Two panels that share the axis of x."""
    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), layout="constrained")
    FigureCanvasAgg(figure)
    found = best(sweep)
    left, right = figure.subplots(1, 2)
    _draw_saving(left, machine, sweep, found)
    _draw_prices(right, prices, sweep, found)
    upto = min(1.0, max(LEAST_SHOWN, FEW * found.off_share))
    for panel in (left, right):
        panel.set_xlabel("share of time off, x, %")
        panel.set_xlim(0, 100 * upto)
    shown = [policy.saving for policy in sweep if policy.off_share <= upto]
    top = max(0.0005, *_at_no_cost(machine, sweep))
    left.set_ylim(100 * max(min(shown), -2 * top), 110 * top)
    return figure


def _draw_saving(panel: Any, machine: Machine, sweep: Sequence[Policy], found: Policy) -> None:
    x = np.array([policy.off_share for policy in sweep])
    panel.set_title("saving in cost per compute, % (derived)")
    savings = np.array([policy.saving for policy in sweep])
    free = np.array(_at_no_cost(machine, sweep))
    if not np.allclose(free, savings):
        panel.plot(
            100 * x, 100 * free, color=FAINT_COLOUR, linestyle="--", label="restarts at no cost"
        )
    panel.plot(100 * x, 100 * savings, color=CURVE_COLOURS[0], label=f"psi = {machine.psi:.3g}")
    panel.axhline(0, color=FAINT_COLOUR, linewidth=0.8)
    times = f"{found.saving:.2%}, {found.shutdowns} shutdowns" if found.shutdowns else "never off"
    label = f"x* = {found.off_share:.2%}: {times}"
    marked = (100 * found.off_share, 100 * found.saving)
    panel.plot(*marked, "o", color=CURVE_COLOURS[1], label=label)
    panel.legend(loc="best")


def _at_no_cost(machine: Machine, sweep: Sequence[Policy]) -> list[float]:
    """The savings if restarts took neither time nor energy, and no work were lost."""
    free = Machine(machine.psi, machine.residual)
    return [saving(free, p.off_share, p.k) if p.shutdowns else 0.0 for p in sweep]


def _draw_prices(panel: Any, prices: Prices, sweep: Sequence[Policy], found: Policy) -> None:
    x = np.array([policy.off_share for policy in sweep])
    thresholds = np.array([policy.threshold for policy in sweep], dtype=float)
    panel.set_title(f"threshold price, {prices.unit} per kWh")
    panel.step(100 * x, thresholds, where="post", color=CURVE_COLOURS[0])
    panel.axhline(prices.mean, color=FAINT_COLOUR, linestyle="--", linewidth=1.0, label="mean")
    panel.plot(100 * found.off_share, found.threshold, "o", color=CURVE_COLOURS[1])
    panel.legend(loc="upper right")
