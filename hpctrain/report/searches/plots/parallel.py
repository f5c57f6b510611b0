"""Parallel coordinates: every candidate a line over all parameters, the good ones dark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from hpctrain.report.searches.plots.axes import (
    LONGEST_NAME,
    by_rank,
    colours,
    label,
    remark,
    ticks,
    titled,
    usable_rows,
)
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.style import FAINT_COLOUR, TEXT_COLOUR
from hpctrain.report.tables import Array

HEIGHT_IN = 4.1
MOST_AXES = 10
MOST_LINES = 400
WITHOUT = -0.13  # height at which lines pass a parameter that does not apply
SPREAD = 0.035  # by which lines through the same option are drawn apart
TICK = 0.045
LABEL_ROOM = 112  # characters beside each other over the whole width
LABEL_BOX = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.6}


def draw_parallel(records: SearchRecords, names: Sequence[str]) -> Figure:
    """One axis per parameter of `names` (the first ones), and one of the rank of the loss."""
    figure, part = titled(
        f"{records.facts.name}: what the good candidates have in common", HEIGHT_IN
    )
    panel: Any = part.subplots()
    rows, thinned = usable_rows(records, MOST_LINES)
    names = names[:MOST_AXES]
    ranks = by_rank(records.losses[rows, 0])
    heights = np.column_stack([*(_heights(records, name, rows) for name in names), 1 - ranks])
    x = np.arange(len(names) + 1)
    lines = np.stack([np.broadcast_to(x, heights.shape), heights], axis=-1)
    panel.add_collection(
        LineCollection(
            list(lines), colors=colours(ranks), linewidths=0.5 + 1.1 * (1 - ranks) ** 2,
            alpha=0.55,
        )
    )  # fmt: skip
    for place, name in enumerate(names):
        _draw_axis(panel, place, *ticks(records.parameters[name]))
    _draw_axis(panel, len(names), *_loss_ticks(records.losses[rows, 0]))
    longest = min(LABEL_ROOM // (len(names) + 1), LONGEST_NAME)
    labels = [label(name, longest) for name in names]
    panel.set_xticks(x, [*labels, "loss\n(by rank)"], color=TEXT_COLOUR, fontsize=8.5)
    panel.xaxis.tick_top()
    _clear(panel, len(names))
    lacking = np.isnan(records.genes[rows]).any()
    if lacking:
        panel.text(-0.12, WITHOUT, "does not\napply", ha="right", va="center", fontsize=8,
                   color=FAINT_COLOUR)  # fmt: skip
    panel.set_ylim(WITHOUT - 0.04 if lacking else -0.06, 1.06)
    left_out = len(records.names) - len(names)
    more = f"{left_out} less important parameters are left out" if left_out else ""
    remark(part, [thinned, more])
    return figure


def _heights(records: SearchRecords, name: str, rows: Array) -> Array:
    parameter = records.parameters[name]
    heights = parameter.unit(records.genes[rows, records.names.index(name)])
    if parameter.kind == "choice":
        apart = np.random.default_rng(0).uniform(-SPREAD, SPREAD, len(rows))
        heights = np.clip(heights + apart, -SPREAD, 1 + SPREAD)
    return np.nan_to_num(heights, nan=WITHOUT)


def _loss_ticks(losses: Array) -> tuple[list[float], list[str]]:
    """The losses at the quarters of the ranking; the best is at the top."""
    ordered = np.sort(losses)
    shares = np.linspace(0, 1, 5)
    chosen = ordered[(shares * (len(ordered) - 1)).round().astype(int)]
    return (1 - shares).tolist(), [f"{loss:.3g}" for loss in chosen]


def _draw_axis(panel: Any, x: float, places: Sequence[float], labels: Sequence[str]) -> None:
    panel.plot([x, x], [0, 1], color=TEXT_COLOUR, linewidth=0.9, zorder=4)
    for place, text in zip(places, labels, strict=True):
        panel.plot([x, x + TICK], [place, place], color=TEXT_COLOUR, linewidth=0.8, zorder=4)
        panel.text(x + 1.4 * TICK, place, text, fontsize=8, va="center", zorder=5, bbox=LABEL_BOX)


def _clear(panel: Any, num_axes: int) -> None:
    panel.set_xlim(-0.1, num_axes + 0.45)
    panel.set_yticks([])
    panel.grid(visible=False)
    panel.tick_params(axis="x", length=0, pad=4)
    for spine in panel.spines.values():
        spine.set_visible(False)
