"""A model without numbers: for simulations in which only time and traffic matter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hpctrain.training.fragments import Fragment, TensorSlot
from hpctrain.training.rules.rule import FRESH, Applied, Arrival, Bounds, OuterState
from hpctrain.workers.reading import Array, Read, Reading


class TimingModel:
    """Has the fragments of a real model, but one element for each; messages count in full."""

    exact = True

    def __init__(self, fragments: tuple[Fragment, ...]) -> None:
        self.fragments = tuple(
            Fragment(
                fragment.index,
                fragment.kind,
                (TensorSlot(f"fragment {fragment.index}", 1),),
                fragment.home,
            )
            for fragment in fragments
        )
        self._values = [np.zeros(fragment.numel, np.float32) for fragment in self.fragments]

    def read(self, fragment: Fragment) -> Array:
        return self._values[fragment.index].copy()

    def begin_read(self, fragment: Fragment) -> Reading:
        return Read(self.read(fragment))

    def write(self, fragment: Fragment, data: Array) -> None:
        np.copyto(self._values[fragment.index], data)

    def read_gradients(self, fragment: Fragment) -> Array:
        return self.read(fragment)

    def write_gradients(self, fragment: Fragment, data: Array) -> None:
        """A gradient of nothing."""


class NoArithmetic:
    """An outer rule for fragments without numbers: takes what comes, changes nothing."""

    def apply(
        self,
        state: OuterState,
        delta: Array,
        weight: float,
        bounds: Bounds,
        arrival: Arrival = FRESH,
    ) -> Applied:
        return Applied(math.nan, math.nan, math.nan)

    def dispatch(self, state: OuterState, out: Array) -> None:
        out.fill(0)


class TrueSizes:
    """Counts messages of a timing model as if they held the real fragments."""

    exact = True

    def __init__(self, fragments: tuple[Fragment, ...]) -> None:
        self._bytes = [fragment.numel * 4 for fragment in fragments]

    def __call__(self, message: Any) -> int:
        fragment = getattr(message, "fragment", None)
        return 0 if fragment is None else self._bytes[fragment]
