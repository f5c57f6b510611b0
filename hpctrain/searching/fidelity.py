"""Multi-fidelity: ending candidates early that look bad compared with others at the same step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from math import isfinite, log, nan
from typing import Protocol

from hpctrain.errors import ConfigError

MOST_VALUES = 2048  # per rung; beyond that the values are thinned out evenly


@dataclass(slots=True)
class Rung:
    """The values that candidates had at one step, sorted."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """A value that is no finite number is as bad as can be."""
        insort(self.values, value if isfinite(value) else float("inf"))
        if len(self.values) > MOST_VALUES:
            del self.values[1::2]


class Fidelity(Protocol):
    """A rule that ends candidates early."""

    def rung_of(self, step: int) -> int | None:
        """The rung that a value at `step` belongs to; None if it is not compared.

        The first value of a candidate in a rung counts, so that it does not matter whether
        objectives report at just the steps of the rungs.
        """
        ...

    def verdict(self, rung: Rung, value: float) -> str:
        """Why a candidate with `value`, which is in `rung`, should end; empty if it may go on."""
        ...


@dataclass(frozen=True, slots=True)
class SuccessiveHalving:
    """Asynchronous successive halving, ASHA (Li et al., arXiv 1810.05934, algorithm 2).

    Of the candidates that reach step `first_step * factor**k`, the best 1 / `factor` go on. This is
    the form that never waits and never takes a candidate up again: it is decided on what is known
    when a candidate arrives, so the first ones always go on.
    """

    first_step: int = 1
    factor: float = 3.0

    def __post_init__(self) -> None:
        if self.first_step < 1:
            raise ConfigError(
                f"fidelity.first_step: {self.first_step} is not allowed; give 1 or more"
            )
        if not self.factor > 1:
            raise ConfigError(f"fidelity.factor: {self.factor} is not allowed; give more than 1")

    def rung_of(self, step: int) -> int | None:
        """The largest `first_step * factor**k` up to `step`."""
        if step < self.first_step:
            return None
        near = round(log(step / self.first_step) / log(self.factor))
        rungs = (round(self.first_step * self.factor**k) for k in range(near - 1, near + 2))
        return max((rung for rung in rungs if rung <= step), default=self.first_step)

    def verdict(self, rung: Rung, value: float) -> str:
        if not isfinite(value):
            return f"the value is {value}"
        going_on = max(1, int(len(rung.values) / self.factor))
        better = bisect_left(rung.values, value)
        if better < going_on:
            return ""
        return f"{better} of {len(rung.values)} were better, the best {going_on} go on"


@dataclass(frozen=True, slots=True)
class MedianRule:
    """Ends a candidate whose value is worse than the median at the same step (Golovin et al. 2017).

    Attributes:
        first_step: no candidate ends before this step.
        at_least: values that must be known at a step.
    """

    first_step: int = 1
    at_least: int = 5

    def rung_of(self, step: int) -> int | None:
        """The step's first two digits: ninety rungs to 999, ninety more to 9,999, and so on."""
        if step < self.first_step:
            return None
        grain: int = 10 ** max(0, len(str(step)) - 2)
        return max(self.first_step, step - step % grain)

    def verdict(self, rung: Rung, value: float) -> str:
        if not isfinite(value):
            return f"the value is {value}"
        known = len(rung.values)
        if known <= self.at_least:
            return ""
        worse = known - bisect_right(rung.values, value)
        if 2 * worse >= known - 1:
            return ""
        return f"worse than the median of {known} candidates"


@dataclass(slots=True)
class Rungs:
    """The rungs that one worker knows of."""

    rule: Fidelity | None
    by_rung: dict[int, Rung] = field(default_factory=dict)
    _known: dict[tuple[int, int], None] = field(default_factory=dict)

    def learn(self, number: int, step: int, value: float) -> bool:
        """Take in a value; True if it was news: the first of a candidate in its rung."""
        at = None if self.rule is None else self.rule.rung_of(step)
        if at is None or (number, at) in self._known:
            return False
        self._known[number, at] = None
        if len(self._known) > MOST_VALUES:
            del self._known[next(iter(self._known))]
        self.by_rung.setdefault(at, Rung()).add(value)
        return True

    def verdict(self, step: int, value: float = nan) -> str:
        """Why a candidate with `value` at `step` should end; empty if it may go on."""
        at = None if self.rule is None else self.rule.rung_of(step)
        if self.rule is None or at not in self.by_rung:
            return ""
        return self.rule.verdict(self.by_rung[at], value)
