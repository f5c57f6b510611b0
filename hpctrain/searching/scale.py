"""How one gene goes to the unit interval and back, and to the nearest value that is allowed.

Functions made once per space, because each candidate goes through them; a method with its look-ups
costs twice as much.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, log
from typing import NamedTuple

from hpctrain.searching.parameters import Choice, Float, Gene, Int, Value

Map = Callable[[float], float]


class Scale(NamedTuple):
    """The functions of one gene.

    Attributes:
        to_unit: a gene to 0..1; a value of a grid to the middle of its cell.
        from_unit: a number to a gene; below 0 and above 1 to the ends.
        snap: any number to the nearest allowed gene.
        decode: a gene to the parameter's value; None if it is the gene itself.
    """

    to_unit: Map
    from_unit: Map
    snap: Map
    decode: Callable[[float], Value] | None = None


def scale_of(parameter: Gene) -> Scale:
    match parameter:
        case Float():
            return _float(parameter)
        case Int():
            return _int(parameter)._replace(decode=int)
        case Choice(options):
            chosen = tuple(options)
            top = len(chosen) - 1.0
            return _cells(0.0, top, 1.0, len(chosen))._replace(decode=lambda x: chosen[int(x)])


def _float(parameter: Float) -> Scale:
    low, high = float(parameter.low), float(parameter.high)
    if parameter.log:
        return _log_float(low, high)
    num_cells = parameter.count
    if parameter.step is None or num_cells is None:
        return _linear_float(low, high)
    return _cells(low, high, float(parameter.step), num_cells)


def _int(parameter: Int) -> Scale:
    low, step, num_cells = parameter.low, parameter.step, parameter.count
    if parameter.log:
        return _log_int(low, parameter.high)
    return _cells(float(low), float(low + (num_cells - 1) * step), float(step), num_cells)


def _linear_float(low: float, high: float) -> Scale:
    span = high - low

    def to_unit(x: float) -> float:
        return (x - low) / span

    def from_unit(u: float) -> float:
        if u <= 0.0:
            return low
        x = low + u * span
        return x if x < high else high

    return Scale(to_unit, from_unit, _clip(low, high))


def _log_float(low: float, high: float) -> Scale:
    start = log(low)
    span = log(high) - start

    def to_unit(x: float) -> float:
        return min(max((log(x) - start) / span, 0.0), 1.0)

    def from_unit(u: float) -> float:
        if u <= 0.0:
            return low
        if u >= 1.0:
            return high
        return min(max(exp(start + u * span), low), high)

    return Scale(to_unit, from_unit, _clip(low, high))


def _cells(low: float, high: float, step: float, num_cells: int) -> Scale:
    """`num_cells` values from `low` in steps, at most `high`, in cells of equal width."""
    last = num_cells - 1

    def value(k: int) -> float:
        if k <= 0:
            return low
        x = low + k * step
        return x if x < high else high

    def to_unit(x: float) -> float:
        return (round((x - low) / step) + 0.5) / num_cells

    def from_unit(u: float) -> float:
        k = int(u * num_cells)
        return value(k if k < last else last)

    def snap(x: float) -> float:
        if x >= high:
            return value(last)
        return value(min(round((x - low) / step), last)) if x > low else low

    return Scale(to_unit, from_unit, snap)


def _log_int(low: int, high: int) -> Scale:
    """Each integer has the cell from half below to half above it, in the logarithm."""
    start = log(low - 0.5)
    span = log(high + 0.5) - start
    clip = _clip(float(low), float(high))

    def to_unit(x: float) -> float:
        return (log(x) - start) / span

    def from_unit(u: float) -> float:
        return clip(float(round(exp(start + min(max(u, 0.0), 1.0) * span))))

    def snap(x: float) -> float:
        return float(round(clip(x)))

    return Scale(to_unit, from_unit, snap)


def _clip(low: float, high: float) -> Map:
    def clip(x: float) -> float:
        if x < low:
            return low
        return x if x < high else high

    return clip
