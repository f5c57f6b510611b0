"""A study as Markdown: losses, costs and losses by domain, to be kept with a text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from hpctrain.config.study import Cell
from hpctrain.report.studies.records import StudyRecords
from hpctrain.report.studies.terminal import HEADS, about, rows_of, title_of

LOSSES = 6  # columns of the first table; the others are costs


def markdown_of(records: StudyRecords) -> str:
    """The tables; the same study gives the same ones."""
    return "\n".join(_lines(records)) + "\n"


def _lines(records: StudyRecords) -> Iterator[str]:
    for line in about(records):
        yield from (f"{line}.", "")
    for group in records.places():
        yield from (f"## {title_of(records, group[0])}", "")
        rows = list(rows_of(records, group))
        yield from _table(HEADS[:LOSSES], [row[:LOSSES] for row in rows])
        yield ""
        costs = (HEADS[0], *HEADS[LOSSES:])
        yield from _table(costs, [(row[0], *row[LOSSES:]) for row in rows])
        domains = list(dict.fromkeys(d for cell in group for d in records.by_domain(cell)))
        if len(domains) > 1:
            best_first = sorted(group, key=lambda cell: _rank(records, cell))
            yield ""
            yield from _table(
                ("loss of", *domains), [_by_domain(records, cell, domains) for cell in best_first]
            )
        yield ""


def _rank(records: StudyRecords, cell: Cell) -> float:
    mean = records.spread(cell).mean
    return math.inf if math.isnan(mean) else mean


def _by_domain(records: StudyRecords, cell: Cell, domains: Sequence[str]) -> tuple[str, ...]:
    losses = [records.by_domain(cell).get(domain, math.nan) for domain in domains]
    return cell.method, *(f"{loss:.3f}" if math.isfinite(loss) else "" for loss in losses)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield _row(heads)
    yield _row(["---", *("---:" for _ in heads[1:])])
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
