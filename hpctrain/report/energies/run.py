"""One run as the report sees it: read once, and all that is shown follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hpctrain.errors import MeteringError
from hpctrain.metering.money import Terms
from hpctrain.report.energies.amount import Amount, numbers, together
from hpctrain.report.energies.budget import BUDGETS, Budget, read_budget
from hpctrain.report.energies.candidates import Candidates, read_candidates
from hpctrain.report.energies.costs import Costs, costs_of
from hpctrain.report.energies.curve import HostCurve, looked_s, read_curves
from hpctrain.report.energies.hosts import HostUse, as_booked, of_whole_run, read_hosts
from hpctrain.report.energies.imagined import HOST as IMAGINED
from hpctrain.report.energies.imagined import imagined_samples
from hpctrain.report.energies.ledger import Ledger, read_ledger
from hpctrain.report.energies.timeline import Timeline, read_timeline
from hpctrain.report.energies.training import (
    Quality,
    Work,
    elapsed_s,
    read_quality,
    read_work,
)
from hpctrain.report.energy_line import Trust, worst
from hpctrain.report.facts import RunFacts, read_facts
from hpctrain.report.records import Records, read_records
from hpctrain.report.state import LifeSign, RunState, read_state
from hpctrain.report.tables import RunTables, Table, num_rows

TermsOf = Callable[[Mapping[str, Any]], Terms]


@dataclass(frozen=True, slots=True)
class RunEnergy:
    """What one run used.

    Attributes:
        label: name for people, different for each run of a report.
        cut_short: whether a part of it may have been killed: it is, or was resumed.
        total: of all hosts; partial if one of them told nothing.
        costs: None if nothing is known to be billed.
        wall: whether the curves are in the wall time that the hosts told.
        candidates: of a search; None for trainings.
        quality: the loss; None if there is none.
        notes: what the run itself said of its sensors.
        meters: what each host said of what it looks at, how often, and of its clock.
        settings: its section `[energy]`.
        given: names of the terms that were given to the report, in place of the run's own.
    """

    label: str
    run_dir: str
    run_id: str
    facts: RunFacts
    state: RunState
    cut_short: bool
    elapsed_s: float
    hosts: tuple[HostUse, ...]
    total: Amount
    terms: Terms
    costs: Costs | None
    curves: tuple[HostCurve, ...]
    wall: bool
    timeline: Timeline | None
    ledger: Ledger
    candidates: Candidates | None
    work: Work | None
    quality: Quality | None
    budget: Budget | None
    notes: tuple[str, ...]
    meters: tuple[Mapping[str, Any], ...]
    settings: Mapping[str, Any]
    given: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        return self.total.joules is not None

    @property
    def is_imagined(self) -> bool:
        """Whether it was simulated, and its energy with it."""
        return bool(self.hosts) and all(host.host.startswith(IMAGINED) for host in self.hosts)

    @property
    def is_estimate(self) -> bool:
        return self.total.quality == "estimate"

    @property
    def told_hosts(self) -> int:
        """Hosts with readings."""
        return sum(host.amount.joules is not None for host in self.hosts)


def read_run_energy(
    run: RunTables, life: LifeSign, terms_of: TermsOf, given: tuple[str, ...] = ()
) -> RunEnergy:
    """Everything about the energy of `run`.

    Args:
        run: its tables.
        life: what can be seen of its processes.
        terms_of: from the run's section `[energy]` to the terms under which it is billed.
        given: names of those that are not the run's own.

    Raises:
        MeteringError: if its terms cannot be used, or do not cover the run; the text names it.
    """
    facts, records = read_facts(run), read_records(run)
    settings = _settings(run.identity)
    samples, rows = run.table("energy_sample"), run.table("energy")
    imagined = None if num_rows(samples) else imagined_samples(rows)
    samples = samples if imagined is None else imagined
    curves, wall = read_curves(samples, str(run.identity.get("start_time_utc", "")))
    names = {*facts.hosts, *_names(rows)} if imagined is None else set[str]()
    hosts = read_hosts(samples, names)
    hosts = as_booked(of_whole_run(hosts, *looked_s(curves)), rows)
    total = _total(hosts)
    ledger = read_ledger(rows, hosts)
    total = replace(total, shared=total.shared or _any_shared(rows))
    terms, costs = _billed(run, curves, total, lambda: terms_of(settings))
    table = run.table("candidate")
    search = isinstance(run.identity.get("search"), Mapping) or len(table["rank"]) > 0
    candidates = read_candidates(rows, table) if search else None
    state = _state(records, life, search)
    return RunEnergy(
        label=facts.name,
        run_dir=str(run.run_dir),
        run_id=str(run.identity.get("run_id", "")),
        facts=facts,
        state=state,
        cut_short=state.standing == "killed" or "resume" in records.events["kind"],
        elapsed_s=elapsed_s(records, *(numbers(t, "time_s") for t in (samples, rows, table))),
        hosts=hosts,
        total=total,
        terms=terms,
        costs=costs,
        curves=curves,
        wall=wall,
        timeline=read_timeline(curves, terms, wall, total.quality == "estimate"),
        ledger=ledger,
        candidates=candidates,
        work=read_work(records, ledger),
        quality=read_quality(facts, records, table if search else None),
        budget=read_budget(_with_newest_budget(settings, records.events), costs),
        notes=_notes(records.events),
        meters=tuple(_meters(records.events)),
        settings=settings,
        given=given,
    )


def _settings(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    resolved = identity.get("config_resolved")
    section = resolved.get("energy") if isinstance(resolved, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _names(rows: Table) -> set[str]:
    return {str(host) for host in rows["host"]} - {""} if "host" in rows else set()


def _any_shared(rows: Table) -> bool:
    return bool((numbers(rows, "shared") == 1).any())


def _total(hosts: tuple[HostUse, ...]) -> Amount:
    """Hosts run side by side: their powers add up, their time does not."""
    amounts = [host.amount for host in hosts]
    watts = [amount.watts for amount in amounts if amount.watts is not None]
    seconds = max((amount.seconds for amount in amounts), default=0.0)
    total = together(amounts, seconds, sum(watts) if watts else None)
    if total.joules is None:
        return total
    coverage = sum(amount.coverage for amount in amounts) / len(amounts)
    qualities = [amount.quality for amount in amounts]
    lacking = "none" in qualities and "estimate" not in qualities
    quality: Trust = "partial" if lacking else worst(qualities)
    return replace(total, coverage=coverage, quality=quality)


def _billed(
    run: RunTables, curves: tuple[HostCurve, ...], total: Amount, make: Callable[[], Terms]
) -> tuple[Terms, Costs | None]:
    try:
        terms = make()
        if total.joules is None:
            return terms, None
        return terms, costs_of(curves, terms, total.quality == "estimate")
    except MeteringError as error:
        raise MeteringError(f"{run.run_dir}: {error}") from error


def _state(records: Records, life: LifeSign, search: bool) -> RunState:
    events = records.events
    if search and len(events["rank"]):  # the first rank alone notes the end of a search
        first = (events["rank"] == events["rank"].min()) | (events["kind"] == "abort")
        events = {name: values[first] for name, values in events.items()}
    return read_state(events, life)


def _notes(events: Table) -> tuple[str, ...]:
    said = events["text"][np.asarray(events["kind"] == "energy")]
    return tuple(dict.fromkeys(str(text) for text in said))


def _with_newest_budget(settings: Mapping[str, Any], events: Table) -> Mapping[str, Any]:
    """A run that is resumed may have another budget than the one with which it began."""
    if not len(events["rank"]):
        return settings
    first = events["rank"] == events["rank"].min()
    meters = _meters({name: values[first] for name, values in events.items()})
    said = [meter["budgets"] for meter in meters if isinstance(meter.get("budgets"), Mapping)]
    return settings if not said else {**settings, **dict.fromkeys(BUDGETS), **said[-1]}


def _meters(events: Table) -> Iterator[Mapping[str, Any]]:
    for text in events["text"][np.asarray(events["kind"] == "meter")]:
        try:
            said = json.loads(text)
        except ValueError:
            continue
        if isinstance(said, Mapping):
            yield said
