"""Asynchronous SGD: every arrival is a plain step, without outer momentum.

    theta = theta - lr rho D

It is what the asynchronous rules with momentum have to beat: momentum applied at every arrival is
what hurts asynchronous local SGD (arXiv 2401.09135, section 3). The same as `nesterov` at mu = 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, add_scaled, measure


@dataclass(frozen=True, slots=True)
class AsyncSgd:
    """A step of outer learning rate `lr` at every arrival."""

    lr: float
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        seen = measure(delta, state.momentum, 0, delta.size)
        if not seen.finite or seen.delta_norm > arrival.longest:
            return None
        add_scaled(state.theta, delta, -self.lr * weight, self.scratch)
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds), gain=weight
        )

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)
