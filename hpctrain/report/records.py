"""All rows of a run that a report reads, once, and without what was redone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.report.parts import Redone, redone_work, standing
from hpctrain.report.tables import RunTables, Table

CLOSING = ("finish", "stop")


@dataclass(frozen=True, slots=True)
class Records:
    """The rows that stand, by kind, and how much work was redone after a resume."""

    rounds: Table
    updates: Table
    evaluations: Table
    reports: Table
    texts: Table
    events: Table
    redone: Redone

    @property
    def elapsed_s(self) -> float:
        """Seconds of running, over all parts, up to the last thing that is known.

        Of the events only those that end a part count: `resume` may carry the pause as well.
        """
        ends = self.events["time_s"][np.isin(self.events["kind"], CLOSING)]
        work = (self.rounds, self.updates, self.evaluations, self.reports, self.texts)
        times = [ends, *(table["time_s"] for table in work)]
        return float(max((np.nanmax(some) for some in times if len(some)), default=0.0))


def read_records(run: RunTables) -> Records:
    """Read all tables of `run`."""
    rounds = run.table("round")
    return Records(
        rounds=standing("round", rounds),
        updates=standing("outer_update", run.table("outer_update")),
        evaluations=standing("evaluation", run.table("evaluation")),
        reports=standing("report", run.table("report")),
        texts=standing("report_text", run.table("report_text")),
        events=run.table("event"),
        redone=redone_work(rounds),
    )
