"""The parts of the report on many runs: the same in text and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.cells import (
    Column,
    Section,
    Sheet,
    energy_columns,
    is_estimate,
    number_column,
    percent,
    quality_cell,
    quality_column,
    share_column,
    text_column,
)
from hpctrain.report.energies.words import amount_text, mass_text
from hpctrain.report.energy_line import energy_text
from hpctrain.report.fleet.fleet import Fleet
from hpctrain.report.fleet.paused import Paused, paused_sum
from hpctrain.report.fleet.rows import By, FleetRun, add
from hpctrain.report.fleet.slurm import Compared
from hpctrain.report.fleet.sums import BILLED, Sum, share_of, sum_of
from hpctrain.report.fleet.tables import (
    ALL,
    costs_text,
    marked,
    runs_sheet,
    sums_sheet,
)
from hpctrain.report.words import plural, seconds_text

WASTE = (
    "Waste: candidates that failed, were stopped or cancelled, and all of the runs that were "
    "killed or aborted and not resumed since; a resume may yet save a part of that."
)
IDLE = (
    "Energy of GPUs on hosts of which no rank of the run had one. Hosts that other jobs may have "
    "been on are shown and not added up. A GPU that a rank has and leaves idle is not seen."
)
SLURM = (
    "Slurm measures hosts, with all that is in them, for as long as they are allocated; we "
    "measure what has a sensor that we may read, while the run goes on. 0 in Slurm means not "
    "measured. Only jobs that have their hosts for themselves can be compared."
)
WHAT_IF = (
    "A what-if and an upper bound: prices are known in advance, pauses and restarts cost nothing, "
    "and all can wait. IT energy; the runs would have ended later."
)
ROUNDING = 1e-9


def sections(fleet: Fleet, sums: Sequence[By]) -> Iterator[Section]:
    """Sums first, the runs themselves, then what is special; without what has nothing to say."""
    for by in sums:
        yield Section(f"By {by}", sheets=(sums_sheet(fleet.runs, by),))
    estimated = any(is_estimate(run.total) for run in fleet.runs)
    tilde = ("~ is an estimate; bounds are beside it, as far as they are known.",)
    notes = (WASTE, *(tilde if estimated else ()))
    yield Section("Runs", sheets=(runs_sheet(fleet.runs),), notes=notes)
    if any(run.idle for run in fleet.runs):
        yield _idle(fleet.runs)
    if fleet.compared is not None:
        yield _slurm(fleet.compared)
    if fleet.prices:
        yield _what_if(fleet.runs, fleet.prices)
    unbilled = [(run.label, run.bill_error) for run in fleet.runs if run.bill_error]
    if unbilled:
        yield Section("Not billed", sheets=(_reasons("run", unbilled),))
    if fleet.skipped:
        skipped = [(one.run_dir, one.why) for one in fleet.skipped]
        yield Section("Not in this report", sheets=(_reasons("directory", skipped),))


def headline(fleet: Fleet) -> str:
    """One line that stands alone."""
    whole = sum_of(ALL, fleet.runs)
    words = [amount_text(whole.amount)]
    if not is_estimate(whole.amount) and whole.amount.joules is not None:
        words.append(quality_cell(whole.amount))
    if whole.silent and whole.silent < whole.runs:
        words.append(f"{whole.silent} of them with no readings")
    return f"{plural(whole.runs, 'run')}: {', '.join(words)}"


def facts(fleet: Fleet) -> Iterator[tuple[str, str]]:
    """What an operator looks for first."""
    whole = sum_of(ALL, fleet.runs)
    runs = plural(whole.runs, "run")
    yield "runs", f"{runs} ({whole.silent} with no readings)" if whole.silent else runs
    yield "time", seconds_text(whole.seconds)
    yield "IT energy", amount_text(whole.amount)
    yield from _billed(whole)
    yield "waste", _part_text(whole.waste, whole)
    if any(run.idle for run in fleet.runs):
        yield "idle GPUs", _part_text(whole.idle, whole)


def _billed(whole: Sum) -> Iterator[tuple[str, str]]:
    mark = "~" if is_estimate(whole.amount) else ""
    if whole.facility_kwh is not None and _has_pue(whole):
        yield "facility energy", f"{mark}{energy_text(whole.facility_kwh * 3.6e6)}"
    texts = {
        "cost": costs_text(whole.costs),
        "location_gco2": mass_text(whole.location_gco2 or 0.0),
        "market_gco2": mass_text(whole.market_gco2 or 0.0),
    }
    for name, what in BILLED.items():
        count = whole.billed[name]
        some = f" (of {count} of {whole.told} runs)" if count < whole.told else ""
        if count:
            yield what, f"{mark}{texts[name]}{some}"


def _has_pue(whole: Sum) -> bool:
    """Whether anybody stated a PUE above 1: else facility energy would only repeat IT energy."""
    facility_j = (whole.facility_kwh or 0.0) * 3.6e6
    return facility_j > whole.amount.known_j * (1 + ROUNDING)


def _part_text(part: Amount, whole: Sum) -> str:
    """`1.2 kWh (12 %)`; in brackets also what is not known of it."""
    if part.joules is None:
        return "not known"
    share = share_of(part.joules, whole.amount.joules)
    words = [] if share is None else [percent(share)]
    words += [] if part.quality == "measured" else [part.quality]
    mark = "~" if is_estimate(part) else ""
    text = f"{mark}{energy_text(part.joules)}"
    return f"{text} ({', '.join(words)})" if words else text


def _reasons(head: str, pairs: Sequence[tuple[str, str]]) -> Sheet:
    names, reasons = zip(*pairs, strict=True)
    return Sheet((text_column(head, names), text_column("why", reasons)))


def _idle(runs: Sequence[FleetRun]) -> Section:
    mine = [run for run in runs if run.idle]
    idle = [add([one.amount for one in run.idle]) for run in mine]
    amounts = [*idle, add([run.idle_amount for run in mine])]
    totals = [*(run.total.joules for run in mine), None]
    shares = [share_of(a.joules, total) for a, total in zip(amounts, totals, strict=True)]
    shared = ["yes" if any(one.shared for one in run.idle) else "" for run in mine]
    columns = [
        text_column("run", [*(run.label for run in mine), ALL]),
        number_column("hosts", [*(len(run.idle) for run in mine), None]),
        number_column("GPUs", [*(sum(one.devices for one in run.idle) for run in mine), None]),
        *energy_columns(amounts),
        quality_column(amounts),
        share_column(shares, 1.0, "of the run"),
    ]
    if any(shared):
        columns.append(text_column("shared", [*shared, ""]))
    return Section("Idle GPUs", sheets=(Sheet(tuple(columns)),), notes=(IDLE,))


def _slurm(compared: Sequence[Compared]) -> Section:
    if not compared:
        return Section("Compared with Slurm", notes=("None of the runs was in a batch job.",))
    ours = [one.ours for one in compared]
    theirs = [_measured(one.slurm_j) for one in compared]
    sheet = Sheet((
        text_column("runs", [_names(one.runs) for one in compared]),
        text_column("job", [", ".join(one.jobs) for one in compared]),
        *energy_columns(ours, "here", beside=[one.slurm_j for one in compared]),
        _not_measured(energy_columns(theirs, "Slurm", beside=[_end(one) for one in ours])[0]),
        number_column("Slurm / here", [one.ratio for one in compared]),
        text_column("why they may differ", ["; ".join(one.why) for one in compared]),
    ))  # fmt: skip
    return Section("Compared with Slurm", sheets=(sheet,), notes=(SLURM,))


def _names(runs: Sequence[FleetRun]) -> str:
    more = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"{runs[0].label}{more}"


def _measured(joules: float | None) -> Amount:
    return Amount() if joules is None else Amount(joules, joules, joules, quality="measured")


def _end(amount: Amount) -> float | None:
    return amount.high_j if is_estimate(amount) else amount.joules


def _not_measured(column: Column) -> Column:
    return Column(
        column.head, tuple(c if c[:1].isdigit() else "not measured" for c in column.cells)
    )


def _what_if(runs: Sequence[FleetRun], prices: str) -> Section:
    asked = [(run.label, run.paused) for run in runs if run.paused is not None]
    told = [(label, one) for label, one in asked if not one.why_not]
    others = [(label, one) for label, one in asked if one.why_not]
    sheets = [_paused_sheet(told)] if told else []
    if others:
        sheet = _reasons("run", [(label, one.why_not) for label, one in others])
        sheets.append(replace(sheet, title="Not counted"))
    title = "What if they had paused while energy was dear?"
    return Section(title, (("prices", prices),), tuple(sheets), (WHAT_IF,))


def _paused_sheet(told: Sequence[tuple[str, Paused]]) -> Sheet:
    runs = [one for _, one in told]
    whole = paused_sum(runs)
    unit = runs[0].currency.upper()
    was = [*(one.was.energy_cost if one.was else None for one in runs), whole.was]
    saving = [*(one.saving for one in runs), whole.saving]
    pauses = [*(one.then.pauses if one.then else None for one in runs), whole.pauses]
    paused_s = [*(one.then.paused_s if one.then else 0.0 for one in runs), whole.paused_s]
    qualities = [*(one.quality for one in runs), whole.quality]
    saved = [share_of(part, cost) for part, cost in zip(saving, was, strict=True)]

    def money(head: str, values: Sequence[float | None]) -> Column:
        column = number_column(f"{head} [{unit}]", values)
        estimates = [quality == "estimate" for quality in qualities]
        return Column(column.head, marked(column.cells, estimates))

    return Sheet((
        text_column("run", [*(label for label, _ in told), ALL]),
        number_column(f"above [{unit}]", [*(one.threshold for one in runs), None]),
        money("as it was", was),
        money("saved at most", saving),
        share_column(saved, 1.0, "saved"),
        number_column("pauses", pauses),
        number_column("paused [h]", [seconds / 3600 for seconds in paused_s]),
        text_column("quality", qualities),
    ))  # fmt: skip
