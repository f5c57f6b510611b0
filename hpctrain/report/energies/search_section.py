"""Energy of a search: by candidate, what was for nothing, and what better losses cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energies.candidates import WASTED, Candidates, CandidateUse
from hpctrain.report.energies.cells import (
    TIME,
    Column,
    Section,
    Sheet,
    energy_columns,
    number_column,
    percent,
    quality_column,
    share_column,
    text_column,
)
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energies.words import amount_text
from hpctrain.report.energy_line import energy_text

MOST_ON_FRONT = 20


def candidates_section(run: RunEnergy, candidates: Candidates, most: int) -> Section:
    """The tables of a search, with at most `most` candidates in that of the most expensive."""
    total = candidates.total
    outcomes = candidates.by_outcome()
    amounts = [amount for _, amount in outcomes.values()]
    summed = Sheet(
        (
            text_column("outcome", outcomes),
            number_column("candidates", [float(count) for count, _ in outcomes.values()]),
            *energy_columns(amounts),
            share_column([amount.joules for amount in amounts], total.joules, "share"),
            number_column("rank time", [amount.seconds for amount in amounts], TIME),
            quality_column(amounts),
        )
    )
    front = candidates.front()
    costly = sorted(candidates.all, key=lambda one: (-one.amount.known_j, one.number))[:most]
    sheets = [summed, _table(_title(front), front[-MOST_ON_FRONT:], total)]
    sheets.append(_table("The most expensive", costly, total))
    notes = []
    if any(one.split for one in candidates.all):
        notes.append(
            "Energy of short candidates is booked for several at a time (/): each has the share "
            "of its time."
        )
    return Section(
        "By candidate", tuple(_facts(run, candidates)), tuple(sheets), tuple(notes), "front"
    )


def _title(front: Sequence[CandidateUse]) -> str:
    more = f", the best {MOST_ON_FRONT} of {len(front)}" if len(front) > MOST_ON_FRONT else ""
    return f"Front: no other has both a lower loss and less energy{more}"


def _facts(run: RunEnergy, candidates: Candidates) -> Iterator[tuple[str, str]]:
    total, wasted = candidates.total, candidates.wasted
    yield "candidates", f"{len(candidates.all):,} used {amount_text(total)}"
    if total.joules and run.total.joules:
        yield "share of the run", percent(total.joules / run.total.joules)
    if any(one.outcome in WASTED for one in candidates.all):
        share = f", {percent(wasted.known_j / total.joules)}" if total.joules else ""
        yield "waste", f"{amount_text(wasted)}{share} (failed, stopped or cancelled)"
    else:
        yield "waste", "none: nothing failed, was stopped or cancelled"
    each = candidates.joules_per_improvement
    count = len(candidates.improvements())
    if each is None:
        yield "per improvement", "not known: the best loss did not improve after the first"
    else:
        mark = "~" if total.quality == "estimate" else ""
        text = f"{mark}{energy_text(each)} for each of the {count - 1:,} times the best loss fell"
        yield "per improvement", text


def _table(title: str, shown: Sequence[CandidateUse], total: Amount) -> Sheet:
    amounts = [one.amount for one in shown]
    numbers = [f"{one.number}{'/' if one.split else ''}" for one in shown]
    losses = ["" if np.isnan(one.loss) else f"{one.loss:.6g}" for one in shown]
    return Sheet(
        (
            Column("candidate", tuple(numbers)),
            text_column("outcome", [one.outcome for one in shown]),
            Column("loss", tuple(losses)),
            *energy_columns(amounts),
            share_column([amount.joules for amount in amounts], total.joules, "share"),
            number_column("rank time", [amount.seconds for amount in amounts], TIME),
            quality_column(amounts),
        ),
        title,
    )
