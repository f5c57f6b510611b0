"""The report as a long table: one row per host, rank, phase, candidate, ... and component.

`scope` says what a row is of. The rows of one scope add up; those of different scopes do not, for
they are the same energy seen in different ways. `part` are devices that lie inside others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import numpy as np

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.run import RunEnergy

COLUMNS = (
    "run", "run_id", "scope", "host", "rank", "worker", "name", "component", "devices", "number",
    "count", "outcome", "loss", "made_by", "duration_s", "energy_j", "low_j", "high_j", "power_w",
    "coverage", "quality", "shared",
)  # fmt: skip

Row = dict[str, Any]


def write_csv(runs: Sequence[RunEnergy], file: TextIO) -> None:
    """A row per thing and component; what is not known is empty."""
    writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        names = {"run": run.label, "run_id": run.run_id}
        writer.writerows(names | row for row in _rows(run))


def _rows(run: RunEnergy) -> Iterator[Row]:
    yield {"scope": "run", "component": "all", **_amount(run.total)}
    yield from _hosts(run)
    for one in run.ledger.phases:
        where = {"host": one.host, "rank": one.rank, "worker": one.worker, "name": one.name}
        yield from _parted({"scope": "phase", **where}, one.amount)
    for host, amount in run.ledger.unattributed.items():
        yield from _parted({"scope": "unattributed", "host": host}, amount)
    for host, left_j in run.ledger.not_booked_j.items():
        yield {"scope": "not booked", "host": host, "component": "all", "energy_j": left_j}
    for one in run.ledger.regions:
        where = {"host": one.host, "rank": one.rank, "worker": one.worker, "name": one.name}
        yield from _parted({"scope": "region", "count": one.count, **where}, one.amount)
    yield from _candidates(run)


def _hosts(run: RunEnergy) -> Iterator[Row]:
    for host in run.hosts:
        if not host.components:
            yield {"scope": "host", "host": host.host, "component": "all", **_amount(host.amount)}
        for part in host.components:
            scope = "host" if part.counted else "part"
            row = {"scope": scope, "host": host.host, "component": part.component}
            yield {**row, "devices": len(part.devices), **_amount(part.amount)}


def _candidates(run: RunEnergy) -> Iterator[Row]:
    if run.candidates is None:
        return
    for one in run.candidates.all:
        loss = "" if np.isnan(one.loss) else one.loss
        what = {"number": one.number, "outcome": one.outcome, "loss": loss, "made_by": one.made_by}
        yield from _parted({"scope": "candidate", **what}, one.amount)


def _parted(row: Row, amount: Amount) -> Iterator[Row]:
    """A row per component; one for all if they are not told apart, or do not add up to it."""
    parts, whole = amount.components, amount.known_j
    if not parts or abs(sum(parts.values()) - whole) > 1e-6 * max(abs(whole), 1.0):
        yield {**row, "component": "all", **_amount(amount)}
        return
    for component, joules in parts.items():
        share = joules / whole if whole else 0.0
        ends = {"low_j": (amount.low_j or 0) * share, "high_j": (amount.high_j or 0) * share}
        watts = amount.watts * share if amount.watts is not None else ""
        yield {
            **row, "component": component, **_amount(amount), "energy_j": joules, **ends,
            "power_w": watts,
        }  # fmt: skip


def _amount(amount: Amount) -> Row:
    known = {
        "energy_j": amount.joules, "low_j": amount.low_j, "high_j": amount.high_j,
        "power_w": amount.watts,
    }  # fmt: skip
    told = {name: value for name, value in known.items() if value is not None}
    return {
        **told,
        "duration_s": amount.seconds,
        "coverage": amount.coverage,
        "quality": amount.quality,
        "shared": int(amount.shared),
    }
