"""Our energies beside Slurm's, joined by the jobs that runs were in, and why the two may differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.cells import percent
from hpctrain.report.fleet.accounting import Allocation
from hpctrain.report.fleet.rows import FleetRun, Job, add
from hpctrain.report.fleet.sums import share_of
from hpctrain.report.words import plural, seconds_text

MUCH_LONGER = 1.01  # an allocation over the run in it: beyond start and end of a process
Accounts = Mapping[str, Sequence[Allocation]]


@dataclass(frozen=True, slots=True)
class Compared:
    """Runs that were in the same jobs; mostly that is one.

    Attributes:
        ours: by our sensors.
        slurm_j: of all allocations that it measured; None if it measured none.
        ratio: Slurm's over ours; None if one of them is missing.
        why: what may make them differ, as far as it can be seen.
    """

    runs: tuple[FleetRun, ...]
    jobs: tuple[str, ...]
    ours: Amount
    slurm_j: float | None
    ratio: float | None
    why: tuple[str, ...]


def with_accounts(runs: Sequence[FleetRun], accounts: Accounts) -> list[FleetRun]:
    """With users, projects and partitions as the accounting has them, where it knows the jobs."""
    return [_renamed(run, allocations_of(run.origin.jobs, accounts)) for run in runs]


def allocations_of(jobs: Sequence[Job], accounts: Accounts) -> list[Allocation]:
    """All allocations of these jobs."""
    found: list[Allocation] = []
    for job in jobs:
        found += accounts.get(job.id) or accounts.get(job.name, ())
    return found


def compare_with_slurm(runs: Sequence[FleetRun], accounts: Accounts) -> list[Compared]:
    """One for each set of runs that share jobs; runs outside of batch jobs are left out."""
    return [_compared(some, accounts) for some in _sharing_jobs(runs)]


def _renamed(run: FleetRun, rows: Sequence[Allocation]) -> FleetRun:
    if not rows:
        return run
    origin, last = run.origin, rows[-1]
    return replace(
        run,
        origin=replace(
            origin,
            user=last.user or origin.user,
            project=last.account or origin.project,
            partition=origin.partition or last.partition,
        ),
    )


def _sharing_jobs(runs: Sequence[FleetRun]) -> list[list[FleetRun]]:
    """Runs are together if they, or others between them, were in one job."""
    groups: list[tuple[set[str], list[FleetRun]]] = []
    place: dict[str, int] = {}
    for run in runs:
        jobs = {job.id for job in run.origin.jobs}
        if not jobs:
            continue
        mine = sorted({place[job] for job in jobs if job in place})
        target = mine[0] if mine else len(groups)
        if not mine:
            groups.append((set(), []))
        for other in mine[1:]:
            jobs |= groups[other][0]
            groups[target][1].extend(groups[other][1])
            groups[other] = (set(), [])
        groups[target][0].update(jobs)
        groups[target][1].append(run)
        place |= dict.fromkeys(jobs, target)
    return [some for _, some in groups if some]


def _compared(runs: Sequence[FleetRun], accounts: Accounts) -> Compared:
    jobs = list({job.id: job for run in runs for job in run.origin.jobs}.values())
    rows = allocations_of(jobs, accounts)
    measured = [row.joules for row in rows if row.joules is not None]
    slurm_j = float(sum(measured)) if measured else None
    ours = add([run.total for run in runs])
    ratio = share_of(slurm_j, ours.joules)
    missing = [job.id for job in jobs if not allocations_of([job], accounts)]
    why = (*_of_slurm(rows, missing), *_of_ours(runs, ours), *_of_both(runs, rows))
    return Compared(tuple(runs), tuple(job.id for job in jobs), ours, slurm_j, ratio, why)


def _of_slurm(rows: Sequence[Allocation], missing: Sequence[str]) -> Iterator[str]:
    if missing:
        yield f"no row of job {', '.join(missing)}"
    silent = sum(row.joules is None for row in rows)
    if silent and silent == len(rows):
        yield "Slurm measured nothing"
    elif silent:
        yield f"Slurm measured {len(rows) - silent} of {len(rows)} allocations"


def _of_ours(runs: Sequence[FleetRun], ours: Amount) -> Iterator[str]:
    if ours.joules is None:
        yield "no readings here"
        return
    if ours.quality == "estimate":
        yield "ours is an estimate"
    lacking = sum(run.hosts - run.told_hosts for run in runs)
    if lacking:
        yield f"{plural(lacking, 'host')} without readings here"
    if ours.coverage < 1:
        yield f"readings for {percent(ours.coverage)} of the time here"
    if ours.components and "node" not in ours.components:
        yield f"our sensors: {', '.join(ours.components)}"
    if ours.shared:
        yield "hosts shared with other jobs"


def _of_both(runs: Sequence[FleetRun], rows: Sequence[Allocation]) -> Iterator[str]:
    if len(runs) > 1:
        yield f"{len(runs)} runs in these jobs"
    allocated_s = sum(row.elapsed_s or 0.0 for row in rows)
    run_s = sum(run.elapsed_s for run in runs)
    if allocated_s > MUCH_LONGER * run_s:
        yield f"allocated {seconds_text(allocated_s)}, ran {seconds_text(run_s)}"
