"""Outer Adam that hears old pseudo-gradients less: after CGAD (arXiv 2605.09126).

    sigma(tau) = gamma(tau) exp(-alpha tau),   gamma(tau) = (1 + cos(pi tau / cutoff)) / 2, or 0
    G = sigma rho D
    m = mu m + (1 - mu) G;   v = beta2 v + (1 - beta2) G^2
    theta = theta - lr (m / (1 - mu^t)) / (sqrt(v / (1 - beta2^t)) + eps)

From the abstract: the form of sigma, that gamma is a cosine that goes to 0 at a cutoff, and that it
is Adam at tau = 0. UNCONFIRMED, and ours: the exact form of gamma, all constants. DiLoCo's paper
(arXiv 2311.08105) needs eps = 0.1 for its outer Adam; that is the default here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import BLOCK, Scratch, measure

SECOND = "second moment"


@dataclass(frozen=True, slots=True)
class AgeAdam:
    """Adam of outer learning rate `lr`; from `cutoff` versions of age on nothing is heard.

    `cutoff` 0 stands for `cutoff_rounds` times the number of workers.
    """

    lr: float
    mu: float
    beta2: float = 0.99
    eps: float = 0.1
    alpha: float = 0.02
    cutoff: float = 0.0
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)
    more_scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

    cutoff_rounds = 8

    def for_workers(self, num_workers: int) -> AgeAdam:
        if self.cutoff:
            return self
        return replace(self, cutoff=float(self.cutoff_rounds * num_workers))

    def heard(self, staleness: int) -> float:
        """sigma, from 1 for what is fresh down to 0."""
        if staleness >= self.cutoff:
            return 0.0
        gate = 0.5 * (1.0 + math.cos(math.pi * staleness / self.cutoff))
        return gate * math.exp(-self.alpha * staleness)

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
        did = Applied(seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds))
        share = self.heard(arrival.staleness) * weight
        if share == 0.0:
            return replace(did, gain=0.0)
        state.count += 1
        self._sweep(state, delta, share)
        return did

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)

    def _sweep(self, state: OuterState, delta: Array, share: float) -> None:
        second = state.extra_array(SECOND)
        mu, beta2 = np.float32(self.mu), np.float32(self.beta2)
        first_share = np.float32((1.0 - self.mu) * share)
        second_share = np.float32((1.0 - self.beta2) * share * share)
        unbias = np.float32(1.0 / (1.0 - self.beta2**state.count))
        step = np.float32(-self.lr / (1.0 - self.mu**state.count))
        for x in range(0, delta.size, BLOCK):
            y = min(x + BLOCK, delta.size)
            d, m, v = delta[x:y], state.momentum[x:y], second[x:y]
            t, u = self.scratch.t[: y - x], self.more_scratch.t[: y - x]
            np.multiply(d, first_share, t)
            np.multiply(m, mu, m)
            np.add(m, t, m)
            np.multiply(d, d, t)
            np.multiply(t, second_share, t)
            np.multiply(v, beta2, v)
            np.add(v, t, v)
            np.multiply(v, unbias, t)
            np.sqrt(t, t)
            np.add(t, np.float32(self.eps), t)
            np.multiply(m, step, u)
            np.divide(u, t, u)
            np.add(state.theta[x:y], u, state.theta[x:y])
