"""What the drawings of a search share: axes of losses and parameters, colours, which points."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from hpctrain.report.searches.ranking import ranking
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.searches.space import Parameter, value_text
from hpctrain.report.style import FAINT_COLOUR
from hpctrain.report.tables import Array

WIDTH_IN = 9.0
MOST_POINTS = 2000
THINNING = 2.0  # power of the rank by which points are left out: the worse, the more
LOG_FROM = 30.0  # ratio of losses from which their axis is logarithmic
LONGEST_NAME = 16
LONGEST_OPTION = 11
MOST_TICKS = 8
BEST_COLOUR = "#D55E00"  # vermilion and blue of Okabe and Ito; see `style`
POINT_COLOUR = "#0072B2"
COLOUR_MAP = "viridis"  # the best are dark: told apart by lightness alone


def titled(title: str, height_in: float) -> tuple[Figure, Any]:
    """An empty figure with a title at its left, and the part below it, which is to be drawn on."""
    figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
    figure.suptitle(title, x=0.012, ha="left", fontsize=11.5, fontweight="bold")
    return figure, figure.subfigures(1, 1)


def usable_rows(records: SearchRecords, most: int = MOST_POINTS) -> tuple[Array, str]:
    """Rows to draw, the best last so that they lie on top; and what to say if some were left out.

    Of very many rows the best are drawn, and the worse they are, the fewer.
    """
    rows = np.flatnonzero(records.usable)
    order = rows[np.argsort(records.losses[rows, 0], kind="stable")]
    if len(order) <= most:
        return order[::-1], ""
    places = (len(order) - 1) * np.linspace(0, 1, most) ** THINNING
    kept = order[np.unique(places.round().astype(int))]
    return kept[::-1], (
        f"{len(kept):,} of {len(order):,} evaluations are drawn: the better, the more of them"
    )


def best_row(records: SearchRecords) -> int:
    """The row of the best candidate by the first loss; -1 if there is none."""
    best = ranking(records)
    return int(best.rows[0]) if len(best.rows) else -1


def scale_losses(axis: Any, losses: Array) -> str:
    """Set up an axis of losses; says what lies beyond it.

    It is logarithmic if all are positive and differ much. Else a few very bad losses do not squeeze
    the others: it ends above nine tenths of them.
    """
    low, high = float(losses.min()), float(losses.max())
    if low > 0 and high / low >= LOG_FROM:
        _set_scale(axis, "log")
        decades = ceil(log10(high / low))
        axis.set_major_locator(LogLocator(numticks=MOST_TICKS, subs=_subs(decades)))
        axis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axis.set_minor_locator(NullLocator())
        return ""
    top = float(np.quantile(losses, 0.9))
    edge = top + 1.0 * (top - low)
    axis.set_major_locator(MaxNLocator(6))
    axis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    if not low < edge < high:
        return ""
    _set_limits(axis, low - 0.05 * (edge - low), edge)
    beyond = int((losses > edge).sum())
    return f"{beyond:,} with a loss above {edge:.3g} not shown"


def set_parameter_axis(axis: Any, parameter: Parameter) -> None:
    """An axis of a parameter in unit coordinates, with ticks at values to read."""
    places, labels = ticks(parameter)
    axis.set_ticks(places, labels)


def ticks(parameter: Parameter) -> tuple[list[float], list[str]]:
    """Where in 0..1 an axis of the parameter has which labels."""
    if parameter.kind == "choice":
        values = list(range(len(parameter.options)))
        every = -(-len(values) // MOST_TICKS)
        shown = values[::every]
        labels = [clipped(value_text(parameter.options[value])) for value in shown]
        return parameter.unit(np.array(shown, float)).tolist(), labels
    numbers = _numbers(parameter)
    places = parameter.unit(np.array(numbers)).tolist()
    return places, [_number(value) for value in numbers]


def label(name: str, longest: int = LONGEST_NAME) -> str:
    """A name of a parameter for an axis; names of sections stand on a line of their own."""
    head, dot, tail = name.rpartition(".")
    if len(name) <= longest or not dot:
        return _without_middle(name, longest)
    return f"{_without_middle(head + dot, longest)}\n{_without_middle(tail, longest)}"


def clipped(text: str, longest: int = LONGEST_OPTION) -> str:
    """A text of at most so many characters, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def by_rank(losses: Array) -> Array:
    """Places in 0..1 by the order of the losses, the best at 0: what colours show."""
    order = np.argsort(np.argsort(losses, kind="stable"), kind="stable")
    return np.asarray(order / max(len(losses) - 1, 1))


def colours(ranks: Array) -> Array:
    return np.asarray(matplotlib.colormaps[COLOUR_MAP](ranks * 0.92))  # the end is too pale


def set_count_axis(axis: Any) -> None:
    """An axis of candidates or steps."""
    axis.set_major_locator(MaxNLocator(5, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def remark(figure: Any, texts: Sequence[str]) -> None:
    """Small print below the panels."""
    said = "; ".join(text for text in texts if text)
    if said:
        figure.supxlabel(said, x=0.012, ha="left", fontsize=8, color=FAINT_COLOUR)


def _numbers(parameter: Parameter) -> list[float]:
    low, high = parameter.low, parameter.high
    if parameter.log and high / low >= 100:
        exponents = range(ceil(log10(low) - 1e-9), floor(log10(high) + 1e-9) + 1)
        every = -(-len(exponents) // 5)
        return [10.0**exponent for exponent in exponents][::every]
    if parameter.log:
        found = [base * 10.0**e for e in range(floor(log10(low)), ceil(log10(high)) + 1)
                 for base in (1, 2, 5)]  # fmt: skip
    else:
        locator = MaxNLocator(4, integer=parameter.kind == "int")
        found = list(locator.tick_values(low, high))
    inside = [x for x in found if low * (1 - 1e-9) <= x <= high * (1 + 1e-9) or low <= x <= high]
    return inside or [low, high]


def _number(value: float) -> str:
    return f"{value:.4g}"


def _subs(decades: int) -> tuple[float, ...]:
    return (1.0,) if decades > 3 else (1.0, 2.0, 5.0) if decades > 1 else (1.0, 2.0, 3.0, 5.0)


def _set_scale(axis: Any, scale: str) -> None:
    (axis.axes.set_yscale if axis.axis_name == "y" else axis.axes.set_xscale)(scale)


def _set_limits(axis: Any, low: float, high: float) -> None:
    (axis.axes.set_ylim if axis.axis_name == "y" else axis.axes.set_xlim)(low, high)


def _without_middle(text: str, longest: int) -> str:
    """Names that are alike often differ at the end."""
    line = " ".join(text.split())
    if len(line) <= longest:
        return line
    end = longest // 2
    return f"{line[: longest - end - 1]}…{line[-end:]}"
