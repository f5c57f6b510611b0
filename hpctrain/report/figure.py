"""The drawing of a run: losses above, islands below. Figures only, no window and no pyplot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpctrain.report.accounts import IslandAccount
from hpctrain.report.facts import RunFacts
from hpctrain.report.groups import read_groups
from hpctrain.report.island_panels import draw_islands, shown_islands
from hpctrain.report.loss_panels import MOST_NAMES, draw_losses
from hpctrain.report.losses import held_out_curves, training_curves
from hpctrain.report.records import Records
from hpctrain.report.style import RC, curve_styles
from hpctrain.report.words import count_text, plural, seconds_text

DPI = 130
# The same run gives the same file: nothing about when and by what it was drawn.
OPTIONS: dict[str, dict[str, Any]] = {
    ".png": {"metadata": {"Software": None}, "pil_kwargs": {"optimize": True}},
    ".svg": {"metadata": {"Date": None}},
}
WIDTH_IN = 9.0  # 900 px in a README leave a 9 pt font at 12.5 px
TITLE: dict[str, Any] = {"x": 0.012, "ha": "left", "fontsize": 11.5, "fontweight": "bold"}
LOSSES_IN = 3.0
ISLAND_IN = 0.46
AROUND_ISLANDS_IN = 1.15


def save(draw: Callable[[], Figure], path: Path) -> None:
    """Write what `draw` draws, in the house style, as the end of the path's name says."""
    with matplotlib.rc_context(RC | {"text.parse_math": False}):  # a tensor may be called $x$
        draw().savefig(path, dpi=DPI, **OPTIONS[path.suffix])


def draw_run(facts: RunFacts, records: Records, accounts: Sequence[IslandAccount]) -> Figure:
    """All panels of one run."""
    islands = shown_islands(accounts)
    islands_in = AROUND_ISLANDS_IN + ISLAND_IN * max(len(islands), 2)
    figure = Figure(figsize=(WIDTH_IN, LOSSES_IN + islands_in), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(run_title(facts, records), **TITLE)
    parts: Any = figure.subfigures(2, 1, height_ratios=(LOSSES_IN, islands_in))
    above, below = parts
    curves, what = held_out_curves(facts, records), "held-out loss"
    if not curves:
        curves, what = training_curves(facts, records), "training loss"
    styles = curve_styles([curve.name for curve in curves])
    draw_losses(above, curves, what, styles, records.rounds)
    named = len(styles) <= MOST_NAMES
    colours = {name: style["color"] for name, style in styles.items() if named}
    draw_islands(below, islands, len(accounts), colours, read_groups(records.updates))
    return figure


def run_title(facts: RunFacts, records: Records) -> str:
    """What was run, and how much of it."""
    islands = plural(max(len(facts.islands), 1), "island")
    pace = " of unequal pace (emulated)" if facts.is_paced else ""
    method = f"{facts.method} on " if facts.method else ""
    steps = int(records.rounds["steps"].sum())
    size = f", {count_text(steps)} steps in {seconds_text(records.elapsed_s)}" if steps else ""
    return f"{facts.name}: {method}{islands}{pace}{size}"
