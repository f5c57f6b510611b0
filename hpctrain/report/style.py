"""How drawings look: colours that colour-blind readers can tell apart, and few lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Okabe and Ito, "Color Universal Design" (2008), without yellow and black: too pale, too heavy.
CURVE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
CURVE_DASHES = ("-", "--", ":", "-.")  # when the colours are used up
PLAIN_COLOUR = "#4F7296"  # of an island that has no curve of its own
# Work is pale, so that what is not work can be seen; they differ in lightness as well.
PHASE_COLOURS = {
    "compute": "#D3DBE1",
    "exchange": "#6C8CA3",
    "wait": "#A61C2D",
    "evaluate": "#F2B56B",
    "checkpoint": "#2B2B2B",
}
TEXT_COLOUR = "#222222"
FAINT_COLOUR = "#777777"

RC: Any = {  # the type of its keys differs between versions of matplotlib
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same picture everywhere
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT_COLOUR,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT_COLOUR,
    "ytick.color": FAINT_COLOUR,
    "xtick.labelcolor": TEXT_COLOUR,
    "ytick.labelcolor": TEXT_COLOUR,
    "text.color": TEXT_COLOUR,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.hashsalt": "hpctrain",  # the same run gives the same file
    "svg.fonttype": "path",
}


def curve_styles(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """A colour and dashes for each name, the same in every panel."""
    colours = len(CURVE_COLOURS)
    return {
        name: {
            "color": CURVE_COLOURS[place % colours],
            "linestyle": CURVE_DASHES[place // colours % len(CURVE_DASHES)],
        }
        for place, name in enumerate(names)
    }
