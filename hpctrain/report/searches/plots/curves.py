"""The values that candidates reported on the way, and where some of them were stopped."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from hpctrain.report.searches.plots.axes import (
    BEST_COLOUR,
    POINT_COLOUR,
    remark,
    scale_losses,
    set_count_axis,
    titled,
)
from hpctrain.report.searches.ranking import ranking
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.style import FAINT_COLOUR
from hpctrain.report.tables import Array
from hpctrain.report.words import plural

HEIGHT_IN = 3.7
MOST_CURVES = 400
SURELY_DRAWN = 100
LOG_FROM = 20.0  # ratio of steps from which their axis is logarithmic

Curve = tuple[int, Array]


def draw_curves(records: SearchRecords) -> Figure:
    """A line per candidate; those that were stopped end in a cross."""
    best = [int(number) for number in records.table["number"][ranking(records).rows]]
    curves, thinned = _curves(records, best)
    stopped = set(records.table["number"][records.outcome == "stopped"].tolist())
    full = sum(number not in stopped for number, _ in curves)
    early = f", {len(curves) - full:,} of them stopped early" if len(curves) > full else ""
    said = f"values of {plural(len(curves), 'candidate')} on the way{early}"
    figure, part = titled(f"{records.facts.name}: {said}", HEIGHT_IN)
    panel: Any = part.subplots()
    _draw_group(panel, [c for n, c in curves if n in stopped], FAINT_COLOUR, "stopped early", "x")
    _draw_group(panel, [c for n, c in curves if n not in stopped], POINT_COLOUR, "went on", "")
    by_number = dict(curves)
    if best and best[0] in by_number:
        panel.plot(*by_number[best[0]].T, color=BEST_COLOUR, linewidth=2.2, label="the best")
    points = np.concatenate([curve for _, curve in curves])
    beyond = scale_losses(panel.yaxis, points[:, 1])
    _scale_steps(panel, points[:, 0])
    panel.set_ylabel("value")
    part.legend(loc="outside upper left", ncols=3, borderaxespad=0.2)
    remark(part, [thinned, beyond])
    return figure


def has_curves(records: SearchRecords) -> bool:
    """Whether any candidate reported finite values for two steps."""
    return any(len(curve) > 1 for curve in _all_curves(records).values())


def _curves(records: SearchRecords, best: list[int]) -> tuple[list[Curve], str]:
    """Those to draw: all, or the best and every so many of the others."""
    found = _all_curves(records)
    if len(found) <= MOST_CURVES:
        return list(found.items()), ""
    surely = [number for number in best if number in found][:SURELY_DRAWN]
    others = [number for number in found if number not in set(surely)]
    places = np.linspace(0, len(others) - 1, MOST_CURVES - len(surely)).round().astype(int)
    numbers = sorted([*surely, *(others[place] for place in places)])
    text = f"{len(numbers):,} of {len(found):,} candidates are drawn, the best among them"
    return [(number, found[number]) for number in numbers], text


def _all_curves(records: SearchRecords) -> dict[int, Array]:
    """(steps, 2) of every candidate: step and value, finite ones only."""
    values = records.values
    finite = np.isfinite(values["value"].astype(np.float64))
    number, step = values["number"][finite], values["step"][finite]
    value = values["value"][finite].astype(np.float64)
    order = np.lexsort((step, number))
    points = np.column_stack((step, value))[order]
    numbers, starts = np.unique(number[order], return_index=True)
    return (
        dict(zip(numbers.tolist(), np.split(points, starts[1:]), strict=True))
        if len(numbers)
        else {}
    )


def _draw_group(panel: Any, curves: list[Array], colour: str, name: str, end: str) -> None:
    if not curves:
        return
    lines = LineCollection(curves, colors=colour, linewidths=0.8, alpha=0.4, label=name)
    panel.add_collection(lines)
    ends = np.array([curve[-1] for curve in curves])
    panel.plot(*ends.T, end or "o", color=colour, markersize=4 if end else 2.5, alpha=0.7)


def _scale_steps(panel: Any, steps: Array) -> None:
    panel.set_xlabel("step")
    if steps.min() > 0 and steps.max() / steps.min() >= LOG_FROM:
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        panel.xaxis.set_minor_locator(NullLocator())
        return
    set_count_axis(panel.xaxis)
