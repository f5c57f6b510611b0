"""A study as one HTML page that needs nothing else: no network, no scripts.

Everything is escaped by the template; the drawings are of our own making, their letters outlines.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from hpctrain.config.study import Cell
from hpctrain.errors import HpctrainError
from hpctrain.report.plot import need_matplotlib
from hpctrain.report.searches.page import inline_svg, make_environment
from hpctrain.report.studies.records import StudyRecords
from hpctrain.report.studies.terminal import HEADS, about, rows_of, title_of

TEMPLATE = "study.html.jinja"


def write_page(records: StudyRecords, path: Path) -> Path:
    """Write the page; the same study gives the same one.

    Raises:
        HpctrainError: if Jinja2 or matplotlib is missing, or the file cannot be written.
    """
    text = render_page(records)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HpctrainError(f"cannot write {path}: {error}") from error
    return path


def render_page(records: StudyRecords) -> str:
    """The page as text."""
    here = Path(__file__).parent
    environment = make_environment(here, here.parent / "energies")
    need_matplotlib()
    text: str = environment.get_template(TEMPLATE).render(
        title=records.study.name,
        about=list(about(records)),
        places=[_place(records, group, n) for n, group in enumerate(records.places())],
        heads=HEADS,
    )
    return text


def _place(records: StudyRecords, group: Sequence[Cell], number: int) -> dict[str, Any]:
    cells = sorted(group, key=lambda cell: _rank(records, cell))
    domains = list(dict.fromkeys(d for cell in cells for d in records.by_domain(cell)))
    return {
        "title": title_of(records, cells[0]),
        "rows": list(rows_of(records, list(group))),
        "domains": domains,
        "by_domain": [
            [cell.method, *(_text(records.by_domain(cell).get(d, math.nan)) for d in domains)]
            for cell in cells
        ],
        "workers": _workers(records, cells),
        "corrections": [
            [cell.method, _text(records.mean_of(cell, "cosine"), "{:+.3f}"),
             *(_text(records.mean_of(cell, name), "{:.0f}")
               for name in ("kept", "shrunk", "rotated", "refused"))]
            for cell in cells
        ],
        "drawings": list(_drawings(records, group, number)),
    }  # fmt: skip


def _workers(records: StudyRecords, cells: Sequence[Cell]) -> list[list[str]]:
    """By method and worker: share of the steps, of the weight, staleness, idle."""
    rows = []
    for cell in cells:
        steps, weight = (records.by_worker(cell, name) for name in ("steps_by_worker", "weight"))
        stale, idle = (records.by_worker(cell, name) for name in ("staleness", "idle"))
        for worker in range(len(steps)):
            rows.append([
                f"{cell.method}, worker {worker}", _part(steps, worker), _part(weight, worker),
                _text(stale[worker], "{:.1f}"), _text(idle[worker], "{:.0%}"),
            ])  # fmt: skip
    return rows


def _drawings(
    records: StudyRecords, group: Sequence[Cell], number: int
) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    from hpctrain.report.studies.plots import (
        Axis,
        draw_curves,
        draw_differences,
        draw_tuning,
        svg,
    )

    def inline(figure: Any, name: str) -> Any:
        return Markup(inline_svg(svg(figure), f"place{number}-{name}"))

    yield {"text": "", "svg": inline(draw_differences(records, group), "differences")}
    for along in get_args(Axis):
        figure = draw_curves(records, group, along)
        if figure is not None:
            yield {"text": f"Loss on the way, along {along}.", "svg": inline(figure, along)}
    losses = [loss for cell in group for _, loss in records.tuned[cell].trials]
    if any(map(math.isfinite, losses)):
        text = "What the trials found: a method whose best is at an end was not tuned to its best."
        yield {"text": text, "svg": inline(draw_tuning(records, group), "tuning")}


def _rank(records: StudyRecords, cell: Cell) -> float:
    mean = records.spread(cell).mean
    return math.inf if math.isnan(mean) else mean


def _part(values: Sequence[float], place: int) -> str:
    total = sum(values)
    return _text(values[place] / total if total else math.nan, "{:.0%}")


def _text(value: float, form: str = "{:.4f}") -> str:
    return form.format(value) if math.isfinite(value) else ""
