"""The ranks of one worker over MPI."""

from __future__ import annotations

from functools import lru_cache
from time import sleep
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

PIECE = 1 << 28  # elements: Open MPI's collectives count in 32 bits
BUSY_LOOKS = 200  # about 0.2 ms: a leader between two steps is back by then
PAUSE_S = 0.0005


@lru_cache
def cuda_aware() -> bool:
    """Does the MPI library say that it takes CUDA memory? `hpctrain doctor` asks the same."""
    from hpctrain.mpi.about import about

    return bool(about(start=True).get("cuda_aware"))


class MpiGroup:
    """Collectives among the ranks of a worker; waiting for the leader costs no processor time.

    The leader may wait for other workers for long, and a blocking broadcast would keep the core of
    every other rank busy and let no signal handler run; so it is tested for, with a pause in
    between.
    """

    def __init__(self, comm: MPI.Comm) -> None:
        self._comm = comm
        self.rank = comm.rank
        self.size = comm.size

    def broadcast(self, data: NDArray[Any]) -> None:
        flat = data.reshape(-1).view(np.uint8)
        for a in range(0, flat.size, PIECE):
            request = self._comm.Ibcast([flat[a : a + PIECE], MPI.BYTE], 0)
            looks = 0
            while not request.Test():
                looks += 1
                if looks > BUSY_LOOKS:
                    sleep(PAUSE_S)

    def sum(self, data: NDArray[np.float32]) -> None:
        for a in range(0, data.size, PIECE):
            piece = data[a : a + PIECE]
            self._comm.Allreduce(MPI.IN_PLACE, [piece, MPI.FLOAT])

    def sum_on_device(self, flat: Any) -> bool:
        """Sum a flat float32 CUDA array (CUDA array interface) in place, if MPI is CUDA-aware."""
        if not cuda_aware():
            return False
        self._comm.Allreduce(MPI.IN_PLACE, flat)
        return True

    def gather(self, item: Any) -> list[Any]:
        return self._comm.gather(item, 0) or []
