"""What a recorded run would have cost if it had paused while energy was dear. Pure; a what-if.

The energy of the run is replayed at the prices of a series. While the price is above a threshold
the run stands still at residual power, the repeated work after a pause costs its energy again, and
the run ends later. Energy and prices are those of the record and of the series; nothing else is
foreseen: neither that the machine is given to others in a pause, nor that a run cannot be paused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpctrain.errors import MeteringError
from hpctrain.metering.steps import Steps, utc
from hpctrain.metering.tco import Machine

J_PER_KWH = 3.6e6

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Recorded:
    """E(t) of all hosts of a run: joules to date, a straight line between the knots.

    Attributes:
        begin_ns: nanoseconds since 1970 of the first knot.
        at_s: of the knots, since the first, (N,).
        joules: to date, (N,).
    """

    begin_ns: int
    at_s: Floats
    joules: Floats

    @property
    def duration_s(self) -> float:
        return float(self.at_s[-1])

    @property
    def mean_w(self) -> float:
        return float(self.joules[-1]) / self.duration_s

    def to_date_j(self, progress_s: float) -> float:
        return float(np.interp(progress_s, self.at_s, self.joules))


@dataclass(frozen=True, slots=True)
class RunCost:
    """A run under one way of running it.

    Attributes:
        energy_kwh: of the computers (IT energy); PUE is not in it.
        energy_cost: of that, in the unit of the series.
        fixed_cost: psi times the energy of that time at mean power and mean price.
        duration_s: from begin to end, pauses included.
        pauses: how many.
        paused_s: in all, without restarts.
    """

    energy_kwh: float
    energy_cost: float
    fixed_cost: float
    duration_s: float
    pauses: int
    paused_s: float

    @property
    def cost(self) -> float:
        return self.energy_cost + self.fixed_cost


def recorded(intervals: Iterable[tuple[float, float, float]]) -> Recorded:
    """E(t) from intervals of devices that do not contain each other.

    Args:
        intervals: end in seconds since 1970, length in seconds, and joules of each.

    Raises:
        MeteringError: if there is none.
    """
    rows = np.array(list(intervals), dtype=np.float64).reshape(-1, 3)
    rows = rows[rows[:, 1] > 0]
    if not len(rows):
        raise MeteringError(
            "the run has no energy readings, and without them there is nothing to pay for; "
            "hpctrain doctor says which sensors there are"
        )
    ends_s, begins_s, watts = rows[:, 0], rows[:, 0] - rows[:, 1], rows[:, 2] / rows[:, 1]
    first_s = float(begins_s.min())
    turns_s = np.concatenate((begins_s, ends_s)) - first_s
    order = np.argsort(turns_s, kind="stable")
    at_s = turns_s[order]
    power_w = np.cumsum(np.concatenate((watts, -watts))[order])
    joules = np.concatenate(([0.0], np.cumsum(power_w[:-1] * np.diff(at_s))))
    return Recorded(round(first_s * 1e9), at_s, joules)


def as_it_was(run: Recorded, prices: Steps, psi: float, mean_price: float) -> RunCost:
    """The cost of the run as it was recorded.

    Raises:
        MeteringError: if the series does not cover the run.
    """
    return paused_above(run, prices, float("inf"), Machine(psi), mean_price)


def paused_above(
    run: Recorded, prices: Steps, threshold: float, machine: Machine, mean_price: float
) -> RunCost:
    """The cost if the run had stood still whenever the price was above `threshold`.

    A pause costs the work of the last `lost_s` of computing, but never more than since the last
    restart; then the restart, at mean power. A run that would have begun in dear hours has lost
    nothing and only begins later.

    Raises:
        MeteringError: if the series does not cover the run with its pauses.
    """
    state = _Replay(run, machine)
    for begin_ns, end_ns, price in _pieces(run, prices):
        if price > threshold:
            state.pause(price, (end_ns - begin_ns) / 1e9)
        else:
            state.go_on(price, (end_ns - begin_ns) / 1e9)
        if state.done:
            kw = run.mean_w / 1000
            fixed = machine.psi * kw * state.clock_s / 3600 * mean_price
            return RunCost(
                state.joules / J_PER_KWH, state.cost, fixed, state.clock_s, state.pauses,
                state.paused_s,
            )  # fmt: skip
    longer = "" if threshold == float("inf") else " with its pauses"
    raise MeteringError(
        f"{prices.source} ends at {utc(prices.end_ns)}, when the run{longer} is "
        f"{state.progress_s / run.duration_s:.0%} done; take a longer series or a higher threshold"
    )


def _pieces(run: Recorded, prices: Steps) -> Iterator[tuple[int, int, float]]:
    if run.begin_ns >= prices.end_ns:
        raise MeteringError(
            f"{prices.source} ends at {utc(prices.end_ns)}, but the run begins at "
            f"{utc(run.begin_ns)}; take the series of its time"
        )
    return prices.pieces(run.begin_ns, prices.end_ns)


class _Replay:
    """The run on its way through the series."""

    def __init__(self, run: Recorded, machine: Machine) -> None:
        self.progress_s = 0.0  # of the recorded run
        self.clock_s = 0.0
        self.joules = 0.0
        self.cost = 0.0
        self.pauses = 0
        self.paused_s = 0.0
        self._run = run
        self._machine = machine
        self._paused = False
        self._since_s = 0.0  # progress at the last restart
        self._restart_left_s = 0.0

    @property
    def done(self) -> bool:
        return self.progress_s >= self._run.duration_s

    def pause(self, price: float, length_s: float) -> None:
        if not self._paused:
            self._paused = True
            self.pauses += 1
            repeated_s = min(self._machine.lost_s, self.progress_s - self._since_s)
            self.progress_s -= repeated_s
            self._since_s = self.progress_s
        self.clock_s += length_s
        self.paused_s += length_s
        self._pay(price, self._machine.residual * self._run.mean_w * length_s)

    def go_on(self, price: float, length_s: float) -> None:
        if self._paused:
            self._paused = False
            if self.clock_s > self.paused_s:  # not if it has only waited to begin
                self._restart_left_s = self._machine.restart_s
                self._pay(price, self._machine.restart_full_s * self._run.mean_w)
        restart_s = min(self._restart_left_s, length_s)
        self._restart_left_s -= restart_s
        self._pay(price, restart_s * self._run.mean_w)
        upto_s = min(self._run.duration_s, self.progress_s + length_s - restart_s)
        used_j = self._run.to_date_j(upto_s) - self._run.to_date_j(self.progress_s)
        self._pay(price, used_j)
        self.clock_s += restart_s + upto_s - self.progress_s
        self.progress_s = upto_s

    def _pay(self, price: float, joules: float) -> None:
        self.joules += joules
        self.cost += joules / J_PER_KWH * price
