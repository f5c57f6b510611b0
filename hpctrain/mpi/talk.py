"""What the ranks of one worker of a search say to each other; whoever waits, sleeps.

An evaluation takes minutes, and the leader may wait for other workers: a blocking broadcast would
keep a core busy all that time, and let no signal handler run.
"""

from __future__ import annotations

from time import monotonic, sleep
from typing import Any

import numpy as np
from mpi4py import MPI

from hpctrain.runtime.codec import from_bytes, to_bytes

SHORTEST_PAUSE_S = 0.00005
LONGEST_PAUSE_S = 0.005
COMPLAINT_BYTES = 512


class RankTalk:
    """The ranks of one worker. Every method but `comm` is collective among them."""

    def __init__(self, comm: MPI.Comm) -> None:
        self.rank = comm.rank
        self.size = comm.size
        self._comm = comm
        self._users: MPI.Comm | None = None

    def comm(self) -> MPI.Comm:
        """A communicator of the same ranks for the objective; collective the first time."""
        if self._users is None:
            self._users = self._comm.Dup()
        return self._users

    def tell(self, item: Any, patience_s: float | None = None) -> Any:
        """Rank 0's plain value, on all ranks.

        Raises:
            TimeoutError: on a rank that says a patience, if nobody tells anything in that time.
        """
        data = bytearray(to_bytes(item)) if self.rank == 0 else bytearray()
        size = np.array([len(data)])
        _wait(self._comm.Ibcast(size, 0), patience_s)
        if self.rank != 0:
            data = bytearray(int(size[0]))
        _wait(self._comm.Ibcast([data, MPI.BYTE], 0))
        return item if self.rank == 0 else from_bytes(bytes(data))

    def vote(
        self, complaint: str, patience_s: float, amounts: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[list[str], tuple[float, float]]:
        """The complaints of all ranks, empty texts for none; and the sums of their amounts.

        Raises:
            TimeoutError: on a rank that complains, if the others do not come in `patience_s`.
        """
        head = np.array(amounts, np.float64).view(np.uint8)
        mine = np.zeros(head.size + COMPLAINT_BYTES, np.uint8)
        text = complaint.encode()[:COMPLAINT_BYTES]
        mine[: head.size] = head
        mine[head.size : head.size + len(text)] = np.frombuffer(text, np.uint8)
        all_of_us = np.empty((self.size, mine.size), np.uint8)
        request = self._comm.Iallgather(mine, all_of_us)
        _wait(request, patience_s if complaint else None)
        texts = all_of_us[:, head.size :]
        sums = all_of_us[:, : head.size].copy().view(np.float64).sum(axis=0)
        complaints = [row.tobytes().rstrip(b"\0").decode(errors="replace") for row in texts]
        return complaints, (float(sums[0]), float(sums[1]))


def _wait(request: MPI.Request, patience_s: float | None = None) -> None:
    deadline_s = None if patience_s is None else monotonic() + patience_s
    pause_s = SHORTEST_PAUSE_S
    while not request.Test():
        if deadline_s is not None and monotonic() > deadline_s:
            raise TimeoutError
        sleep(pause_s)
        pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)
