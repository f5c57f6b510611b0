"""Rules without momentum: buffers that are averaged on purpose, and the gradient mean of `ddp`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hpctrain.training.rules.rule import FRESH, Applied, Array, Arrival, Bounds, OuterState
from hpctrain.training.rules.sweep import measure


@dataclass(frozen=True, slots=True)
class RunningAverage:
    """`theta = theta + weight (value - theta)`: for buffers such as BatchNorm statistics.

    What arrives is the value itself, not a difference: a convex combination of variances stays
    positive however stale they are. With weight 1 and the mean over all workers it is the plain
    average.
    """

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        seen = measure(delta, state.theta, 0, delta.size)
        if not seen.finite:
            return None
        state.theta += np.float32(weight) * (delta - state.theta)
        return Applied(seen.delta_norm, seen.momentum_norm, seen.cosine, kept=len(bounds))

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)


@dataclass(frozen=True, slots=True)
class GradientMean:
    """`theta = weight value`: the mean gradient of one step is handed on as it is."""

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        np.multiply(delta, np.float32(weight), out=state.theta)
        norm = measure(delta, delta, 0, delta.size).delta_norm
        return Applied(norm, 0.0, float("nan"), kept=len(bounds))

    def dispatch(self, state: OuterState, out: Array) -> None:
        np.copyto(out, state.theta)
