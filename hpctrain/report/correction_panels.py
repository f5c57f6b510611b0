"""`show-corrections`: a row per tensor, a column per stretch of time, two panels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hpctrain.report.correction_map import CorrectionMap
from hpctrain.report.figure import TITLE, WIDTH_IN
from hpctrain.report.loss_panels import axis_unit
from hpctrain.report.style import CURVE_COLOURS
from hpctrain.report.tables import Array

TENSOR_IN, AROUND_IN = 0.165, 1.6
FEWEST_ROWS = 6
LONGEST_NAME = 44
MIDDLE = "#DADADA"  # darker than the paper: a cell without rows stays white
AMOUNTS = LinearSegmentedColormap.from_list(
    "amounts", ["#E3E8EC", "#F2B56B", "#D55E00", "#7A1420", "#2A0A12"]
)
COSINES = LinearSegmentedColormap.from_list(
    "cosines", [CURVE_COLOURS[1], "#F0B78E", MIDDLE, "#8DBBDA", CURVE_COLOURS[0]]
)


def draw_corrections(title: str, found: CorrectionMap) -> Figure:
    """Two panels with the same rows and columns."""
    height_in = AROUND_IN + TENSOR_IN * max(len(found.tensors), FEWEST_ROWS)
    figure = Figure((WIDTH_IN, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(f"{title}{_left_out(found)}", **TITLE)
    panels = figure.subplots(1, 2, sharey=True)
    # Most corrections are small: the root of the amount leaves them apart.
    scales: tuple[tuple[str, Array, Colormap, Normalize, list[float], str], ...] = (
        ("how much was changed", found.amount, AMOUNTS, PowerNorm(0.5, 0.0, 1.0),
         [0.0, 0.05, 0.2, 0.5, 1.0], "mean length of the change, in pseudo-gradients"),
        ("cosine to the outer momentum", found.cosine, COSINES, Normalize(-1.0, 1.0),
         [-1.0, -0.5, 0.0, 0.5, 1.0], "mean cosine before the push"),
    )  # fmt: skip
    for panel, (name, values, colours, norm, ticks, label) in zip(panels, scales, strict=True):
        panel.set_title(name)
        mesh = _draw(panel, found, values, colours, norm)
        bar = figure.colorbar(
            mesh, ax=panel, location="bottom", ticks=ticks, label=label, aspect=32, pad=0.02,
            extend="max" if norm.vmin == 0 and (values > 1.0).any() else "neither",
        )  # fmt: skip
        bar.ax.set_xticklabels([f"{tick:g}" for tick in ticks])
        bar.outline.set_visible(False)
    panels[0].set_ylim(len(found.tensors) - 0.5, -0.5)
    panels[0].set_yticks(range(len(found.tensors)), _labels(found.tensors))
    return figure


def _left_out(found: CorrectionMap) -> str:
    if not found.left_out:
        return ""
    num = len(found.tensors)
    return f"\nthe {num} tensors that were changed most; {found.left_out} others are left out"


def _draw(
    panel: Any, found: CorrectionMap, values: Array, colours: Colormap, norm: Normalize
) -> Any:
    scale, unit = axis_unit(float(found.edges_s[-1]), "s")
    rows = [row - 0.5 for row in range(len(found.tensors) + 1)]
    mesh = panel.pcolormesh(found.edges_s / scale, rows, values, cmap=colours, norm=norm)
    panel.grid(visible=False)
    panel.tick_params(axis="y", length=0, labelsize=7.5)
    panel.set_xlabel(f"{unit} (white: nothing known)" if np.isnan(values).any() else unit)
    panel.xaxis.set_major_locator(MaxNLocator(6))
    for side in ("left", "bottom"):
        panel.spines[side].set_visible(False)
    return mesh


def _labels(names: Sequence[str]) -> list[str]:
    """Long names without what all of them begin with, and without their middles."""
    if max(map(len, names)) > LONGEST_NAME:
        parts = [name.split(".") for name in names]
        shared = sum(
            1 for _ in takewhile(lambda some: len(set(some)) == 1, zip(*parts, strict=False))
        )
        if 1 < shared < min(map(len, parts)):
            names = ["..." + ".".join(some[shared - 1 :]) for some in parts]
    return [_short(name) for name in names]


def _short(name: str) -> str:
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 3) // 2
    return f"{name[:half]}...{name[-half:]}"
