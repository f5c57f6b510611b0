"""How the best loss fell, by evaluations and by time."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpctrain.report.loss_panels import axis_unit
from hpctrain.report.searches.plots.axes import (
    BEST_COLOUR,
    POINT_COLOUR,
    remark,
    scale_losses,
    set_count_axis,
    titled,
    usable_rows,
)
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.style import PHASE_COLOURS
from hpctrain.report.tables import Array

MOST_OBJECTIVES = 3
PANEL_IN = 2.7
FAILED_COLOUR = PHASE_COLOURS["wait"]
MOST_MARKS = 120  # of failures


def draw_history(records: SearchRecords) -> Figure:
    """Every evaluation as a point, the best so far as a line; a row of panels per objective."""
    aims = min(records.num_objectives, MOST_OBJECTIVES)
    figure, part = titled(_title(records), 0.6 + PANEL_IN * aims)
    panels: Any = part.subplots(aims, 2, sharey="row", squeeze=False)
    rows, thinned = usable_rows(records)
    ended = np.arange(1, len(records.losses) + 1)
    scale_s, unit = axis_unit(records.elapsed_s, "s")
    said = [thinned, _failures_text(records)]
    for aim in range(aims):
        losses = records.losses[records.usable, aim]
        for panel, at in zip(panels[aim], (ended, records.table["time_s"] / scale_s), strict=True):
            _draw(panel, records, aim, at, rows)
        said.append(scale_losses(panels[aim, 0].yaxis, losses))
        set_count_axis(panels[aim, 0].xaxis)
        panels[aim, 1].xaxis.set_major_locator(MaxNLocator(5))
        panels[aim, 0].set_ylabel("loss" if records.num_objectives == 1 else _name(aim))
    panels[-1, 0].set_xlabel("candidates that have ended")
    panels[-1, 1].set_xlabel(unit)
    handles, names = panels[0, 0].get_legend_handles_labels()
    part.legend(handles, names, loc="outside upper left", ncols=3, borderaxespad=0.2)
    remark(part, list(dict.fromkeys(said)))
    return figure


def best_so_far(losses: Array, usable: Array) -> Array:
    """The lowest usable loss up to each row; NaN before the first one."""
    lowest = np.minimum.accumulate(np.where(usable, losses, np.inf))
    return np.asarray(np.where(np.isinf(lowest), np.nan, lowest))


def _draw(panel: Any, records: SearchRecords, aim: int, at: Array, rows: Array) -> None:
    losses = records.losses[:, aim]
    best = best_so_far(losses, records.usable)
    panel.plot(
        at[rows], losses[rows], "o", markersize=2.6, color=POINT_COLOUR, alpha=0.35,
        markeredgewidth=0, label="one evaluation",
    )  # fmt: skip
    changes = np.flatnonzero(np.append(True, best[1:] != best[:-1]) & np.isfinite(best))
    shown = np.append(changes, len(best) - 1)
    panel.step(
        at[shown], best[shown], where="post", color=BEST_COLOUR, label="best so far", linewidth=1.8
    )
    failed = np.flatnonzero(records.outcome == "failed")
    if len(failed):
        some = failed[:: -(-len(failed) // MOST_MARKS)]
        panel.plot(
            at[some], np.full(len(some), 0.985), "|", transform=panel.get_xaxis_transform(),
            color=FAILED_COLOUR, markersize=6, label="failed",
        )  # fmt: skip
    panel.set_xlim(0, at.max() * 1.02)


def _failures_text(records: SearchRecords) -> str:
    count = int((records.outcome == "failed").sum())
    return f"every {-(-count // MOST_MARKS)}th failure is marked" if count > MOST_MARKS else ""


def _title(records: SearchRecords) -> str:
    name = records.facts.name
    losses = records.losses[records.usable, 0]
    if records.num_objectives > 1:
        return f"{name}: how the best of each loss fell"
    first, best = losses[0], losses.min()
    return f"{name}: the best loss fell from {first:.3g} to {best:.3g}"


def _name(aim: int) -> str:
    return f"loss_{aim}" if aim else "loss"
