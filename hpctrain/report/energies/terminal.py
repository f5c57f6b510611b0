"""The report as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from hpctrain.report.energies.cells import Column, Section, Sheet
from hpctrain.report.energies.compare_section import comparison_section
from hpctrain.report.energies.run import RunEnergy
from hpctrain.report.energies.sections import Limits, sections
from hpctrain.report.energies.words import headline, summary_facts

HOSTS, RANKS, REGIONS = 20, 16, 20
GAP = 2  # between columns
LONGEST_NAME = 24  # longer ones are folded if there is no room


def print_energies(runs: Sequence[RunEnergy], top: int, console: Console) -> None:
    """Print all about `runs`, with at most `top` of the most expensive candidates."""
    if len(runs) > 1:
        print_section(console, comparison_section(runs), first=True)
    for place, run in enumerate(runs):
        if len(runs) > 1 or place:
            console.print()
        _print_run(console, run, Limits(HOSTS, RANKS, REGIONS, top))


def print_headlines(runs: Iterable[RunEnergy], console: Console) -> None:
    """One line each."""
    for run in runs:
        console.print(_text(headline(run)), soft_wrap=True)


def _print_run(console: Console, run: RunEnergy, limits: Limits) -> None:
    console.print(_text(headline(run), style="bold"), soft_wrap=True)
    console.print(_facts(summary_facts(run)))
    for section in sections(run, limits):
        if section.facts or section.sheets or section.notes:
            print_section(console, section)


def print_section(console: Console, section: Section, first: bool = False) -> None:
    """Its title, facts, tables and notes; a line is left free before it unless it is the first."""
    if not first:
        console.print()
    console.print(_text(section.title, style="bold"))
    if section.facts:
        console.print(_facts(section.facts))
    for place, sheet in enumerate(section.sheets):
        if not all(len(column.cells) for column in sheet.columns):
            continue
        if place or section.facts:
            console.print()
        if sheet.title:
            console.print(_text(sheet.title), soft_wrap=True)
        _print_sheet(console, sheet)
        _print_notes(console, sheet.notes)
    _print_notes(console, section.notes)


def _print_sheet(console: Console, sheet: Sheet) -> None:
    """Numbers are never cut: a table that needs more room than there is runs over."""
    widths = _widths(sheet.columns, console.width)
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim")
    for column, width in zip(sheet.columns, widths, strict=True):
        justify: Literal["left", "right"] = "left" if column.left else "right"
        table.add_column(_text(column.head), justify=justify, width=width, overflow="fold")
    for row in sheet.rows:
        table.add_row(*(_text(cell) for cell in row))
    room = console.width
    console.width = max(room, sum(widths) + GAP * len(widths))
    console.print(table)
    console.width = room


def _widths(columns: Sequence[Column], room: int) -> list[int]:
    """As wide as there is room; heads are broken at spaces first, then long names anywhere."""
    wanted = [max(_widest(column.cells), len(column.head)) for column in columns]
    widths = [
        min(_widest(column.cells), LONGEST_NAME if column.left else room) for column in columns
    ]
    widths = [
        max(width, _widest(column.head.split()))
        for column, width in zip(columns, widths, strict=True)
    ]
    spare = room - sum(widths) - GAP * (len(widths) - 1)
    for place in sorted(range(len(columns)), key=lambda place: columns[place].left):
        more = max(min(wanted[place] - widths[place], spare), 0)
        widths[place] += more
        spare -= more
    return widths


def _print_notes(console: Console, notes: Iterable[str]) -> None:
    for note in notes:
        console.print(_text(note, style="dim"))


def _facts(pairs: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for label, text in pairs:
        grid.add_row(_text(label), _text(text))
    return grid


def _text(text: str, style: str = "") -> Text:
    """Names may hold anything: what moves a terminal's cursor or colours it is not printed."""
    return Text("".join(c if c.isprintable() else "?" for c in text), style=style)


def _widest(cells: Sequence[str]) -> int:
    return max((len(cell) for cell in cells), default=0)
