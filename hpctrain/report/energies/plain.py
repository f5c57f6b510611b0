"""The report as one document of plain values, for programs.

The document is versioned: readers may rely on every key of version 2 for as long as it says 2.
Figures are not rounded; what is not known is null. Joules are IT energy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from hpctrain.metering.money import Bill
from hpctrain.metering.steps import Steps
from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.candidates import Candidates, CandidateUse
from hpctrain.report.energies.comparison import compare
from hpctrain.report.energies.hosts import HostUse
from hpctrain.report.energies.ledger import Booking
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.tables import Array

SCHEMA = "hpctrain-energy-report"
VERSION = 2
VERSION_1 = ("run_id", "joules", "low_j", "high_j", "quality", "hosts")
BILLED = ("it_kwh", "facility_kwh", "cost", "location_gco2", "market_gco2")


def energy_json(runs: Sequence[RunEnergy]) -> str:
    """The document as text."""
    return json.dumps(energy_document(runs), indent=1, allow_nan=False, ensure_ascii=False)


def energy_document(runs: Sequence[RunEnergy]) -> dict[str, Any]:
    """`schema` and `version` say what is in it.

    `runs` has an entry for each run. Of a single run the keys of version 1 are at the top as well,
    and `comparison` is null.
    """
    compared = [asdict(one) | {"n": one.count} for one in compare(runs)] if len(runs) > 1 else None
    told = [_run(run) for run in runs]
    first = {key: told[0][key] for key in VERSION_1} if len(told) == 1 else {}
    found = {
        "schema": SCHEMA,
        "version": VERSION,
        **first,
        "runs": told,
        "comparison": compared,
    }
    plain: dict[str, Any] = _finite(found)
    return plain


def _run(run: RunEnergy) -> dict[str, Any]:
    return {
        "label": run.label,
        "run_id": run.run_id,
        "run_dir": run.run_dir,
        "started": run.facts.started,
        "commit": run.facts.commit,
        "versions": dict(run.facts.versions),
        "state": run.state.standing,
        "elapsed_s": run.elapsed_s,
        "loss": asdict(run.quality) if run.quality else None,
        "num_hosts": len(run.hosts),
        "num_hosts_with_readings": run.told_hosts,
        **_amount(run.total),
        "costs": _costs(run),
        "terms": {
            "tariff": _steps(run.terms.tariff),
            "carbon": _steps(run.terms.location),
            "carbon_market": _steps(run.terms.market),
            "pue": run.terms.pue,
            "given_to_report": list(run.given),
        },
        "budget": asdict(run.budget) | {"share": run.budget.share} if run.budget else None,
        "hosts": [_host(host) for host in run.hosts],
        "phases": [_booking(one) for one in run.ledger.phases],
        "unattributed": [
            {"host": host, **_amount(amount)} for host, amount in run.ledger.unattributed.items()
        ],
        "not_booked_j": dict(run.ledger.not_booked_j),
        "regions": [_booking(one) | {"count": one.count} for one in run.ledger.regions],
        "search": _search(run.candidates) if run.candidates else None,
        "training": _training(run),
        "timeline": _timeline(run),
        "notes": list(run.notes),
    }


def _amount(amount: Amount) -> dict[str, Any]:
    names = ("joules", "low_j", "high_j", "seconds", "watts", "coverage", "quality", "shared")
    found = {name: getattr(amount, name) for name in names}
    return found | {"components_j": dict(amount.components)}


def _host(host: HostUse) -> dict[str, Any]:
    parts = [
        {
            "component": part.component,
            "devices": list(part.devices),
            "counted": part.counted,
            **_amount(part.amount),
        }
        for part in host.components
    ]
    return {"host": host.host, **_amount(host.amount), "components": parts}


def _booking(one: Booking) -> dict[str, Any]:
    where = {"host": one.host, "rank": one.rank, "worker": one.worker, "name": one.name}
    return where | _amount(one.amount)


def _search(candidates: Candidates) -> dict[str, Any]:
    return {
        **{f"total_{name}": value for name, value in _brief(candidates.total).items()},
        "wasted_j": candidates.wasted.joules or 0.0,
        "joules_per_improvement": candidates.joules_per_improvement,
        "front": [one.number for one in candidates.front()],
        "improvements": [one.number for one in candidates.improvements()],
        "candidates": [_candidate(one) for one in candidates.all],
    }


def _brief(amount: Amount) -> dict[str, Any]:
    return {"j": amount.joules, "low_j": amount.low_j, "high_j": amount.high_j}


def _candidate(one: CandidateUse) -> dict[str, Any]:
    names = ("number", "outcome", "loss", "took_s", "made_by", "split")
    return {name: getattr(one, name) for name in names} | _amount(one.amount)


def _training(run: RunEnergy) -> dict[str, Any] | None:
    work, joules = run.work, run.total.joules
    if work is None:
        return None
    known = joules is not None
    return asdict(work) | {
        "joules_per_step": joules / work.steps if known and joules is not None else None,
        "joules_per_token": (
            joules / work.tokens if joules is not None and work.tokens else None
        ),
    }  # fmt: skip


def _costs(run: RunEnergy) -> dict[str, Any] | None:
    if run.costs is None:
        return None
    found: dict[str, Any] = _bill(run.costs.bill)
    found |= {"currency": run.costs.bill.currency.upper() or None, "pue": run.costs.bill.pue}
    return found | {f"{name}_bounds": run.costs.bounds(name) for name in BILLED}


def _bill(bill: Bill) -> dict[str, Any]:
    return {name: getattr(bill, name) for name in BILLED}


def _steps(steps: Steps | None) -> dict[str, Any] | None:
    return None if steps is None else {"unit": steps.unit, "source": steps.source}


def _timeline(run: RunEnergy) -> dict[str, Any] | None:
    line = run.timeline
    if line is None:
        return None
    return {
        "edges_utc_s" if line.wall else "edges_s": (line.edges_ns / 1e9).tolist(),
        "watts": list(_values(line.watts)),
        "watts_of_those_with_readings": list(_values(line.some_watts)),
        "price": None if line.tariff is None else list(_values(line.tariff)),
        "gco2_per_kwh": None if line.location is None else list(_values(line.location)),
        "market_gco2_per_kwh": None if line.market is None else list(_values(line.market)),
    }


def _values(values: Array) -> Iterator[float]:
    yield from values.tolist()


def _finite(value: Any) -> Any:
    """The same with null for what is no finite number."""
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list() | tuple():
            return [_finite(item) for item in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value
