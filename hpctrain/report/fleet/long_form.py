"""Many runs as a long table: a row per run, and per user, project, partition, method, and all.

`scope` says what a row is of; the rows of each scope add up to that of `all`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import Any, TextIO

from hpctrain.report.energies.amount import Amount
from hpctrain.report.fleet.fleet import Fleet
from hpctrain.report.fleet.rows import EVERY_BY, FleetRun
from hpctrain.report.fleet.slurm import Compared
from hpctrain.report.fleet.sums import Sum, share_of, sum_of, sums_by

COLUMNS = (
    "scope", "name", "run_id", "run_dir", "user", "project", "partition", "method", "state", "jobs",
    "hosts", "hosts_with_readings", "runs", "runs_without_readings", "hours", "it_kwh", "low_kwh",
    "high_kwh", "quality", "coverage", "share", "facility_kwh", "cost", "currency", "runs_billed",
    "location_gco2", "market_gco2", "waste_kwh", "waste_share", "idle_gpu_kwh", "slurm_kwh",
    "slurm_ratio", "what_if_threshold", "what_if_saving", "what_if_currency", "note",
)  # fmt: skip
J_PER_KWH = 3.6e6
SEVERAL = "several"  # currencies, whose sum has no meaning

Row = dict[str, Any]


def write_fleet_csv(fleet: Fleet, file: TextIO) -> None:
    """What is not known is empty."""
    writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(fleet):
        writer.writerow({name: value for name, value in row.items() if value is not None})


def _rows(fleet: Fleet) -> Iterator[Row]:
    whole = sum_of("", fleet.runs)
    alone = {one.runs[0].run_dir: one for one in fleet.compared or () if len(one.runs) == 1}
    for run in fleet.runs:
        found = _sum(sum_of(run.label, [run]), whole)
        yield {"scope": "run", **found, **_run(run), **_slurm(alone.get(run.run_dir))}
    for by in EVERY_BY:
        for one in sums_by(fleet.runs, by):
            yield {"scope": by, **_sum(one, whole)}
    yield {"scope": "all", **_sum(whole, whole)}
    for skipped in fleet.skipped:
        yield {"scope": "skipped", "run_dir": skipped.run_dir, "note": skipped.why}


def _run(run: FleetRun) -> Row:
    origin, paused = run.origin, run.paused
    found: Row = {
        "run_id": run.run_id, "run_dir": run.run_dir, "user": origin.user,
        "project": origin.project, "partition": origin.partition, "method": origin.method,
        "state": run.standing, "jobs": " ".join(job.id for job in origin.jobs),
        "hosts": run.hosts, "hosts_with_readings": run.told_hosts,
        "coverage": run.total.coverage, "note": run.bill_error,
    }  # fmt: skip
    if paused is not None:
        found |= {"what_if_threshold": paused.threshold, "what_if_saving": paused.saving}
        found |= {"what_if_currency": paused.currency.upper()}
        found["note"] = "; ".join(text for text in (run.bill_error, paused.why_not) if text)
    return found


def _slurm(compared: Compared | None) -> Row:
    if compared is None:
        return {}
    return {"slurm_kwh": _kwh(compared.slurm_j), "slurm_ratio": compared.ratio}


def _sum(one: Sum, whole: Sum) -> Row:
    amount: Amount = one.amount
    return {
        "name": one.name, "runs": one.runs, "runs_without_readings": one.silent,
        "hours": one.seconds / 3600, "it_kwh": _kwh(amount.joules), "low_kwh": _kwh(amount.low_j),
        "high_kwh": _kwh(amount.high_j), "quality": amount.quality,
        "share": share_of(amount.joules, whole.amount.joules), "facility_kwh": one.facility_kwh,
        "cost": one.cost, "runs_billed": one.billed["cost"],
        "currency": SEVERAL if len(one.costs) > 1 else "".join(one.costs).upper(),
        "location_gco2": one.location_gco2, "market_gco2": one.market_gco2,
        "waste_kwh": _kwh(one.waste.joules), "waste_share": one.waste_share,
        "idle_gpu_kwh": _kwh(one.idle.joules),
    }  # fmt: skip


def _kwh(joules: float | None) -> float | None:
    return None if joules is None else joules / J_PER_KWH
