"""`show-along`: held-out loss against all that it cost: tokens, time, bytes, energy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpctrain.report.energy_along import EnergyAlong
from hpctrain.report.figure import TITLE, WIDTH_IN
from hpctrain.report.loss_panels import LEGEND_COLUMNS, MOST_NAMES, axis_unit, marks, scale_losses
from hpctrain.report.losses import Curve, done_by, mean_curve, repeated
from hpctrain.report.style import FAINT_COLOUR, TEXT_COLOUR, curve_styles
from hpctrain.report.tables import Array, Table

ROW_IN, AROUND_IN = 2.5, 0.75
FAINT = 0.4
MEAN: dict[str, Any] = {"color": TEXT_COLOUR, "linewidth": 2.0, "zorder": 3}


@dataclass(frozen=True, slots=True)
class Cost:
    """Something that was spent: how much by each of some times, and what it is called.

    Attributes:
        name: for a title.
        unit: as `axis_unit` takes it.
        words: for the axis, after the unit.
    """

    name: str
    by: Callable[[Array], Array]
    unit: str
    words: str = ""


def draw_along(
    title: str, curves: Sequence[Curve], rounds: Table, energy: EnergyAlong | None
) -> Figure:
    """A panel for each cost that is known.

    Args:
        title: of the figure.
        curves: of all domains; at least one was measured more than once.
        rounds: rows of kind `round`.
        energy: None if nothing is known of it.
    """
    drawn, mean = repeated(curves), mean_curve(curves)
    costs = [c for c in _costs(rounds, energy) if any(c.by(curve.time_s).any() for curve in drawn)]
    rows = 2 if len(costs) == 4 else 1
    figure = Figure((WIDTH_IN, AROUND_IN + ROW_IN * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, **TITLE)
    body: Any = figure.subfigures(1, 1)  # so that the legend leaves the title its room
    grid = body.subplots(rows, len(costs) // rows, sharey=True, squeeze=False)
    for panel, cost in zip(grid.flat, costs, strict=True):
        _draw(panel, drawn, mean, cost)
    for panel in grid[:, 0]:
        panel.set_ylabel("held-out loss")
    scale_losses(grid[0, 0], drawn)
    _legend(body, grid[0, 0])
    return figure


def _costs(rounds: Table, energy: EnergyAlong | None) -> Iterator[Cost]:
    yield Cost("tokens of all islands", lambda at: done_by(rounds, "tokens", at), "")
    yield Cost("time", lambda at: at, "s")
    yield Cost("bytes sent by all islands", lambda at: done_by(rounds, "bytes_sent", at), "B")
    if energy is not None:
        yield Cost("energy of all hosts", energy.by, "J", f", {energy.words}")


def _draw(panel: Any, curves: Sequence[Curve], mean: Curve, cost: Cost) -> None:
    """The domains faintly, and the mean over them; a single domain plainly."""
    largest = max(float(cost.by(curve.time_s).max()) for curve in curves)
    scale, unit = axis_unit(largest, cost.unit)
    styles = curve_styles([curve.name for curve in curves])
    for curve in curves if len(curves) > 1 else ():
        look: dict[str, Any] = {"color": FAINT_COLOUR, "linewidth": 1.0}
        if len(curves) <= MOST_NAMES:
            look = {**styles[curve.name], "label": curve.name}
        panel.plot(cost.by(curve.time_s) / scale, curve.loss, alpha=FAINT, **look)
    panel.plot(cost.by(mean.time_s) / scale, mean.loss, label=mean.name, **MEAN, **marks(mean))
    panel.set_title(f"against {cost.name}")
    panel.set_xlabel(unit + cost.words)
    panel.set_xlim(0, largest / scale * 1.03)


def _legend(figure: Any, panel: Any) -> None:
    handles, names = panel.get_legend_handles_labels()
    figure.legend(
        [handles[-1], *handles[:-1]], [names[-1], *names[:-1]], loc="outside upper left",
        ncols=min(len(names), LEGEND_COLUMNS), columnspacing=1.6, handlelength=1.4,
        borderaxespad=0.2,
    )  # fmt: skip
