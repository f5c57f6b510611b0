"""How stale groups of pushes were, and the single pushes beside them: one histogram of both."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from hpctrain.report.groups import Groups
from hpctrain.report.style import CURVE_COLOURS, FAINT_COLOUR, PLAIN_COLOUR
from hpctrain.report.tables import Array

MOST_BINS = 40
FEWEST_BINS = 4  # a lone bar would be as wide as the panel
SINGLE_COLOUR = CURVE_COLOURS[4]


def draw_groups(panel: Any, groups: Groups) -> None:
    """A histogram, or a sentence if nothing was stale."""
    single = groups.single_staleness
    panel.grid(axis="x", visible=False)
    if not groups.staleness.any() and not len(single):
        say_only(panel, f"{groups.text}: nothing was stale")
        return
    edges = version_edges(np.concatenate([groups.staleness, single]))
    width, floor = edges[1] - edges[0], np.zeros(len(edges) - 1)
    middles = edges[:-1] + (width - 1) / 2
    parts = ((groups.staleness, PLAIN_COLOUR, groups.text),
             (single, SINGLE_COLOUR, f"{len(single):,} merged alone"))  # fmt: skip
    for staleness, colour, name in parts:
        if len(staleness):
            counts, _ = np.histogram(staleness, edges)
            panel.bar(middles, counts, 0.82 * width, floor, color=colour, label=name)
            floor = floor + counts
    panel.set_xlim(-0.6 * width, max(edges[-1], FEWEST_BINS * width) - 0.4 * width)
    panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panel.set_xlabel("versions behind, at arrival")
    panel.set_ylabel("merges")
    panel.legend(
        loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, columnspacing=1.2,
        handlelength=0.9, handletextpad=0.5, borderaxespad=0.1, fontsize=8.5,
    )  # fmt: skip


def version_edges(staleness: Array) -> Array:
    """Bins of as many whole versions as leave not too many of them."""
    largest = int(staleness.max())
    width = max(1, -(-(largest + 1) // MOST_BINS))
    return np.arange(0, largest + width + 1, width)


def say_only(panel: Any, text: str) -> None:
    """A panel with nothing to draw."""
    panel.text(0.5, 0.5, text, transform=panel.transAxes, ha="center", color=FAINT_COLOUR)
    panel.set_xticks([])
    panel.set_yticks([])
    panel.spines[["bottom", "left"]].set_visible(False)
