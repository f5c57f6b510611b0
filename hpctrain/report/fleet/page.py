"""Many runs as one HTML page that needs nothing else: no network, no scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hpctrain.report.energies import page as energies
from hpctrain.report.fleet.fleet import Fleet
from hpctrain.report.fleet.rows import By
from hpctrain.report.fleet.sections import facts, headline, sections
from hpctrain.report.fleet.sums import sum_of
from hpctrain.report.fleet.tables import ALL
from hpctrain.report.searches.page import make_environment
from hpctrain.report.words import plural

TEMPLATE = "fleet.html.jinja"


def render_fleet(fleet: Fleet, sums: Sequence[By]) -> str:
    """The page; the same runs give the same one.

    Raises:
        HpctrainError: if Jinja2 is missing.
    """
    own, parts = Path(__file__).parent, Path(energies.__file__).parent
    environment = make_environment(own, parts)
    text: str = environment.get_template(TEMPLATE).render(
        title=f"Energy of {plural(len(fleet.runs), 'run')}",
        where=", ".join(fleet.where),
        quality=sum_of(ALL, fleet.runs).amount.quality,
        badge=headline(fleet),
        cards=[energies.card(name, said) for name, said in facts(fleet)],
        sections=[energies.page_section(one, {}) for one in sections(fleet, sums)],
    )
    return text
