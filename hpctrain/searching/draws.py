"""Random draws by counter: what a candidate is depends on the seed and its number, not on ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from hpctrain.core.seeds import stream

BREEDING, TRAVEL = 0, 1  # purposes


class Draws:
    """Keyed draws from Philox (Salmon et al., SC 2011): any place of the stream at once.

    Setting the place of one generator costs a microsecond; making a generator costs ten.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.Philox(key=stream(seed, 0, "search"))
        self._generator = np.random.Generator(self._bits)
        self._state: Any = dict(self._bits.state)
        self._counter = self._state["state"]["counter"]

    def at(self, number: int, attempt: int = 0, purpose: int = BREEDING) -> np.random.Generator:
        """The generator, set to where the draws for candidate `number` begin."""
        self._counter[0] = 0
        self._counter[1] = attempt
        self._counter[2] = number
        self._counter[3] = purpose
        self._state["buffer_pos"] = 4
        self._state["has_uint32"] = 0
        self._bits.state = self._state
        return self._generator
