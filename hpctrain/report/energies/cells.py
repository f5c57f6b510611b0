"""Columns of a table: one unit for all of a column, chosen by its largest value.

A missing reading is "no readings" and never 0; an estimate has a ~ and its bounds beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from statistics import median

from hpctrain.report.energies.amount import Amount
from hpctrain.report.energy_line import Trust

Units = tuple[tuple[float, str], ...]
ENERGY: Units = ((1.0, "J"), (3.6e3, "Wh"), (3.6e6, "kWh"), (3.6e9, "MWh"))
POWER: Units = ((1.0, "W"), (1e3, "kW"), (1e6, "MW"))
TIME: Units = ((1.0, "s"), (3.6e3, "h"))
MASS: Units = ((1.0, "g"), (1e3, "kg"), (1e6, "t"))
PLAIN: Units = ((1.0, ""),)
DIGITS = 4  # of the large values of a column
LONGEST = 1e4  # of the largest, before its point: in units of four digits
NO_READINGS = "no readings"


@dataclass(frozen=True, slots=True)
class Column:
    """A head and a text per row.

    Attributes:
        left: it is text, not numbers.
        bars: for each row a share of 1 to be drawn as a bar, where there is room for that.
    """

    head: str
    cells: tuple[str, ...]
    left: bool = False
    bars: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    columns: tuple[Column, ...]
    title: str = ""
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> list[tuple[str, ...]]:
        return list(zip(*(column.cells for column in self.columns), strict=True))


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report.

    Attributes:
        facts: labels and what stands there.
        drawing: name of the figure that belongs here; empty if none does.
    """

    title: str
    facts: tuple[tuple[str, str], ...] = ()
    sheets: tuple[Sheet, ...] = ()
    notes: tuple[str, ...] = ()
    drawing: str = ""


def text_column(head: str, cells: Iterable[object]) -> Column:
    return Column(head, tuple(str(cell) for cell in cells), left=True)


def number_column(head: str, values: Sequence[float | None], units: Units = PLAIN) -> Column:
    """Numbers of one unit with their points in line; None is left empty."""
    factor, unit = unit_for(values, units)
    texts = aligned([None if value is None else value / factor for value in values])
    return Column(_headed(head, unit), tuple(texts))


def share_column(values: Sequence[float | None], whole: float | None, head: str) -> Column:
    """In percent of `whole`, with bars."""
    if not whole:
        return Column(head, ("",) * len(values))
    shares = [None if value is None else value / whole for value in values]
    texts = ["" if share is None else percent(share) for share in shares]
    bars = [min(max(share or 0.0, 0.0), 1.0) for share in shares]
    return Column(head, tuple(texts), bars=tuple(bars))


def energy_columns(
    amounts: Sequence[Amount],
    head: str = "energy",
    inside: Sequence[bool] = (),
    beside: Sequence[float | None] = (),
) -> list[Column]:
    """The energies, and their bounds if one of them is an estimate.

    Args:
        amounts: one for each row.
        head: of the column.
        inside: which of them are in brackets.
        beside: energies that stand in other columns of the same unit.
    """
    ends = [amount.high_j if is_estimate(amount) else amount.joules for amount in amounts]
    factor, unit = unit_for([*ends, *beside], ENERGY)
    values = [(a.joules, *((a.low_j, a.high_j) if has_bounds(a) else ())) for a in amounts]
    every = iter(aligned([None if v is None else v / factor for v in chain(*values)]))
    parts = [[next(every) for _ in row] for row in values]
    texts = [
        NO_READINGS if a.joules is None else ("~" if is_estimate(a) else "") + part[0]
        for a, part in zip(amounts, parts, strict=True)
    ]
    if any(inside):
        texts = [f"({t})" if i else f"{t} " for t, i in zip(texts, inside, strict=True)]
    columns = [Column(_headed(head, unit), tuple(texts))]
    if any(has_bounds(amount) for amount in amounts):
        bounds = tuple(" to ".join(part[1:]) for part in parts)
        columns.append(Column(_headed("bounds", unit), bounds))
    return columns


def power_column(amounts: Sequence[Amount], head: str = "mean power") -> Column:
    """Mean powers; those of estimates have a ~ as well."""
    column = number_column(head, [amount.watts for amount in amounts], POWER)
    cells = [
        f"~{text}" if text and is_estimate(amount) else text
        for amount, text in zip(amounts, column.cells, strict=True)
    ]
    return Column(column.head, tuple(cells))


def quality_column(amounts: Sequence[Amount]) -> Column:
    return text_column("quality", [quality_cell(amount) for amount in amounts])


def quality_cell(amount: Amount) -> str:
    """Of an estimate or a part also how much of the time is covered, if that is not all."""
    quality: Trust = amount.quality
    if quality in ("measured", "none") or amount.coverage >= 1:
        return "" if quality == "none" else quality
    return f"{quality}, {percent(amount.coverage)} covered"


def is_estimate(amount: Amount) -> bool:
    return amount.quality == "estimate"


def has_bounds(amount: Amount) -> bool:
    """Whether it is an estimate of which somebody said how far it may be off."""
    return is_estimate(amount) and amount.low_j != amount.high_j


def unit_for(values: Iterable[float | None], units: Units) -> tuple[float, str]:
    """The largest unit of which a typical value has at least one."""
    typical = _typical(values)
    fitting = [unit for unit in units if typical >= unit[0]]
    return fitting[-1] if fitting else units[0]


def aligned(values: Sequence[float | None]) -> list[str]:
    """Texts with as many decimals each as leave three or four digits of most; None is empty."""
    finite = [float(value) for value in values if value is not None and math.isfinite(value)]
    decimals = 0
    if not all(value.is_integer() for value in finite):
        large = min(max(abs(value) for value in finite), 10 * _typical(finite))
        decimals = min(max(DIGITS - 1 - math.floor(math.log10(large)), 0), 9)
    return ["" if value is None else _number(value, decimals) for value in values]


def significant(value: float, digits: int = 3) -> str:
    """So many digits, never with an exponent: `0.0123`, `3,140`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:,.{decimals}f}"


def _typical(values: Iterable[float | None]) -> float:
    """The median of what is not zero, but so that the largest stays short."""
    sizes = [abs(value) for value in values if value]
    return max(median(sizes), max(sizes) / LONGEST) if sizes else 0.0


def percent(share: float) -> str:
    """`87.3 %`; what is not all of it is never 100 %."""
    text = f"{share:.1%}"
    if text == "100.0%" and share < 1:
        return ">99.9 %"
    if text in ("0.0%", "-0.0%") and share != 0:
        return "<0.1 %" if share > 0 else ">-0.1 %"
    return "100 %" if share == 1 else f"{text[:-1]} %"


def _number(value: float, decimals: int) -> str:
    text = f"{value:,.{decimals}f}"
    if value and not float(text.replace(",", "")):
        least = f"{10.0**-decimals:.{decimals}f}"
        return f"<{least}" if value > 0 else f">-{least}"
    return text


def _headed(head: str, unit: str) -> str:
    return f"{head} [{unit}]" if unit else head
