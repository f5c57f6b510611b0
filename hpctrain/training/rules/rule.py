"""What the home of a fragment asks of an outer rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hpctrain.core.plain import plain

Array = NDArray[np.float32]
Bounds = tuple[tuple[int, int], ...]


@plain
@dataclass(slots=True)
class OuterState:
    """What a home owns of one fragment: flat float32 arrays (P,), and the number of updates.

    `extra` are further arrays (P,) of a rule, by name; it makes them when it needs them first.
    `count` is the rule's own, such as the arrivals in its buffer.
    """

    theta: Array
    momentum: Array
    version: int
    extra: dict[str, Array] = field(default_factory=dict)
    count: int = 0

    def extra_array(self, name: str) -> Array:
        """The further array `name`, of zeros when it is asked for first."""
        array = self.extra.get(name)
        if array is None:
            array = self.extra[name] = np.zeros_like(self.theta)
        return array


@dataclass(frozen=True, slots=True)
class TensorCorrection:
    """What was done to one tensor; `amount` is |change| / |D|, the cosine as in `Applied`."""

    cosine: float
    verdict: str
    amount: float


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update did; `cosine` is to the outer momentum before it, NaN where that was zero.

    `kept`, `shrunk` and `rotated` count tensors; rules without a correction keep them all.
    `gain` is how far theta went along this pseudo-gradient D, in learning rates:
    <step, D> / (lr |D|^2) with step = theta before - theta after; NaN where it is not known.
    `tensors` are the corrections one by one, if they are asked for.
    """

    delta_norm: float
    momentum_norm: float
    cosine: float
    kept: int = 0
    shrunk: int = 0
    rotated: int = 0
    gain: float = math.nan
    tensors: tuple[TensorCorrection, ...] = ()


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a rule may want to know of a pseudo-gradient besides its weight.

    `staleness` in versions; a pseudo-gradient longer than `longest` is refused. `part` is the part
    of a round of all workers that it stands for.
    """

    staleness: int = 0
    longest: float = math.inf
    part: float = 1.0


FRESH = Arrival()


class OuterRule(Protocol):
    """A pure function with its constants."""

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied | None:
        """Update `state.theta` and `state.momentum` in place from one pseudo-gradient.

        Args:
            state: of one fragment, P parameters. The version is the caller's business.
            delta: pseudo-gradient `theta_start - theta_end`, shape (P,), float32; not changed.
            weight: rho, the weight of this arrival.
            bounds: [start, stop) of every tensor of the fragment.
            arrival: its age, and how long it may be.

        Returns:
            What was done, or None: `delta` is not finite or too long, and nothing was changed.
        """
        ...

    def dispatch(self, state: OuterState, out: Array) -> None:
        """Write what a worker is to start from into `out`, shape (P,), float32."""
        ...


@runtime_checkable
class KnowsNumWorkers(Protocol):
    """A rule with a constant that may depend on K."""

    def for_workers(self, num_workers: int) -> OuterRule:
        """The same rule with nothing left open."""
        ...


@runtime_checkable
class Completes(Protocol):
    """A rule that may hold back what arrived."""

    def complete(self, state: OuterState) -> Applied | None:
        """At the end of a run: apply what is held back; None if there is nothing."""
        ...
