"""The outer step of CO2: momentum with a penalty for the gap, and clipped (arXiv 2401.16265).

    m = clip(mu m + D / gap, -threshold, threshold)        D: the mean of the round before
    theta = theta - lr m

CO2 hides the exchange of a round behind the next one, so D is one round late: that is the business
of the learner (`Method.delay`). `gap` is the constant of the authors' code; the penalty that the
paper makes from distances is UNCONFIRMED. Their code computes the clipped momentum and does not
keep it; here it is kept, and no clipping is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, nan

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, add_scaled, measure


@dataclass(frozen=True, slots=True)
class Co2:
    """A heavy-ball step; `threshold` bounds every element of the momentum (inf: no clipping)."""

    lr: float
    mu: float
    gap: float = 1.0
    threshold: float = inf
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
        share = weight / self.gap
        state.momentum *= np.float32(self.mu)
        add_scaled(state.momentum, delta, share, self.scratch)
        if self.threshold < inf:
            bound = np.float32(self.threshold)
            np.clip(state.momentum, -bound, bound, out=state.momentum)
        add_scaled(state.theta, state.momentum, -self.lr, self.scratch)
        gain = seen.gain(share, self.mu) if self.threshold == inf else nan
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds), gain=gain
        )

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)
