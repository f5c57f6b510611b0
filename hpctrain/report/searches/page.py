"""`hpctrain show --html`: a search as one page that needs nothing else: no network, no scripts.

Everything is escaped by the template but the drawings, which hold no text of the user: their
letters are outlines, and their comments are taken out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hpctrain.errors import HpctrainError
from hpctrain.report.plot import need_matplotlib
from hpctrain.report.searches.importance import importance
from hpctrain.report.searches.ranking import ranking
from hpctrain.report.searches.records import SearchRecords, read_search
from hpctrain.report.searches.standing import search_state
from hpctrain.report.searches.tally import failures, makers, tally
from hpctrain.report.searches.texts import (
    best_rows,
    best_title,
    column_chunks,
    constants_text,
    effects_by_parameter,
    headline,
    labelled,
    loss_names,
    methods_text,
)
from hpctrain.report.state import LifeSign
from hpctrain.report.tables import RunTables
from hpctrain.report.words import count_text

TEMPLATE = "page.html.jinja"
PAGE = "show.html"
MOST_FAILURES = 50
WIDTH = 100  # of a table, in characters
MOST_OBJECTIVES = 3
OUTSIDE = re.compile(r"<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>", re.DOTALL)
SIZE = re.compile(r' (width|height)="[^"]*"')
IDENTITY = re.compile(r'(\bid="|href="#|url\(#)')


def write_page(run: RunTables, life: LifeSign, top: int) -> Path:
    """Write `show.html` into the run; the same search gives the same page.

    Raises:
        HpctrainError: if Jinja2 or matplotlib is missing, or the file cannot be written.
    """
    path = run.run_dir / PAGE
    text = render_page(run, life, top)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise HpctrainError(f"cannot write {path}: {error}") from error
    return path


def render_page(run: RunTables, life: LifeSign, top: int) -> str:
    """The page of a search, with at most `top` candidates in its table."""
    environment = make_environment(Path(__file__).parent)
    need_matplotlib()
    records = read_search(run)
    text: str = environment.get_template(TEMPLATE).render(
        title=headline(records),
        facts=list(labelled(run, records, tally(records), search_state(records, life))),
        best=_best(records, top),
        constants=constants_text(records),
        figures=list(_figures(records)),
        effects=_effects(records),
        makers=list(_makers(records)),
        failures=failures(records)[:MOST_FAILURES],
        settings=_settings(run, records),
    )
    return text


def inline_svg(svg: str, prefix: str) -> str:
    """A drawing as a part of a page: as wide as there is room, its names its own."""
    svg = OUTSIDE.sub("", svg)
    head, _, body = svg.partition(">")
    head = SIZE.sub("", head)
    return IDENTITY.sub(rf"\g<1>{prefix}-", f"{head}>{body}").strip()


def make_environment(*templates: Path) -> Any:
    """Jinja2's, of the templates in folders: everything is escaped, nothing may be missing.

    Raises:
        HpctrainError: if it is not installed.
    """
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise HpctrainError(
            f"a page needs Jinja2, which cannot be imported here ({error}); install it by: "
            "pip install 'hpctrain[report]'"
        ) from None
    return Environment(
        loader=FileSystemLoader(templates), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _figures(records: SearchRecords) -> Iterator[dict[str, Any]]:
    from markupsafe import Markup

    from hpctrain.report.searches.plots.figures import drawing_bytes, drawings

    for drawing in drawings(records):
        svg = inline_svg(drawing_bytes(drawing, ".svg").decode(), drawing.name)
        yield {"text": drawing.text, "svg": Markup(svg)}


def _best(records: SearchRecords, top: int) -> dict[str, Any]:
    best = ranking(records)
    if not len(best.rows):
        return {"title": "No evaluation has given a usable loss", "tables": []}
    heads, rows = best_rows(records, best, top)
    fixed = len(heads) - len(records.names)
    tables = [
        {"heads": [heads[c] for c in chunk], "rows": [[row[c] for c in chunk] for row in rows]}
        for chunk in column_chunks(heads, rows, fixed, WIDTH)
    ]
    return {"title": best_title(records, best, top), "tables": tables}


def _effects(records: SearchRecords) -> dict[str, Any]:
    """All parameters with their ranges, the most important first, and how that was found."""
    aims = min(records.num_objectives, MOST_OBJECTIVES)
    found = [importance(records, objective) for objective in range(aims)]
    known = dict(effects_by_parameter(found))
    names = dict.fromkeys([*known, *records.parameters])
    heads = (
        ["effect"] if aims == 1 else [f"effect on {name}" for name in loss_names(records)[:aims]]
    )
    rows = [_effect_row(records, name, known.get(name, [np.nan] * aims)) for name in names]
    return {"heads": heads, "rows": rows, "methods": methods_text(found)}


def _effect_row(records: SearchRecords, name: str, effects: list[float]) -> dict[str, Any]:
    parameter = records.parameters[name]
    return {
        "name": name,
        "range": parameter.range_text,
        "when": parameter.when_text,
        "texts": ["" if np.isnan(effect) else f"{effect:.0%}" for effect in effects],
        "percent": None if np.isnan(effects[0]) else round(100 * min(effects[0], 1.0)),
    }


def _makers(records: SearchRecords) -> Iterator[list[str]]:
    for maker in makers(records):
        best = "" if np.isnan(maker.best) else f"{maker.best:.6g}"
        counts = (maker.made, maker.usable, maker.improved)
        yield [maker.name, *map(count_text, counts), best]


def _settings(run: RunTables, records: SearchRecords) -> str:
    """As the user wrote them if they came from a file, else all of the search."""
    text = str(run.identity.get("config", ""))
    if text:
        return text
    settings = {key: value for key, value in records.settings.items() if key != "space"}
    return json.dumps(settings, indent=2, ensure_ascii=False)
