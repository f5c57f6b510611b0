"""The loss against every parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hpctrain.report.searches.plots.axes import (
    BEST_COLOUR,
    POINT_COLOUR,
    best_row,
    label,
    remark,
    scale_losses,
    set_parameter_axis,
    titled,
    usable_rows,
)
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.tables import Array

PER_ROW = 4
MOST_PANELS = 16
PANEL_IN = 2.15
SPREAD = 0.06  # of the axis, by which points of the same option are drawn apart
EDGE = 0.11
MOST_SLICED = 800  # points, as there are many panels


def draw_slices(
    records: SearchRecords, names: Sequence[str], effects: Mapping[str, float]
) -> Figure:
    """A panel per parameter of `names` (the first ones), with its effect if that is known."""
    names = names[:MOST_PANELS]
    per_row = min(PER_ROW, len(names))
    num_rows = -(-len(names) // per_row)
    figure, part = titled(f"{records.facts.name}: the loss against every parameter",
                    0.7 + PANEL_IN * num_rows)  # fmt: skip
    panels: Any = part.subplots(num_rows, per_row, sharey=True, squeeze=False)
    rows, thinned = usable_rows(records, MOST_SLICED)
    losses, best = records.losses[:, 0], best_row(records)
    for panel, name in zip(panels.flat, names, strict=False):
        x = _places(records, name)
        panel.plot(x[rows], losses[rows], "o", markersize=2.6, color=POINT_COLOUR, alpha=0.35,
                   markeredgewidth=0)  # fmt: skip
        panel.plot(x[best], losses[best], "D", markersize=5.5, color=BEST_COLOUR, label="the best")
        set_parameter_axis(panel.xaxis, records.parameters[name])
        panel.tick_params(axis="x", labelsize=8)
        panel.set_xlim(-EDGE, 1 + EDGE)
        effect = f"\neffect {effects[name]:.0%}" if name in effects else ""
        panel.set_title(label(name) + effect, fontsize=9)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    beyond = scale_losses(panels[0, 0].yaxis, losses[records.usable])
    for panel in panels[:, 0]:
        panel.set_ylabel("loss")
    handles, texts = panels[0, 0].get_legend_handles_labels()
    part.legend(handles, texts, loc="outside upper left", borderaxespad=0.2)
    left_out = len(records.names) - len(names)
    more = f"{left_out} less important parameters are left out" if left_out else ""
    remark(part, [thinned, beyond, more])
    return figure


def _places(records: SearchRecords, name: str) -> Array:
    parameter = records.parameters[name]
    places = parameter.unit(records.genes[:, records.names.index(name)])
    if parameter.kind != "choice":
        return places
    width = SPREAD / max(len(parameter.options) / 3, 1)
    return np.asarray(places + np.random.default_rng(0).uniform(-width, width, len(places)))
