"""Values of a model on their way to the host."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Reading(Protocol):
    """Values on their way to the host, as they were when the reading began."""

    def ready(self) -> bool:
        """Are they there?"""
        ...

    def array(self) -> Array:
        """The values, shape (P,); waits for them."""
        ...


@dataclass(frozen=True, slots=True)
class Read:
    """A reading that is complete."""

    values: Array

    def ready(self) -> bool:
        return True

    def array(self) -> Array:
        return self.values
