"""Nesterov momentum for steps in parts: what arrives together is some of the islands, not all.

    m = mu^part m + rho D
    theta = theta - lr (rho D + part mu m)

D is the mean of a group, rho the group's part of all islands (n / K), and `part` the length of its
rounds to the usual one, times n / K. With all islands and usual rounds both are 1, and this is the
outer step of DiLoCo, bit for bit (arXiv 2311.08105, algorithm 1). What is new here is what happens
otherwise: D comes in with the part of the islands that it stands for, and momentum fades and acts
with the part of a round that has passed. So in the long run theta goes as far for the same
pseudo-gradients whether they come in one group or in several, and momentum, which makes
asynchronous Nesterov overshoot because it acts at every arrival, acts once per round.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, measure, sweep


@dataclass(frozen=True, slots=True)
class PartialNesterov:
    """SUM-convention Nesterov in parts; `arrival.part` says which part of a round this is."""

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
        size, part = delta.size, arrival.part
        seen = measure(delta, state.momentum, 0, size)
        if not seen.finite or seen.delta_norm > arrival.longest:
            return None
        keep, along_m = self.mu**part, part * self.mu
        sweep(
            state.theta, state.momentum, delta, 0, size,
            (keep, weight, -self.lr * weight, -self.lr * along_m), self.scratch,
        )  # fmt: skip
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds),
            gain=seen.gain(weight + along_m * weight, along_m * keep),
        )  # fmt: skip

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)
