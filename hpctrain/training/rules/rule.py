"""What the home of a fragment asks of an outer rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hpctrain.core.plain import plain

Array = NDArray[np.float32]
Bounds = tuple[tuple[int, int], ...]


@plain
@dataclass(slots=True)
class OuterState:
    """What a home owns of one fragment: flat float32 arrays (P,), and the number of updates."""

    theta: Array
    momentum: Array
    version: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update did; `cosine` is to the outer momentum before it, NaN where that was zero.

    `kept`, `shrunk` and `rotated` count tensors; rules without a correction keep them all.
    """

    delta_norm: float
    momentum_norm: float
    cosine: float
    kept: int = 0
    shrunk: int = 0
    rotated: int = 0


class OuterRule(Protocol):
    """A pure function with its constants."""

    def apply(
        self, state: OuterState, delta: Array, weight: float, bounds: Bounds
    ) -> Applied | None:
        """Update `state.theta` and `state.momentum` in place from one pseudo-gradient.

        Args:
            state: of one fragment, P parameters. The version is the caller's business.
            delta: pseudo-gradient `theta_start - theta_end`, shape (P,), float32; not changed.
            weight: rho, the weight of this arrival.
            bounds: [start, stop) of every tensor of the fragment.

        Returns:
            What was done, or None: `delta` is not finite, and nothing was changed.
        """
        ...

    def dispatch(self, state: OuterState, out: Array) -> None:
        """Write what a worker is to start from into `out`, shape (P,), float32."""
        ...
