"""The Pareto front: what one objective costs in terms of another."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hpctrain.report.searches.plots.axes import (
    BEST_COLOUR,
    POINT_COLOUR,
    remark,
    scale_losses,
    titled,
    usable_rows,
)
from hpctrain.report.searches.ranking import ranking
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.searches.texts import loss_names
from hpctrain.report.words import plural

HEIGHT_IN = 4.2
MOST_PANELS = 3


def draw_front(records: SearchRecords) -> Figure:
    """A panel per pair of objectives; with two, the front is joined by a line."""
    best = ranking(records)
    title = f"{plural(len(best.rows), 'candidate')} on the front of {records.usable.sum():,}"
    figure, part = titled(f"{records.facts.name}: {title}", HEIGHT_IN)
    pairs = list(combinations(range(records.num_objectives), 2))[:MOST_PANELS]
    panels: Any = part.subplots(1, len(pairs), squeeze=False)
    rows, thinned = usable_rows(records)
    names, said = loss_names(records), [thinned]
    for panel, (a, b) in zip(panels[0], pairs, strict=True):
        panel.plot(
            records.losses[rows, a], records.losses[rows, b], "o", markersize=3,
            color=POINT_COLOUR, alpha=0.35, markeredgewidth=0, label="one evaluation",
        )  # fmt: skip
        if len(names) == 2:
            panel.step(best.losses[:, a], best.losses[:, b], where="post", color=BEST_COLOUR,
                       linewidth=1.0, alpha=0.7)  # fmt: skip
        panel.plot(best.losses[:, a], best.losses[:, b], "o", markersize=4.5, color=BEST_COLOUR,
                   label="on the front")  # fmt: skip
        losses = records.losses[np.flatnonzero(records.usable)]
        said += [scale_losses(panel.xaxis, losses[:, a]), scale_losses(panel.yaxis, losses[:, b])]
        panel.set_xlabel(names[a])
        panel.set_ylabel(names[b])
    handles, texts = panels[0, 0].get_legend_handles_labels()
    part.legend(handles, texts, loc="outside upper left", ncols=2, borderaxespad=0.2)
    remark(part, said)
    return figure
