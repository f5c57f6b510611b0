"""Variable capacity: whether to switch a machine off while energy is dear. Pure.

The model is that of Arzt and Wolf (arXiv 2509.07567): the total cost is TCO = F + E, F fixed and E
for energy. Of the prices p over a period, the machine is off for the share x of the time in which
the price is above p_thresh, the (1 - x) quantile of p. Against a machine that is always on:

    psi = F / E                         E of the machine that is always on (AO)
    k = p_high / p_avg                  p_high: mean price of the time off
    p_avg = x p_high + (1 - x) p_low

What follows is derived here and not in what we have of the paper; it is marked "derived". phi is
the residual power of a machine that is off over its full power; lambda the share of the time that
restarts and lost work take; epsilon what restarts cost in energy, over E:

    E_WS / E = 1 - k x (1 - phi) + epsilon
    S = 1 - (psi + E_WS / E) / ((1 - x - lambda) (psi + 1))      saving in cost per compute

With phi = lambda = epsilon = 0 this is S = x / (1 - x) (k / (psi + 1) - 1). Prices are known in
advance and nothing else changes when a machine is off: savings are upper bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hpctrain.errors import MeteringError
from hpctrain.metering.steps import Steps

MOST_THRESHOLDS = 2000  # of a sweep: a step of 0.05 % of the time, then all near the optimum

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Machine:
    """What decides whether a shutdown pays.

    Attributes:
        psi: fixed cost over energy cost of a machine that is always on.
        residual: phi, power when off over full power; 0 to below 1.
        restart_s: from power to computing, at full power, for each shutdown.
        restart_full_s: more energy for each restart, as seconds at full power.
        lost_s: computing that is repeated after each shutdown, such as since the last checkpoint.
    """

    psi: float
    residual: float = 0.0
    restart_s: float = 0.0
    restart_full_s: float = 0.0
    lost_s: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise MeteringError(f"{field.name} is {value:g}, but must be 0 or more")
        if self.residual >= 1:
            raise MeteringError(
                f"residual is {self.residual:g}, but power when off over full power is below 1"
            )


@dataclass(frozen=True, slots=True)
class Prices:
    """A price series, ready for sums.

    Attributes:
        values: per kWh, (N,).
        lengths_s: how long each holds, (N,).
        unit: what one kWh is worth in.
        source: where it came from.
    """

    values: Floats
    lengths_s: Floats
    unit: str
    source: str

    @property
    def period_s(self) -> float:
        return float(self.lengths_s.sum())

    @property
    def mean(self) -> float:
        """p_avg of the paper."""
        return float(self.values @ self.lengths_s) / self.period_s


@dataclass(frozen=True, slots=True)
class Policy:
    """A machine that is off for a share of the time, against one that is always on.

    Attributes:
        threshold: off while the price is above it; None if there is no series.
        off_share: x, of the time.
        k: mean price while off over the mean of all; NaN if never off.
        shutdowns: intervals off that follow on each other are one.
        lost_share: lambda, of the time: restarts and repeated computing (derived).
        restart_cost: epsilon, of the energy cost of the machine that is always on (derived).
        saving: S, in cost per compute; negative if it costs more (derived).
        break_even_k: a higher k saves, with the same x and losses (derived); NaN if never off.
    """

    threshold: float | None
    off_share: float
    k: float
    shutdowns: int
    lost_share: float
    restart_cost: float
    saving: float
    break_even_k: float


def psi_of(fixed_cost: float, energy_cost: float) -> float:
    """F / E (the definition of the paper), for costs over one period.

    Raises:
        MeteringError: if the energy costs nothing, or the fixed cost is negative.
    """
    if not (math.isfinite(energy_cost) and energy_cost > 0):
        raise MeteringError(f"the energy cost is {energy_cost:g}, but must be above 0")
    if not (math.isfinite(fixed_cost) and fixed_cost >= 0):
        raise MeteringError(f"the fixed cost is {fixed_cost:g}, but must be 0 or more")
    return fixed_cost / energy_cost


def saving(
    machine: Machine, x: float, k: float, lost_share: float = 0.0, restart_cost: float = 0.0
) -> float:
    """S, of the cost per compute (derived). `x` + `lost_share` must be below 1."""
    energy = 1 - k * x * (1 - machine.residual) + restart_cost
    return 1 - (machine.psi + energy) / ((1 - x - lost_share) * (machine.psi + 1))


def break_even_k(
    machine: Machine, x: float, lost_share: float = 0.0, restart_cost: float = 0.0
) -> float:
    """The k at which S = 0; (psi + 1) / (1 - phi) if restarts cost nothing (derived)."""
    if x == 0:
        return math.nan
    needed = (x + lost_share) * (machine.psi + 1) + restart_cost
    return needed / (x * (1 - machine.residual))


def from_x_and_k(
    machine: Machine, x: float, k: float, shutdowns: int = 0, period_s: float = math.inf
) -> Policy:
    """The policy of a share of the time and a price ratio, where no series is known.

    Restarts are paid at the mean price of the time on, p_low = p_avg (1 - k x) / (1 - x).

    Raises:
        MeteringError: if x, k or shutdowns are out of range, or leave no time for computing.
    """
    if not 0 < x < 1:
        raise MeteringError(f"x is {x:g}, but the share of time off is between 0 and 1")
    if not (math.isfinite(k) and k >= 1):
        raise MeteringError(f"k is {k:g}, but the dearest hours cost the mean or more: k >= 1")
    if k * x > 1 + 1e-9:
        raise MeteringError(
            f"k x is {k * x:g}, but the hours off cannot cost more than all hours: k x <= 1; a "
            "series with negative prices can be given itself"
        )
    if shutdowns < 0 or not period_s > 0:
        raise MeteringError(
            f"{shutdowns} shutdowns in {period_s:g} s: needs 0 or more, in a time above 0"
        )
    lost_share = shutdowns * (machine.restart_s + machine.lost_s) / period_s
    if x + lost_share >= 1:
        raise MeteringError(
            f"{shutdowns} shutdowns in {period_s:g} s with {lost_share:.3g} of the time for "
            f"restarts and lost work, and {x:g} off: nothing would be computed"
        )
    p_low = (1 - k * x) / (1 - x)
    restart_cost = shutdowns * machine.restart_full_s / period_s * p_low
    return _policy(machine, None, x, k, shutdowns, lost_share, restart_cost)


def prices_of(steps: Steps) -> Prices:
    """The series for sums.

    Raises:
        MeteringError: if its mean is not above 0: there is no psi then.
    """
    edges_ns = np.array([*steps.starts_ns, steps.end_ns], dtype=np.int64)
    lengths_s = np.diff(edges_ns) / 1e9
    prices = Prices(np.array(steps.values, np.float64), lengths_s, steps.unit, steps.source)
    if not prices.mean > 0:
        raise MeteringError(
            f"{steps.source}: the mean price is {prices.mean:g}, but must be above 0 for F / E; "
            "take a longer series"
        )
    return prices


def threshold_for(prices: Prices, x: float) -> float:
    """p_thresh, the (1 - x) quantile of the prices by time (the paper's definition).

    As no more than x of the time is above it, and many hours may have one price, the machine can
    be off for less than x.

    Raises:
        MeteringError: if x is not between 0 and 1.
    """
    if not 0 < x < 1:
        raise MeteringError(f"x is {x:g}, but the share of time off is between 0 and 1")
    order = np.argsort(prices.values, kind="stable")
    below = np.cumsum(prices.lengths_s[order]) / prices.period_s
    place = int(np.searchsorted(below, 1 - x - 1e-12))  # the sum of shares is off by roundings
    return float(prices.values[order][min(place, len(order) - 1)])


def at_threshold(machine: Machine, prices: Prices, threshold: float) -> Policy:
    """The policy of being off whenever the price is above `threshold`.

    Each spell off is one shutdown. The time on that follows it begins with the restart, and the
    time on before it ends with lost work; together they take at most that time. What would lie
    before or after the series is not charged.

    Raises:
        MeteringError: if nothing would be computed.
    """
    policy = _at_threshold(machine, prices, threshold)
    if policy is None:
        raise MeteringError(
            f"the threshold is {threshold:g} {prices.unit} per kWh, and nothing would be computed; "
            f"the prices are from {prices.values.min():g} to {prices.values.max():g}"
        )
    return policy


def sweep(machine: Machine, prices: Prices) -> tuple[Policy, ...]:
    """The policies of thresholds from the highest price (never off) down to the lowest, by x.

    All prices of a series are tried up to `MOST_THRESHOLDS`; of more, as many, and all around the
    best of them. Thresholds at which nothing would be computed are left out.
    """
    tried = np.unique(prices.values)[::-1]
    if len(tried) <= MOST_THRESHOLDS:
        return _policies(machine, prices, tried)
    places = np.unique(np.linspace(0, len(tried) - 1, MOST_THRESHOLDS).astype(int))
    coarse = _policies(machine, prices, tried[places])
    around = int(np.searchsorted(-tried, -(best(coarse).threshold or 0.0)))
    width = len(tried) // MOST_THRESHOLDS + 1
    near = np.arange(max(0, around - width), min(len(tried), around + width + 1))
    return _policies(machine, prices, tried[np.union1d(places, near)])


def best(policies: Sequence[Policy]) -> Policy:
    """That which saves most; of equals, that which is off least."""
    return max(policies, key=lambda policy: (policy.saving, -policy.off_share))


def _policies(machine: Machine, prices: Prices, thresholds: Floats) -> tuple[Policy, ...]:
    found = (_at_threshold(machine, prices, float(value)) for value in thresholds)
    return tuple(policy for policy in found if policy is not None)


def _at_threshold(machine: Machine, prices: Prices, threshold: float) -> Policy | None:
    """None if nothing would be computed."""
    off = prices.values > threshold
    turns = np.flatnonzero(np.diff(off, prepend=False, append=False))
    starts, ends = turns[::2], turns[1::2]  # of the spells off: [starts, ends)
    time_s = np.concatenate(([0.0], np.cumsum(prices.lengths_s)))
    period_s = float(time_s[-1])
    lost_share = _lost_s(machine, time_s, starts, ends) / period_s
    bought = prices.values[ends[ends < len(off)]]  # at each restart in the series
    restart_cost = machine.restart_full_s * float(bought.sum()) / (prices.mean * period_s)
    off_s = float(prices.lengths_s[off].sum())
    x = off_s / period_s
    if not off.any():
        return _policy(machine, threshold, 0.0, math.nan, 0, 0.0, 0.0)
    k = float(prices.values[off] @ prices.lengths_s[off]) / off_s / prices.mean
    if 1 - x - lost_share <= 1e-12:  # roundings of a sum of shares that is 1
        return None
    return _policy(machine, threshold, x, k, len(starts), lost_share, restart_cost)


def _lost_s(
    machine: Machine, time_s: Floats, starts: NDArray[np.intp], ends: NDArray[np.intp]
) -> float:
    """Seconds of the spells on that restarts and repeated computing take."""
    begins_s = np.concatenate(([0.0], time_s[ends]))
    ends_s = np.concatenate((time_s[starts], time_s[-1:]))
    taken_s = np.full(len(begins_s), machine.restart_s + machine.lost_s)
    taken_s[0] -= machine.restart_s
    taken_s[-1] -= machine.lost_s
    return float(np.minimum(taken_s, ends_s - begins_s).sum())


def _policy(
    machine: Machine,
    threshold: float | None,
    x: float,
    k: float,
    shutdowns: int,
    lost_share: float,
    restart_cost: float,
) -> Policy:
    return Policy(
        threshold, x, k, shutdowns, lost_share, restart_cost,
        saving=0.0 if x == 0 else saving(machine, x, k, lost_share, restart_cost),
        break_even_k=break_even_k(machine, x, lost_share, restart_cost),
    )  # fmt: skip
