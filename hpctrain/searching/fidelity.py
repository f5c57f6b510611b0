"""Multi-fidelity: ending candidates early that look bad compared with others at the same step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from dataclasses import dataclass, field
from math import isfinite, log, nan
from typing import Protocol

from hpctrain.errors import ConfigError

MOST_VALUES = 2048  # per step; beyond that the values are thinned out evenly


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

    def is_rung(self, step: int) -> bool:
        """Are values of `step` compared?"""
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

    def is_rung(self, step: int) -> bool:
        if step < self.first_step:
            return False
        near = round(log(step / self.first_step) / log(self.factor))
        rungs = (self.first_step * self.factor**k for k in range(max(0, near - 1), near + 2))
        return any(step == round(at) for at in rungs)

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

    def is_rung(self, step: int) -> bool:
        return step >= self.first_step

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
    by_step: dict[int, Rung] = field(default_factory=dict)
    _known: dict[tuple[int, int], None] = field(default_factory=dict)

    def learn(self, number: int, step: int, value: float) -> bool:
        """Take in a value; True if it was news."""
        if self.rule is None or not self.rule.is_rung(step) or (number, step) in self._known:
            return False
        self._known[number, step] = None
        if len(self._known) > MOST_VALUES:
            del self._known[next(iter(self._known))]
        self.by_step.setdefault(step, Rung()).add(value)
        return True

    def verdict(self, step: int, value: float = nan) -> str:
        """Why a candidate with `value` at `step` should end; empty if it may go on."""
        if self.rule is None or step not in self.by_step:
            return ""
        return self.rule.verdict(self.by_step[step], value)
