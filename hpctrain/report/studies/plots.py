"""Drawings of a study: differences with their intervals, what was tuned, loss on the way.

Names of methods are the user's: math mode is off, and letters become outlines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from hpctrain.config.study import Cell
from hpctrain.report.figure import OPTIONS, WIDTH_IN
from hpctrain.report.studies.records import StudyRecords
from hpctrain.report.style import FAINT_COLOUR, PLAIN_COLOUR, RC, curve_styles

STUDY_RC = RC | {"text.parse_math": False}
ROW_IN, AROUND_IN, CURVES_IN = 0.26, 0.75, 2.9
BINS = 40

Axis = Literal["steps", "time", "bytes"]


def svg(figure: Figure) -> str:
    """The drawing as text; the same study gives the same one."""
    with matplotlib.rc_context(STUDY_RC):
        buffer = BytesIO()
        figure.savefig(buffer, format="svg", **OPTIONS[".svg"])
    return buffer.getvalue().decode()


def draw_differences(records: StudyRecords, group: Sequence[Cell]) -> Figure:
    """A row for each method: mean difference to the reference, its interval, and every seed."""
    reference = next(cell for cell in group if cell.method == records.reference)
    cells = [cell for cell in group if math.isfinite(records.against(cell, reference).mean)]
    cells.sort(key=lambda cell: -records.spread(cell).mean)
    with matplotlib.rc_context(STUDY_RC):
        figure = Figure((WIDTH_IN, AROUND_IN + ROW_IN * max(len(cells), 2)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        axes.axvline(0, color=FAINT_COLOUR, linewidth=1)
        base = records.losses(reference)
        for row, cell in enumerate(cells):
            against = records.against(cell, reference)
            if cell != reference and math.isfinite(against.low):
                axes.plot([against.low, against.high], [row, row], color=PLAIN_COLOUR, linewidth=3,
                          alpha=0.45, solid_capstyle="butt")  # fmt: skip
            seeds = [100 * (a / b - 1) for a, b in zip(records.losses(cell), base, strict=True)]
            axes.plot(seeds, [row] * len(seeds), ".", color=FAINT_COLOUR, markersize=4)
            axes.plot([against.mean], [row], "o", color=PLAIN_COLOUR, markersize=6)
        axes.set_yticks(range(len(cells)), [cell.method for cell in cells])
        axes.set_xlabel(f"loss, difference to {records.reference} in % (95 % interval, seeds)")
        axes.grid(axis="y", visible=False)
    return figure


def draw_tuning(records: StudyRecords, group: Sequence[Cell]) -> Figure:
    """Loss over the tuned key, by method: was each tuned to where it is best?"""
    styles = curve_styles([cell.method for cell in group])
    with matplotlib.rc_context(STUDY_RC):
        figure, axes = _axes()
        for cell in group:
            trials = sorted(t for t in records.tuned[cell].trials if math.isfinite(t[1]))
            if trials:
                x, y = zip(*trials, strict=True)
                axes.plot(x, y, marker="o", markersize=3.5, label=cell.method,
                          **styles[cell.method])  # fmt: skip
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(records.study.tune.key)
        axes.set_ylabel("loss of the trials")
        axes.legend(ncols=2, fontsize=8)
    return figure


def draw_curves(records: StudyRecords, group: Sequence[Cell], along: Axis) -> Figure | None:
    """Mean loss over domains and seeds along steps, time or bytes; None if nothing was measured."""
    styles = curve_styles([cell.method for cell in group])
    drawn = False
    with matplotlib.rc_context(STUDY_RC):
        figure, axes = _axes()
        for cell in group:
            points = _curve(records, cell, along)
            if len(points) > 1:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, label=cell.method, **styles[cell.method])
                drawn = True
        axes.set_xlabel({"steps": "inner steps of all islands", "time": "virtual seconds",
                         "bytes": "bytes sent, as if evenly over the time"}[along])  # fmt: skip
        axes.set_ylabel("held-out loss")
        if drawn:
            axes.legend(ncols=2, fontsize=8)
    return figure if drawn else None


def _axes() -> tuple[Figure, Any]:
    figure = Figure((WIDTH_IN, CURVES_IN), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _curve(records: StudyRecords, cell: Cell, along: Axis) -> list[tuple[float, float]]:
    """Bins of the evaluations of all seeds; in each the mean over domains of their means."""
    rows: list[tuple[float, str, float]] = []
    for seed in records.study.seeds:
        outcome = records.outcomes[cell, seed]
        total = outcome.get("virtual_s") or math.nan
        for time_s, steps, domain, loss in outcome.get("curve") or ():
            if loss is not None:
                x = {"steps": float(steps), "time": time_s,
                     "bytes": outcome["bytes"] * time_s / total}[along]  # fmt: skip
                rows.append((x, domain, loss))
    if not rows:
        return []
    x = np.array([row[0] for row in rows])
    edges = np.linspace(x.min(), x.max(), BINS + 1)
    places = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, BINS - 1)
    names = {row[1] for row in rows}
    points = []
    for bin_ in range(BINS):
        chosen = [rows[i] for i in np.flatnonzero(places == bin_)]
        means = [np.mean([loss for _, d, loss in chosen if d == name])
                 for name in names if any(d == name for _, d, _ in chosen)]  # fmt: skip
        if len(means) == len(names):
            points.append((float((edges[bin_] + edges[bin_ + 1]) / 2), float(np.mean(means))))
    return points
