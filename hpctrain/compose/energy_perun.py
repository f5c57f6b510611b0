"""From runs as the report sees them to a file for perun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from hpctrain.report.energies.curve import DeviceLine
from hpctrain.report.energies.run import RunEnergy
from hpctrain.storage.perun_file import (
    PerunHost,
    PerunRegion,
    PerunRun,
    PerunSensor,
    perun_file,
)


def perun_bytes(runs: Sequence[RunEnergy]) -> bytes:
    """The content of a file in which `runs` are those of one application."""
    return perun_file(runs[0].facts.name, [_run(run) for run in runs])


def _run(run: RunEnergy) -> PerunRun:
    bill = run.costs.bill if run.costs else None
    return PerunRun(
        run_id=run.run_id or run.label,
        started=_started(run),
        seconds=run.elapsed_s,
        joules=run.total.joules,
        watts=run.total.watts,
        cost=bill.cost if bill else None,
        gco2=bill.location_gco2 if bill else None,
        hosts=tuple(_hosts(run)),
        regions=tuple(_regions(run)),
        facts={
            "label": run.label,
            "quality": run.total.quality,
            "post-processing.pue": f"{run.terms.pue:g}",
            "post-processing.price_unit": bill.currency.upper() if bill else "",
        },
    )


def _started(run: RunEnergy) -> str:
    """As perun writes times: ISO 8601 without a zone. Unknown is the beginning of 1970."""
    text = run.facts.started.removesuffix(" UTC")
    moment = datetime.fromisoformat(text) if text else datetime.fromtimestamp(0, UTC)
    return moment.replace(tzinfo=None).isoformat()


def _hosts(run: RunEnergy) -> Iterator[PerunHost]:
    lines = {curve.host: curve.lines for curve in run.curves}
    begins = [line.time_ns[0] for curve in run.curves for line in curve.lines]
    zero_ns = int(min(begins, default=0))
    for host in run.hosts:
        ranks = sorted({one.rank for one in run.ledger.phases if one.host == host.host})
        sensors = tuple(_sensor(line, zero_ns) for line in lines.get(host.host, ()))
        yield PerunHost(
            host.host, tuple(ranks), host.amount.seconds, host.amount.joules, host.amount.watts,
            tuple(sensor for sensor in sensors if len(sensor.watts)),
        )  # fmt: skip


def _sensor(line: DeviceLine, zero_ns: int) -> PerunSensor:
    joules = np.diff(line.energy_j["joules"])[::2]
    covered_s = np.diff(line.covered_s)[::2]
    known = covered_s > 0
    times_s = (line.time_ns[1::2] - zero_ns)[known] / 1e9
    watts = joules[known] / covered_s[known]
    used_j, seconds = float(joules.sum()), float(covered_s.sum())
    return PerunSensor(line.device, line.component, times_s, watts, used_j, seconds)


def _regions(run: RunEnergy) -> Iterator[PerunRegion]:
    names = dict.fromkeys(one.name for one in run.ledger.regions)
    for name in names:
        mine = [one for one in run.ledger.regions if one.name == name]
        yield PerunRegion(
            name,
            tuple(one.count for one in mine),
            tuple(one.amount.seconds for one in mine),
            tuple(one.amount.known_j for one in mine),
        )
