"""The global random generators of one rank, also where several ranks share a process.

A model may draw from them (dropout does). In a job each rank is a process and has them to
itself; in a simulation, or in a replay by threads, each rank gets its own states for as long as it
computes, so that it draws the same numbers everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import RLock
from typing import Any

import numpy as np
import torch

_ONE_AT_A_TIME = RLock()


class OwnGenerators:
    """States of the global generators that belong to one rank, seeded with `seed`."""

    def __init__(self, seed: int) -> None:
        with _ONE_AT_A_TIME:
            outside = generator_states()
            _seed_all(seed)
            self.states = generator_states()
            restore_generators(outside)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Within this context the global generators are this rank's; one rank at a time."""
        with _ONE_AT_A_TIME:
            outside = generator_states()
            restore_generators(self.states)
            try:
                yield
            finally:
                self.states = generator_states()
                restore_generators(outside)

    def take_over(self) -> None:
        """This process is this rank alone: set the global generators for good."""
        restore_generators(self.states)


def generator_states() -> dict[str, Any]:
    """The states of torch's, numpy's and Python's global generators."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "numpy": [name, np.asarray(keys), position, has_gauss, gauss],
        "python": random.getstate(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state_all()
    return states


def restore_generators(states: Mapping[str, Any]) -> None:
    """The opposite of `generator_states`."""
    torch.set_rng_state(states["torch"])
    np.random.set_state(tuple(states["numpy"]))  # noqa: NPY002
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(states["cuda"])


def _seed_all(seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)
    np.random.set_state(np.random.RandomState(seed % 2**32).get_state(legacy=True))  # noqa: NPY002
    random.seed(seed)
