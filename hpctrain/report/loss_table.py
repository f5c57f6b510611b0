"""Tables of losses and of what a script reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich.markup import escape
from rich.table import Table

from hpctrain.report.island_tables import MOST_ROWS, plain_table
from hpctrain.report.losses import Curve, mean_loss
from hpctrain.report.records import Records
from hpctrain.report.tables import num_rows
from hpctrain.report.words import seconds_text


def curve_table(curves: Sequence[Curve]) -> Table:
    """The first and the latest loss of every curve that has a point."""
    table = plain_table("domain", "first", "latest", "measured", "latest at")
    drawn = [curve for curve in curves if len(curve.loss)]
    for curve in drawn[:MOST_ROWS]:
        first = f"{curve.loss[0]:.3f}" if len(curve.loss) > 1 else ""
        at = seconds_text(float(curve.time_s[-1]))
        table.add_row(escape(curve.name), first, f"{curve.loss[-1]:.3f}", f"{len(curve.loss)}x", at)
    if len(drawn) > 1:
        table.add_section()
        table.add_row("mean", "", f"{mean_loss([curve.loss[-1] for curve in drawn]):.3f}", "", "")
    return table


def final_table(losses: Mapping[str, float]) -> Table:
    """The loss of every domain at the end."""
    table = plain_table("domain", "loss")
    for domain, loss in losses.items():
        table.add_row(escape(domain), f"{loss:.3f}")
    if len(losses) > 1:
        table.add_section()
        table.add_row("mean", f"{mean_loss(list(losses.values())):.3f}")
    return table


def report_table(records: Records) -> Table:
    """The latest value of every name that a script reported, numbers first."""
    table = plain_table("name", "latest", "worker", "step", "at")
    for rows, values in ((records.reports, "value"), (records.texts, "text")):
        order = np.argsort(rows["time_s"], kind="stable")
        latest = {rows["name"][row]: row for row in order}
        for name, row in latest.items():
            value = rows[values][row]
            said = f"{value:.6g}" if values == "value" else " ".join(value.split())[:40]
            place = (str(rows["worker"][row]), str(rows["step"][row]))
            table.add_row(
                escape(name), escape(said), *place, seconds_text(float(rows["time_s"][row]))
            )
    return table


def has_reports(records: Records) -> bool:
    return num_rows(records.reports) + num_rows(records.texts) > 0
