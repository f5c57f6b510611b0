"""Loss against time, against tokens and against bytes: what was reached, and at what price."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from hpctrain.report.losses import Curve, done_by
from hpctrain.report.style import FAINT_COLOUR
from hpctrain.report.tables import Array, Table

MOST_NAMES = 14  # of curves that are told apart; more of them are drawn alike
LEGEND_COLUMNS = 7
FEW_POINTS = 40
# Where a logarithmic axis may have numbers, in every decade.
TICKS = {4.0: (1, 1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4, 5, 6, 8), 20.0: (1, 2, 3, 5)}
SHORT_UNITS = {
    "B": ("bytes", "kB", "MB", "GB", "TB", "PB"),
    "J": ("joules", "kJ", "MJ", "GJ", "TJ", "PJ"),
}
Styles = Mapping[str, Mapping[str, str]]


def draw_losses(
    figure: Any, curves: Sequence[Curve], what: str, styles: Styles, rounds: Table
) -> None:
    """Three panels that share the axis of the loss."""
    panels = figure.subplots(1, 3, sharey=True)
    drawn = [curve for curve in curves if len(curve.loss)]
    axes_of: tuple[tuple[str, Callable[[Array], Array], str], ...] = (
        ("against time", lambda times_s: times_s, "s"),
        ("against tokens of all islands", lambda at: done_by(rounds, "tokens", at), ""),
        ("against bytes sent by all islands", lambda at: done_by(rounds, "bytes_sent", at), "B"),
    )
    for panel, (title, amount, unit) in zip(panels, axes_of, strict=True):
        panel.set_title(f"{what} {title}" if panel is panels[0] else title)
        _draw_panel(panel, [(curve, amount(curve.time_s)) for curve in drawn], unit, styles)
    if not drawn:
        panels[0].set_yticks([])
        return
    scale_losses(panels[0], drawn)
    panels[0].set_ylabel(what)
    if len(drawn) <= MOST_NAMES:
        handles, names = panels[0].get_legend_handles_labels()
        columns = min(len(names), LEGEND_COLUMNS)
        figure.legend(
            handles, names, loc="outside upper left", ncols=columns, columnspacing=1.6,
            handlelength=1.4, borderaxespad=0.2,
        )  # fmt: skip


def _draw_panel(
    panel: Any, curves: Sequence[tuple[Curve, Array]], unit: str, styles: Styles
) -> None:
    largest = max((float(x.max()) for _, x in curves), default=0.0)
    if not largest:
        panel.text(0.5, 0.5, "not recorded", transform=panel.transAxes, ha="center",
                   color=FAINT_COLOUR)  # fmt: skip
        panel.set_xticks([])
        return
    scale, name = axis_unit(largest, unit)
    for curve, x in curves:
        panel.plot(x / scale, curve.loss, label=curve.name, **_look(curve, len(curves), styles))
    panel.set_xlim(0, largest / scale * 1.03)
    panel.xaxis.set_major_locator(MaxNLocator(5))
    panel.set_xlabel(name)


def _look(curve: Curve, num_curves: int, styles: Styles) -> dict[str, Any]:
    if num_curves > MOST_NAMES:
        return {"color": FAINT_COLOUR, "alpha": 0.35, "linewidth": 1.0}
    return {**styles[curve.name], **marks(curve)}


def marks(curve: Curve) -> dict[str, Any]:
    """Dots where it was measured, as long as they are few; a diamond for a single one."""
    if len(curve.loss) == 1:
        return {"marker": "D", "markersize": 4.5, "linestyle": "none"}
    return {"marker": "o", "markersize": 2.6} if len(curve.loss) <= FEW_POINTS else {}


def axis_unit(largest: float, unit: str) -> tuple[float, str]:
    """By what to divide so that numbers on an axis are short, and what to call them then."""
    if unit == "s":
        steps = ((1.0, "seconds"), (60.0, "minutes"), (3600.0, "hours"), (86400.0, "days"))
        return next(step for step in reversed(steps) if largest >= 3 * step[0] or step[0] == 1.0)
    power = min(int(np.log10(max(largest, 1.0)) // 3), 5)
    if unit in SHORT_UNITS:
        return 1000.0**power, SHORT_UNITS[unit][power]
    names = ("", "thousand ", "million ", "billion ", "trillion ", "quadrillion ")
    return 1000.0**power, f"{names[power]}tokens"


def scale_losses(panel: Any, curves: Sequence[Curve]) -> None:
    """A logarithmic axis if all losses are positive: early losses are large and say little."""
    losses = np.concatenate([curve.loss for curve in curves])
    if losses.min() <= 0:
        return
    panel.set_yscale("log")
    ratio = losses.max() / losses.min()
    subs = next((subs for widest, subs in TICKS.items() if ratio < widest), (1, 2, 5))
    panel.yaxis.set_major_locator(LogLocator(subs=subs))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.minorticks_off()
