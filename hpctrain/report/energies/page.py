"""The report as one HTML page that needs nothing else: no network, no scripts.

Everything is escaped by the template but the drawings, which hold no text of the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpctrain.report.energies.cells import Section, Sheet
from hpctrain.report.energies.compare_section import comparison_section
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energies.sections import Limits, sections
from hpctrain.report.energies.words import badge, summary_facts
from hpctrain.report.plot import need_matplotlib
from hpctrain.report.searches.page import inline_svg, make_environment
from hpctrain.report.words import plural

TEMPLATE = "page.html.jinja"
HOSTS, RANKS, REGIONS = 128, 64, 64
MOST_CANDIDATES = 50
CARDS = (
    "IT energy", "facility energy", "cost", "carbon, location-based", "carbon, market-based",
    "mean power", "time",
)  # fmt: skip


def render_energies(runs: Sequence[RunEnergy], top: int) -> str:
    """The page; the same runs give the same one.

    Raises:
        HpctrainError: if Jinja2 or matplotlib is missing.
    """
    environment = make_environment(Path(__file__).parent)
    need_matplotlib()
    limits = Limits(HOSTS, RANKS, REGIONS, min(top, MOST_CANDIDATES))
    text: str = environment.get_template(TEMPLATE).render(
        title=runs[0].label if len(runs) == 1 else f"Energy of {plural(len(runs), 'run')}",
        comparison=page_section(comparison_section(runs), {}) if len(runs) > 1 else None,
        runs=[_run(run, place, limits) for place, run in enumerate(runs)],
    )
    return text


def _run(run: RunEnergy, place: int, limits: Limits) -> dict[str, Any]:
    facts = list(summary_facts(run))
    said = dict(facts)
    drawings = _drawings(run, f"run{place}")
    return {
        "title": run.label,
        "quality": run.total.quality,
        "badge": badge(run),
        "cards": [card(name, said[name]) for name in CARDS if name in said],
        "facts": [(name, text) for name, text in facts if name not in (*CARDS, "quality")],
        "sections": [page_section(one, drawings) for one in sections(run, limits)],
    }


def card(name: str, text: str) -> dict[str, str]:
    """The figure large, what is in brackets small."""
    head, bracket, rest = text.partition(" (")
    if head.startswith("not known"):
        head, _, rest = text.partition(": ")
    return {"name": name, "figure": head, "more": rest[:-1] if bracket else rest}


def page_section(section: Section, drawings: dict[str, Any]) -> dict[str, Any]:
    """As the macro `section_of` in parts.html.jinja takes it."""
    return {
        "title": section.title,
        "facts": section.facts,
        "sheets": [_sheet(one) for one in section.sheets if one.columns and one.columns[0].cells],
        "notes": section.notes,
        "drawing": drawings.get(section.drawing),
    }


def _sheet(sheet: Sheet) -> dict[str, Any]:
    rows = [
        [
            {
                "text": column.cells[place],
                "left": column.left,
                "bar": round(100 * column.bars[place], 1) if column.bars else None,
            }
            for column in sheet.columns
        ]
        for place in range(len(sheet.columns[0].cells))
    ]
    return {"title": sheet.title, "columns": sheet.columns, "rows": rows, "notes": sheet.notes}


def _drawings(run: RunEnergy, prefix: str) -> dict[str, Any]:
    from markupsafe import Markup

    from hpctrain.report.energies.plots import draw_front, draw_timeline, svg

    found: dict[str, Any] = {}
    if run.timeline is not None:
        drawn = inline_svg(svg(draw_timeline(run, run.timeline)), f"{prefix}-timeline")
        text = "Power over time, with price and carbon intensity as far as they are known."
        found["timeline"] = {"text": text, "svg": Markup(drawn)}
    if run.candidates is not None and run.candidates.front():
        drawn = inline_svg(svg(draw_front(run.candidates)), f"{prefix}-front")
        found["front"] = {"text": "Loss against energy.", "svg": Markup(drawn)}
    return found
