"""Delayed Nesterov: the momentum is brought up to date at every N-th arrival only.

Liu et al., Asynchronous Local-SGD Training for Language Modeling, arXiv 2401.09135, algorithm 3.
With G = rho D, at the t-th arrival (from 0):

    B = B + G
    (t + 1) mod N = 0:   m = mu m + B / N;   theta = theta - lr ((1 - c N + c) mu m + G / N);  B = 0
    otherwise:           theta = theta - lr (c mu m + G / N)

c in 0..1/N spreads the step along the momentum over the arrivals between; the paper's default is
c = 0 and it sees no difference to 0.1. N identical arrivals are one Nesterov step (SUM) on their
mean, so `lr` is that of synchronous DiLoCo and the weight rho is 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, add_scaled, measure

BUFFER = "sum"


@dataclass(frozen=True, slots=True)
class DelayedNesterov:
    """Nesterov with momentum every `every` arrivals (0: as many as there are workers).

    `share` is c times N, from 0 to 1: 1 spreads the step along the momentum evenly.
    """

    lr: float
    mu: float
    every: int = 0
    share: float = 0.0
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

    def for_workers(self, num_workers: int) -> DelayedNesterov:
        return self if self.every else replace(self, every=num_workers)

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        n, mu = self.every, self.mu
        c = self.share / n
        seen = measure(delta, state.momentum, 0, delta.size)
        if not seen.finite or seen.delta_norm > arrival.longest:
            return None
        buffer = state.extra_array(BUFFER)
        add_scaled(buffer, delta, weight, self.scratch)
        state.count += 1
        along_m = c * mu
        if state.count >= n:
            state.momentum *= np.float32(mu)
            add_scaled(state.momentum, buffer, 1.0 / n, self.scratch)
            buffer.fill(0.0)
            state.count = 0
            along_m = (1.0 - c * n + c) * mu
        if along_m:
            add_scaled(state.theta, state.momentum, -self.lr * along_m, self.scratch)
        add_scaled(state.theta, delta, -self.lr * weight / n, self.scratch)
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds),
            gain=self._gain(state, delta, weight, along_m),
        )  # fmt: skip

    def _gain(self, state: OuterState, delta: Array, weight: float, along_m: float) -> float:
        """Along D, with the momentum as it was used; the product is only taken where it counts."""
        if not along_m:
            return weight / self.every
        return measure(delta, state.momentum, 0, delta.size).gain(weight / self.every, along_m)

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)
