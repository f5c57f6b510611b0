"""Nesterov momentum in the SUM convention: the outer optimiser of DiLoCo.

    b = mu b + rho D
    theta = theta - lr (rho D + mu b)

DiLoCo applies it to the mean over all workers (arXiv 2311.08105, algorithm 1); its asynchronous
form applies it to every single arrival (arXiv 2401.09135, section 3), with a much smaller lr: the
SUM convention has a gain of lr (1 + mu) on the present D and 10 lr in the long run at mu = 0.9,
against 1.09 lr and 1.9 lr for the EMA convention of `mla` and `heloco`. Learning rates must not be
carried over from one to the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, measure, momentum_update


@dataclass(frozen=True, slots=True)
class Nesterov:
    """SUM-convention Nesterov step with outer learning rate `lr` and momentum `mu`."""

    lr: float
    mu: float
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        size = delta.size
        seen = measure(delta, state.momentum, 0, size)
        if not seen.finite or seen.delta_norm > arrival.longest:
            return None
        moved = momentum_update(
            state.theta, state.momentum, delta, 0, size,
            p=weight, q=0.0, mu=self.mu, a=1.0, lr=self.lr, scratch=self.scratch,
        )  # fmt: skip
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds),
            gain=seen.gain(*moved),
        )  # fmt: skip

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)
