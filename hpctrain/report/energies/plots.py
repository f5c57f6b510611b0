"""The drawings of the page: power over time, and loss against energy.

No text of the user is in them but names of currencies, and letters are outlines.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import matplotlib
import numpy as np
from matplotlib import dates
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpctrain.report.energies.candidates import Candidates
from hpctrain.report.energies.cells import ENERGY, POWER, TIME, unit_for
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energies.timeline import Timeline
from hpctrain.report.figure import OPTIONS
from hpctrain.report.searches.plots.axes import (
    BEST_COLOUR,
    POINT_COLOUR,
    WIDTH_IN,
    remark,
    scale_losses,
)
from hpctrain.report.style import CURVE_COLOURS, FAINT_COLOUR, RC
from hpctrain.report.tables import Array

_dates: Any = dates  # its classes have no types
ENERGY_RC = RC | {"text.parse_math": False}
POWER_IN, VALUE_IN = 2.5, 1.35
# For ticks at years, months, days, hours, minutes and seconds.
DATE_FORMATS = ["%Y", "%Y-%m", "%m-%d", "%H:%M", "%H:%M", "%H:%M:%S"]
PRICE_COLOUR, CARBON_COLOUR, MARKET_COLOUR = CURVE_COLOURS[1], CURVE_COLOURS[2], CURVE_COLOURS[3]


def svg(figure: Figure) -> str:
    """The drawing as text; the same run gives the same one."""
    with matplotlib.rc_context(ENERGY_RC):
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", **OPTIONS[".svg"])
    return buffer.getvalue().decode()


def draw_timeline(run: RunEnergy, line: Timeline) -> Figure:
    """Power above; price and carbon intensity below it, on the same axis."""
    with matplotlib.rc_context(ENERGY_RC):
        extra = int(line.tariff is not None)
        extra += int(line.location is not None or line.market is not None)
        figure = _figure(POWER_IN + VALUE_IN * extra + 0.35)
        ratios = [POWER_IN, *[VALUE_IN] * extra]
        panels: Any = figure.subplots(
            1 + extra, 1, sharex=True, height_ratios=ratios, squeeze=False
        )
        below = iter(panels[1:, 0])
        _draw_power(panels[0, 0], line, len(run.hosts))
        if line.tariff is not None:
            panel = next(below)
            _draw_value(panel, line, line.tariff, PRICE_COLOUR, "price")
            panel.set_ylabel(f"{line.currency}/kWh")
        _draw_carbon(below, line)
        _set_time_axis(panels[-1, 0], line)
        figure.align_ylabels()
    return figure


def draw_front(candidates: Candidates) -> Figure:
    """Every candidate as a point with the front, and how the best loss fell with the energy."""
    with matplotlib.rc_context(ENERGY_RC):
        figure = _figure(3.2)
        panels: Any = figure.subplots(1, 2, sharey=True)
        usable = [one for one in candidates.all if one.usable and one.amount.joules is not None]
        joules = np.array([one.amount.known_j for one in usable])
        losses = np.array([one.loss for one in usable])
        factor, unit = unit_for(joules.tolist(), ENERGY)
        size = 3.2 if len(usable) < 400 else 2.0
        panels[0].plot(
            joules / factor, losses, "o", markersize=size, color=POINT_COLOUR, alpha=0.4,
            markeredgewidth=0, label="one candidate",
        )  # fmt: skip
        front = candidates.front()
        at = np.array([one.amount.known_j for one in front]) / factor
        best = np.array([one.loss for one in front])
        panels[0].step(at, best, where="post", color=BEST_COLOUR, linewidth=1.0, alpha=0.7)
        panels[0].plot(at, best, "o", markersize=4.5, color=BEST_COLOUR, label="on the front")
        panels[0].set_xlabel(f"energy of the candidate [{unit}]")
        panels[0].set_ylabel("loss")
        _draw_progress(panels[1], candidates)
        said = scale_losses(panels[0].yaxis, losses)
        panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2)
        for panel in panels:
            panel.set_xlim(left=0)
            panel.xaxis.set_major_locator(MaxNLocator(5))
        estimate = "energies are estimates" if candidates.total.quality == "estimate" else ""
        remark(figure, [estimate, said])
    return figure


def _figure(height_in: float) -> Figure:
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_power(panel: Any, line: Timeline, num_hosts: int) -> None:
    told = line.some_watts[np.isfinite(line.some_watts)]
    factor, unit = unit_for(told.tolist(), POWER)
    partly = np.isfinite(line.some_watts) & ~np.isfinite(line.watts)
    what = "power of all hosts" if num_hosts > 1 else "power"
    label = f"{what}, estimate" if line.estimated else what
    _stairs(panel, line.edges_ns, line.watts / factor, POINT_COLOUR, label)
    if partly.any():
        some = np.where(partly, line.some_watts, np.nan) / factor
        _stairs(
            panel, line.edges_ns, some, FAINT_COLOUR, "only of devices with readings", linestyle=":"
        )
    panel.set_ylabel(f"power [{unit}]")
    if not len(told) or told.min() >= 0:
        panel.set_ylim(0, 1.1 * told.max() / factor if len(told) and told.max() > 0 else 1)
    panel.yaxis.set_major_locator(MaxNLocator(5))
    panel.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2)


def _draw_carbon(below: Any, line: Timeline) -> None:
    if line.location is None and line.market is None:
        return
    panel = next(below)
    if line.location is not None:
        _draw_value(panel, line, line.location, CARBON_COLOUR, "location-based")
    if line.market is not None:
        _draw_value(panel, line, line.market, MARKET_COLOUR, "market-based", linestyle="--")
    panel.set_ylabel("gCO2e/kWh")
    panel.legend(loc="lower left", bbox_to_anchor=(0, 0.97), ncols=2, borderaxespad=0.1)


def _draw_value(
    panel: Any, line: Timeline, values: Array, colour: str, label: str, linestyle: str = "-"
) -> None:
    """A price or intensity with zero in sight, so that what is below it can be seen."""
    _stairs(panel, line.edges_ns, values, colour, label, linestyle=linestyle)
    panel.yaxis.set_major_locator(MaxNLocator(3))
    low, high = panel.get_ylim()
    panel.set_ylim(min(low, 0.0), max(1.1 * high, 0.0))
    if low < 0:
        panel.axhline(0, color=FAINT_COLOUR, linewidth=0.8)


def _stairs(
    panel: Any, edges_ns: Array, values: Array, colour: str, label: str, linestyle: str = "-"
) -> None:
    """A line with steps from edge to edge, broken where a value is missing."""
    panel.step(
        _seconds(edges_ns) / 86400, np.append(values, values[-1]), where="post", color=colour,
        label=label, linestyle=linestyle, linewidth=1.2,
    )  # fmt: skip


def _seconds(time_ns: Array) -> Array:
    return np.asarray(time_ns / 1e9)


def _set_time_axis(panel: Any, line: Timeline) -> None:
    at = _seconds(line.edges_ns) / 86400
    panel.set_xlim(at[0], at[-1])
    if line.wall:
        locator = _dates.AutoDateLocator(tz=UTC, minticks=3, maxticks=8)
        panel.xaxis.set_major_locator(locator)
        panel.xaxis.set_major_formatter(
            _dates.ConciseDateFormatter(
                locator, UTC, DATE_FORMATS, zero_formats=DATE_FORMATS[:1] + DATE_FORMATS[:-1],
                show_offset=False,
            )
        )  # fmt: skip
        first = datetime.fromtimestamp(float(line.edges_ns[0] / 1e9), UTC)
        panel.set_xlabel(f"time in UTC, from {first:%Y-%m-%d %H:%M:%S}")
        return
    length_s = float(line.edges_ns[-1] - line.edges_ns[0]) / 1e9
    factor, unit = unit_for([length_s], TIME)
    ticks = [
        t for t in MaxNLocator(6).tick_values(0, length_s / factor) if 0 <= t * factor <= length_s
    ]
    panel.set_xticks([at[0] + t * factor / 86400 for t in ticks], [f"{t:g}" for t in ticks])
    panel.set_xlabel(f"time since the first reading [{unit}]")


def _draw_progress(panel: Any, candidates: Candidates) -> None:
    """The best loss so far against the energy of all candidates that had ended by then."""
    order = sorted(candidates.all, key=lambda one: (one.ended_s, one.number))
    spent = np.cumsum([one.amount.known_j for one in order])
    losses = np.array([one.loss if one.usable else np.inf for one in order])
    best = np.minimum.accumulate(losses)
    factor, unit = unit_for(spent.tolist(), ENERGY)
    shown = np.isfinite(best)
    panel.step(
        spent[shown] / factor, best[shown], where="post", color=BEST_COLOUR, linewidth=1.6
    )  # fmt: skip
    panel.set_title("best loss so far", fontsize=9, fontweight="normal")
    panel.set_xlabel(f"energy of all candidates so far [{unit}]")
