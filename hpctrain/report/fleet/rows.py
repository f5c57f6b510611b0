"""One run among many: what an operator wants to know of it, and nothing that takes much memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from hpctrain.report.energies.amount import Amount, together
from hpctrain.report.energies.costs import Costs
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energy_line import worst
from hpctrain.report.fleet.idle import IdleGpus, idle_gpus
from hpctrain.report.fleet.paused import Paused
from hpctrain.report.state import Standing

By = Literal["user", "project", "partition", "method"]
EVERY_BY: tuple[By, ...] = get_args(By)
LOST: tuple[Standing, ...] = ("killed", "aborted")
NOTHING = Amount(0.0, 0.0, 0.0, coverage=1.0, quality="measured")


@dataclass(frozen=True, slots=True)
class Job:
    """A batch job that a run, or a part of it, was in; `name` is what Slurm calls it otherwise."""

    id: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose run it was, and where; an empty text is not known.

    Attributes:
        method: with what it is of, such as "training: async" or "search: evolution".
    """

    user: str = ""
    project: str = ""
    partition: str = ""
    method: str = ""
    jobs: tuple[Job, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetRun:
    """One run.

    Attributes:
        label: for people, different for each run.
        told_hosts: those with readings, of `hosts`.
        elapsed_s: of running.
        waste: see `waste_of`; `joules` is None if it is not known.
        bill_error: why there is no bill, if its terms are at fault.
        paused: what a pause would have changed; None if nobody asked.
    """

    label: str
    run_dir: str
    run_id: str
    origin: Origin
    standing: Standing
    hosts: int
    told_hosts: int
    elapsed_s: float
    total: Amount
    costs: Costs | None
    waste: Amount
    idle: tuple[IdleGpus, ...]
    bill_error: str = ""
    paused: Paused | None = None

    @property
    def is_known(self) -> bool:
        return self.total.joules is not None

    @property
    def idle_amount(self) -> Amount:
        """Of GPUs that nobody used; hosts shared with other jobs are not counted."""
        return add([one.amount for one in self.idle if not one.shared])


@dataclass(frozen=True, slots=True)
class Skipped:
    """A directory that is no part of the sums, and why."""

    run_dir: str
    why: str


def fleet_run(
    run: RunEnergy, standing: Standing, origin: Origin, bill_error: str, paused: Paused | None
) -> FleetRun:
    """The row of `run`."""
    return FleetRun(
        run.label, run.run_dir, run.run_id, origin, standing, len(run.hosts), run.told_hosts,
        run.elapsed_s, run.total, run.costs, waste_of(run, standing), idle_gpus(run), bill_error,
        paused,
    )  # fmt: skip


def waste_of(run: RunEnergy, standing: Standing) -> Amount:
    """What was used for nothing.

    All of a run that was killed or aborted and not resumed since; else the candidates of a search
    that failed, were stopped or cancelled, as far as the ledger tells them apart.
    """
    if run.total.joules is None:
        return Amount()
    if standing in LOST:
        return run.total
    if run.candidates is None:
        return NOTHING
    if not run.candidates.all:
        return Amount()
    wasted = run.candidates.wasted
    return NOTHING if wasted.joules is None else wasted


def add(amounts: Sequence[Amount]) -> Amount:
    """The sum, of the worst quality; partial if one of them is not known."""
    total = together(amounts)
    if total.joules is None:
        return total
    qualities = [amount.quality for amount in amounts]
    quality = worst(qualities)
    lacks = quality == "measured" and "none" in qualities
    return replace(total, quality="partial" if lacks else quality)


def by_energy(runs: Sequence[FleetRun]) -> list[FleetRun]:
    """The largest first; those without readings last."""
    return sorted(runs, key=lambda run: (not run.is_known, -run.total.known_j, run.label))


def with_names(runs: Sequence[FleetRun]) -> list[FleetRun]:
    """With labels that differ: runs of one name are told apart by their directories."""
    count: dict[str, int] = {}
    for run in runs:
        count[run.label] = count.get(run.label, 0) + 1
    return [
        replace(run, label=f"{run.label} in {run.run_dir}") if count[run.label] > 1 else run
        for run in runs
    ]
