"""What the report of a run consists of, as tables and lines: for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from hpctrain.metering.reading import COMPONENTS
from hpctrain.report.energies.amount import Amount, together
from hpctrain.report.energies.budget import Budget
from hpctrain.report.energies.cells import (
    TIME,
    Column,
    Section,
    Sheet,
    energy_columns,
    number_column,
    percent,
    power_column,
    quality_column,
    share_column,
    significant,
    text_column,
)
from hpctrain.report.energies.hosts import by_component
from hpctrain.report.energies.ledger import PHASES, Booking
from hpctrain.report.energies.method import method_section, provenance_section
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energies.search_section import candidates_section
from hpctrain.report.energy_line import energy_text
from hpctrain.report.words import count_text, plural

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of what can be long is shown."""

    hosts: int
    ranks: int
    regions: int
    candidates: int


def sections(run: RunEnergy, limits: Limits) -> Iterator[Section]:
    """Everything after the summary; what a run has nothing of is left out."""
    if run.is_known:
        yield _timeline(run)
        yield from _budget(run)
        yield _hosts(run, limits.hosts)
        yield from _ledger(run, limits.ranks)
        if run.candidates is not None and run.candidates.all:
            yield candidates_section(run, run.candidates, limits.candidates)
        yield from _training(run)
        yield from _regions(run, limits.regions)
    yield method_section(run)
    yield provenance_section(run)


def _timeline(run: RunEnergy) -> Section:
    notes = []
    if not run.wall:
        notes.append(
            "The readings have no wall time: they are placed by the time since the run's start."
        )
    return Section("Power over time", notes=tuple(notes), drawing="timeline")


def _budget(run: RunEnergy) -> Iterator[Section]:
    budget = run.budget
    if budget is None:
        return
    unit = f" {budget.unit}"
    facts = [("limit", f"{budget.limit:,g}{unit} ({budget.what})")]
    if budget.used is None or budget.share is None:
        facts.append(("used", "not known"))
    else:
        mark = "~" if budget.bounds else ""
        least = run.total.quality == "partial"
        used = f"{mark}{significant(budget.used, 4)}{unit}, {percent(budget.share)}"
        facts.append(("used", f"{'at least ' if least else ''}{used}{_ends(budget)}"))
        left = f"{'at most ' if least else ''}{mark}{percent(1 - budget.share)}"
        over = "nothing: the limit is exceeded" if budget.share > 1 else left
        facts.append(("share left", over))
    yield Section("Budget", tuple(facts))


def _ends(budget: Budget) -> str:
    if budget.bounds is None:
        return ""
    if budget.bounds[0] == budget.bounds[1]:
        return " (estimate)"
    low, high = (significant(end) for end in budget.bounds)
    return f" (estimate, {low} to {high})"


def _hosts(run: RunEnergy, most: int) -> Section:
    hosts, rest = _split(run.hosts, most, lambda host: host.amount)
    amounts = [host.amount for host in hosts] + rest
    names = [host.host for host in hosts] + [f"{len(run.hosts) - len(hosts)} others" for _ in rest]
    table = Sheet(
        (
            text_column("host", names),
            *energy_columns(amounts, beside=_of_one_host(run)),
            _shares(run, amounts),
            power_column(amounts),
            quality_column(amounts),
        ),
        notes=_clipped(rest, "hosts"),
    )
    sheets = [_components(run), table]
    if len(run.hosts) > 1 and len(by_component(run.hosts)) > 1:
        sheets.append(_pivot(run, most))
    return Section("By component and host", sheets=tuple(sheets))


def _components(run: RunEnergy) -> Sheet:
    parts = by_component(run.hosts)
    amounts = [amount for _, _, amount, _ in parts]
    inside = [not counted for _, _, _, counted in parts]
    shares = _shares(
        run, [Amount() if part else a for a, part in zip(amounts, inside, strict=True)]
    )
    notes = ("In brackets: part of a module or node, and not added to it.",) if any(inside) else ()
    return Sheet(
        (
            text_column("component", [name for name, *_ in parts]),
            Column("devices", tuple(str(devices) for _, devices, _, _ in parts)),
            *energy_columns(amounts, inside=inside, beside=_of_one_host(run)),
            shares,
            power_column(amounts),
            quality_column(amounts),
        ),
        notes=notes,
    )


def _of_one_host(run: RunEnergy) -> list[float | None]:
    """All energies of a run on one host: its tables have the same unit."""
    if len(run.hosts) > 1:
        return []
    return [amount.joules for amount in (run.total, *(part[2] for part in by_component(run.hosts)))]


def _pivot(run: RunEnergy, most: int) -> Sheet:
    """Hosts against components; all of a host that has several devices of one kind."""
    hosts, rest = _split(run.hosts, most, lambda host: host.amount)
    columns = [text_column("host", [host.host for host in hosts])]
    largest = [part.amount.joules for host in hosts for part in host.components]
    for component in COMPONENTS:
        found = [
            next((part for part in host.components if part.component == component), None)
            for host in hosts
        ]
        if any(found):
            amounts = [part.amount if part else Amount() for part in found]
            inside = [part is not None and not part.counted for part in found]
            column = energy_columns(amounts, component, inside, largest)[0]
            cells = ["" if f is None else c for f, c in zip(found, column.cells, strict=True)]
            columns.append(Column(column.head, tuple(cells)))
    return Sheet(tuple(columns), notes=_clipped(rest, "hosts"))


def _ledger(run: RunEnergy, most: int) -> Iterator[Section]:
    if not run.ledger.has_rows:
        yield Section("By phase and rank", notes=("This run kept no ledger of phases.",))
        return
    yield Section("By phase", sheets=(_phases(run),), notes=_shared_notes(run), drawing="")
    yield Section("By rank", sheets=(_ranks(run, most),))


def _phases(run: RunEnergy) -> Sheet:
    """Phases, what belongs to no rank, and what was not booked: together the total."""
    found: dict[str, list[Booking]] = {}
    for booking in run.ledger.phases:
        found.setdefault(booking.name, []).append(booking)
    order = [name for name in PHASES if name in found]
    order += [name for name in sorted(found) if name not in PHASES]
    names = [PHASES.get(name, name) for name in order]
    amounts = [together([booking.amount for booking in found[name]]) for name in order]
    ranks = list(amounts)
    free = list(run.ledger.unattributed.values())
    if free:
        names.append("unattributed")
        amounts.append(together(free))
    if run.ledger.not_booked_j:
        names.append("not booked")
        amounts.append(_left_over(run))
    blank: list[float | None] = [None] * (len(amounts) - len(ranks))
    return Sheet(
        (
            text_column("phase", names),
            *energy_columns(amounts),
            _shares(run, amounts),
            number_column("rank time", [*(a.seconds for a in ranks), *blank], TIME),
            power_column([*ranks, *(Amount() for _ in blank)], "power of a rank"),
            quality_column(amounts),
        )
    )


def _left_over(run: RunEnergy) -> Amount:
    """Bounds are those of the total less those of what was booked."""
    ledger, total, left_j = run.ledger, run.total, run.ledger.left_over_j
    if total.quality != "estimate" or total.low_j is None or total.high_j is None:
        return Amount(left_j, left_j, left_j, coverage=1.0, quality=total.quality)
    booked = [*(one.amount for one in ledger.phases), *ledger.unattributed.values()]
    low_j = total.low_j - sum(one.low_j or 0.0 for one in booked)
    high_j = total.high_j - sum(one.high_j or 0.0 for one in booked)
    low_j, high_j = min(low_j, high_j, left_j), max(low_j, high_j, left_j)
    return Amount(left_j, low_j, high_j, coverage=1.0, quality="estimate")


def _shared_notes(run: RunEnergy) -> tuple[str, ...]:
    notes = []
    if run.ledger.unattributed:
        notes.append(
            "Unattributed: energy of hosts that belongs to no rank, such as that of other "
            "processes, of GPUs without an owner, and of a node beyond its parts."
        )
    if run.ledger.not_booked_j:
        hosts = plural(len(run.ledger.not_booked_j), "host")
        notes.append(
            f"Not booked: on {hosts} the rows of phases and the readings end at different times, "
            "as they do if a run is killed or still going on."
        )
    return tuple(notes)


def _ranks(run: RunEnergy, most: int) -> Sheet:
    found: dict[tuple[int, int, str], list[Amount]] = {}
    for one in run.ledger.phases:
        found.setdefault((one.rank, one.worker, one.host), []).append(one.amount)
    every = [(key, together(found[key])) for key in sorted(found)]
    ranks, rest = _split(every, most, lambda item: item[1])
    amounts = [amount for _, amount in ranks] + rest
    others = [(f"{len(every) - len(ranks)} others", "", "") for _ in rest]
    keys = [*((str(r), str(w), h) for (r, w, h), _ in ranks), *others]
    notes = _clipped(rest, "ranks")
    return Sheet(
        (
            Column("rank", tuple(key[0] for key in keys)),
            Column("worker", tuple(key[1] for key in keys)),
            text_column("host", [key[2] for key in keys]),
            *energy_columns(amounts),
            _shares(run, amounts),
            number_column("time", [amount.seconds for amount in amounts], TIME),
            power_column(amounts),
            quality_column(amounts),
        ),
        notes=notes,
    )


def _training(run: RunEnergy) -> Iterator[Section]:
    work, joules = run.work, run.total.joules
    if work is None or joules is None:
        return
    mark = "~" if run.is_estimate else ""
    facts = [("inner steps", count_text(work.steps) + _redone(work.redone_steps))]
    facts.append(("per inner step", f"{mark}{energy_text(joules / work.steps)} (whole run)"))
    if work.compute_j is not None:
        part = energy_text(work.compute_j / work.steps)
        facts.append(("", f"{mark}{part} (phase of inner steps alone)"))
    if work.tokens:
        facts.append(("tokens or samples", count_text(work.tokens)))
        facts.append(("per token", f"{mark}{small_energy(joules / work.tokens)} (whole run)"))
    yield Section("Per inner step and token", tuple(facts))


def small_energy(joules: float) -> str:
    """Also far below a joule: `3.1 mJ`, `42 uJ`."""
    for factor, unit in ((1.0, ""), (1e-3, "mJ"), (1e-6, "uJ")):
        if abs(joules) >= factor:
            return f"{joules / factor:.3g} {unit}" if unit else energy_text(joules)
    return f"{joules:.3g} J"


def _redone(steps: int) -> str:
    return f" (and {count_text(steps)} done again after a resume)" if steps else ""


def _regions(run: RunEnergy, most: int) -> Iterator[Section]:
    found: dict[str, list[Booking]] = {}
    for booking in run.ledger.regions:
        found.setdefault(booking.name, []).append(booking)
    if not found:
        return
    every = [(name, found[name], together([b.amount for b in found[name]])) for name in found]
    shown, rest = _split(every, most, lambda item: item[2])
    amounts = [amount for *_, amount in shown]
    counts = [sum(booking.count for booking in mine) for _, mine, _ in shown]
    table = Sheet(
        (
            text_column("region", [name for name, *_ in shown]),
            Column("ranks", tuple(str(len({b.rank for b in mine})) for _, mine, _ in shown)),
            number_column("calls", [float(count) for count in counts]),
            *energy_columns(amounts),
            _per_call(amounts, counts),
            number_column("rank time", [amount.seconds for amount in amounts], TIME),
            quality_column(amounts),
        ),
        notes=_clipped(rest, "regions", summed=False),
    )
    note = "Regions hold what was used inside them, in regions inside them as well, and lie within "
    yield Section("Regions", sheets=(table,), notes=(f"{note}phases: do not add them up.",))


def _per_call(amounts: Sequence[Amount], counts: Sequence[int]) -> Column:
    """Empty for regions that have not ended once."""
    pairs = list(zip(amounts, counts, strict=True))
    column = energy_columns([_scaled(a, n) if n else Amount() for a, n in pairs], "per call")[0]
    cells = zip(column.cells, counts, strict=True)
    return Column(column.head, tuple(cell if count else "" for cell, count in cells))


def _scaled(amount: Amount, count: int) -> Amount:
    if amount.joules is None:
        return amount
    ends = (amount.known_j / count, (amount.low_j or 0) / count, (amount.high_j or 0) / count)
    return Amount(*ends, coverage=amount.coverage, quality=amount.quality)


def _shares(run: RunEnergy, amounts: Sequence[Amount]) -> Column:
    return share_column([amount.joules for amount in amounts], run.total.joules, "share")


def _split(
    items: Sequence[T], most: int, amount_of: Callable[[T], Amount]
) -> tuple[list[T], list[Amount]]:
    """All items, or those with the most energy and the sum of the others."""
    if len(items) <= most:
        return list(items), []
    order = sorted(items, key=lambda item: -amount_of(item).known_j)
    return order[:most], [together([amount_of(item) for item in order[most:]])]


def _clipped(rest: Sequence[Amount], things: str, summed: bool = True) -> tuple[str, ...]:
    if not rest:
        return ()
    end = ", and the sum of the others" if summed else ""
    return (f"The {things} with the most energy are shown{end}.",)
