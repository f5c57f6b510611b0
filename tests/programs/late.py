"""Trains as train_all.py does, with a copier that takes its time, as a GPU's may.

late.py CONFIG [OVERRIDES...] -- [OVERRIDES...] -- ...    prints how often a rank did not wait
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from train_all import main  # beside this file

from hpctrain.workers import replica
from hpctrain.workers.copier import HostCopier
from hpctrain.workers.reading import Array, Reading

COPY_S = 0.015  # some steps of 4 ms
not_yet: list[float] = []


@dataclass(frozen=True)
class LateReading:
    values: Array
    there_s: float

    def ready(self) -> bool:
        there = time.monotonic() >= self.there_s
        if not there:
            not_yet.append(self.there_s)
        return there

    def array(self) -> Array:
        return self.values


class LateCopier(HostCopier):
    def begin(self, tensors: Sequence[Tensor], numel: int) -> Reading:
        return LateReading(super().begin(tensors, numel).array(), time.monotonic() + COPY_S)


if __name__ == "__main__":
    replica.copier_for = lambda device: LateCopier()
    main()
    print(f"not yet: {len(not_yet)}", flush=True)
