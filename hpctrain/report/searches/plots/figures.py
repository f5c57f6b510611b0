"""Which drawings there are of a search, and how they become files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from hpctrain.report.figure import DPI, OPTIONS
from hpctrain.report.searches.importance import importance
from hpctrain.report.searches.plots.curves import draw_curves, has_curves
from hpctrain.report.searches.plots.front import draw_front
from hpctrain.report.searches.plots.history import draw_history
from hpctrain.report.searches.plots.parallel import draw_parallel
from hpctrain.report.searches.plots.slices import draw_slices
from hpctrain.report.searches.plots.workers import draw_workers
from hpctrain.report.searches.records import SearchRecords
from hpctrain.report.style import RC

SEARCH_RC = RC | {"text.parse_math": False}  # a parameter may be called $x$


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing that has not been made yet.

    Attributes:
        name: in file names.
        text: what it shows, for those who cannot see it.
    """

    name: str
    text: str
    make: Callable[[], Figure]


def drawings(records: SearchRecords) -> list[Drawing]:
    """Those that make sense for this search."""
    if not records.usable.any():
        return []
    effects = dict(importance(records).effects)
    names = sorted(records.names, key=lambda name: -effects.get(name, 0.0))
    found = [
        Drawing("history", "Loss against evaluations and time.", lambda: draw_history(records))
    ]
    if records.num_objectives > 1:
        found.append(Drawing("front", "The Pareto front.", lambda: draw_front(records)))
    if records.names:
        found += [
            Drawing(
                "slices", "The loss against every parameter.",
                lambda: draw_slices(records, names, effects),
            ),
            Drawing(
                "parallel", "Parallel coordinates of all parameters.",
                lambda: draw_parallel(records, names),
            ),
        ]  # fmt: skip
    if has_curves(records):
        found.append(Drawing("curves", "Values on the way.", lambda: draw_curves(records)))
    found.append(Drawing("workers", "Where the workers' time went.", lambda: draw_workers(records)))
    return found


def drawing_bytes(drawing: Drawing, suffix: str) -> bytes:
    """The file `.png` or `.svg` of a drawing; the same search gives the same bytes."""
    with matplotlib.rc_context(SEARCH_RC):
        figure = drawing.make()
        FigureCanvasAgg(figure)
        buffer = BytesIO()
        figure.savefig(buffer, format=suffix[1:], dpi=DPI, **OPTIONS[suffix])
    return buffer.getvalue()
