"""Which drawings there are of a training."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from matplotlib.figure import Figure

from hpctrain.report.accounts import island_accounts
from hpctrain.report.along import draw_along
from hpctrain.report.correction_map import read_correction_map
from hpctrain.report.correction_panels import draw_corrections
from hpctrain.report.energy_along import read_energy_along
from hpctrain.report.facts import read_facts
from hpctrain.report.figure import draw_run, run_title
from hpctrain.report.losses import held_out_curves, repeated
from hpctrain.report.parts import standing
from hpctrain.report.records import read_records
from hpctrain.report.tables import RunTables


def training_drawings(run: RunTables) -> Iterator[tuple[str, Callable[[], Figure]]]:
    """Those that make sense for this run: the end of the file's name, and what draws it."""
    facts, records = read_facts(run), read_records(run)
    title = run_title(facts, records)
    yield "", lambda: draw_run(facts, records, island_accounts(facts, records))
    curves = held_out_curves(facts, records)
    if repeated(curves):
        energy = read_energy_along(run.table("energy"), facts.hosts)
        yield "along", lambda: draw_along(title, curves, records.rounds, energy)
    found = read_correction_map(standing("correction", run.table("correction")))
    if found is not None:
        yield "corrections", lambda: draw_corrections(title, found)
