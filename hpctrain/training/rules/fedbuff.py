"""A buffer of arrivals: N of them are averaged, and their mean is one Nesterov step.

    B = B + rho D;   at every N-th arrival:   step of Nesterov (SUM) on B / N;   B = 0

The buffer is that of FedBuff (Nguyen et al., arXiv 2106.06639), whose server takes a plain step;
with the outer Nesterov it is the "async buffer" that arXiv 2401.09135 compares with (good late,
unstable early). The last, incomplete buffer of a run is averaged over what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import Scratch, add_scaled, measure, momentum_update

BUFFER = "sum"


@dataclass(frozen=True, slots=True)
class Buffered:
    """Nesterov on the mean of `every` arrivals (0: as many as there are workers)."""

    lr: float
    mu: float
    every: int = 0
    scratch: Scratch = field(default_factory=Scratch, repr=False, compare=False)

    def for_workers(self, num_workers: int) -> Buffered:
        return self if self.every else replace(self, every=num_workers)

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
        add_scaled(state.extra_array(BUFFER), delta, weight, self.scratch)
        state.count += 1
        gain = self._step(state) if state.count >= self.every else 0.0
        return Applied(
            seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds), gain=gain
        )

    def complete(self, state: OuterState) -> Applied | None:
        if not state.count:
            return None
        buffer = state.extra_array(BUFFER)
        seen = measure(buffer, state.momentum, 0, buffer.size)
        norm = seen.delta_norm / state.count
        return Applied(norm, seen.momentum_norm, seen.cosine, gain=self._step(state))

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)

    def _step(self, state: OuterState) -> float:
        """The step on the mean of the buffer, which is empty afterwards; its gain along it."""
        buffer, share = state.extra_array(BUFFER), 1.0 / state.count
        seen = measure(buffer, state.momentum, 0, buffer.size)
        moved = momentum_update(
            state.theta, state.momentum, buffer, 0, buffer.size,
            p=share, q=0.0, mu=self.mu, a=1.0, lr=self.lr, scratch=self.scratch,
        )  # fmt: skip
        buffer.fill(0.0)
        gain = seen.gain(*moved) / share
        state.count = 0
        return gain
