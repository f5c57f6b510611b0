"""MLA: momentum look-ahead for asynchronous DiLoCo (Ajanthan et al., MCDC workshop at ICLR 2025).

In the re-parametrised form that implementations use, with G = rho D on each arrival:

    m = mu m + (1 - mu) G
    theta = theta - lr (G + mu m)

`theta` is already the look-ahead point, so workers start from it as it is. Dispatching from
`theta - lr mu m` is a second look-ahead, an idea of HeLoCo; here it is a switch of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, look_ahead, measure, momentum_update


@dataclass(frozen=True, slots=True)
class MomentumLookAhead:
    """EMA-convention Nesterov step with outer learning rate `lr` and momentum `mu`."""

    lr: float
    mu: float
    dispatch_lookahead: bool = False
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
            p=weight, q=0.0, mu=self.mu, a=1.0 - self.mu, lr=self.lr, scratch=self.scratch,
        )  # fmt: skip
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds),
            gain=seen.gain(*moved),
        )  # fmt: skip

    def dispatch(self, state: OuterState, out: Array) -> None:
        if self.dispatch_lookahead:
            look_ahead(state.theta, state.momentum, lr=self.lr, mu=self.mu, out=out)
        else:
            np.copyto(out, state.theta)
