"""The mailbox over MPI: a small header, then the arrays as they lie in memory. Nobody waits.

Order for each pair comes from two facts: MPI delivers messages of one sender, receiver and tag in
order, and a message is handed over only when all that were begun before it by the same sender are
complete. Open MPI refuses messages over 2^31 bytes, so large arrays travel in pieces. MPI makes
progress only inside MPI calls, so `receive` also moves what is being sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from hpctrain.core.events import WorkerId
from hpctrain.runtime.codec import decode, empty_arrays, encode

HEADER, DATA = 1, 2
PIECE_BYTES = 1 << 30


@dataclass(slots=True)
class _Incoming:
    header: bytes
    arrays: list[NDArray[Any]]
    requests: list[MPI.Request]


class MpiMailbox:
    """Messages between the leaders of workers.

    Args:
        comm: a communicator of the mailbox's own.
        leaders: the rank of each worker's leader.

    Attributes:
        bytes_sent, bytes_received: headers included.
    """

    def __init__(self, comm: MPI.Comm, leaders: Sequence[int]) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        self._comm = comm
        self._leaders = list(leaders)
        self._worker_of = {rank: worker for worker, rank in enumerate(leaders)}
        self._sending: deque[tuple[MPI.Request, Any]] = deque()
        self._incoming: dict[int, deque[_Incoming]] = {}
        self._status = MPI.Status()

    def send(self, to: WorkerId, message: Any) -> None:
        header, arrays = encode(message)
        rank = self._leaders[to]
        self._start_sending(header, rank, HEADER)
        self.bytes_sent += len(header)
        for array in arrays:
            for piece in _pieces(array):
                self._start_sending(piece, rank, DATA)
            self.bytes_sent += array.nbytes

    def receive(self) -> tuple[WorkerId, Any] | None:
        self._reap()
        while self._comm.Iprobe(MPI.ANY_SOURCE, HEADER, self._status):
            self._begin_receiving(self._status.Get_source(), self._status.Get_count(MPI.BYTE))
        for source, queue in self._incoming.items():
            if queue and MPI.Request.Testall(queue[0].requests):
                message = queue.popleft()
                del self._incoming[source]  # and to the end: every sender has its turn
                self._incoming[source] = queue
                return self._worker_of[source], decode(message.header, message.arrays)
        return None

    def drained(self) -> bool:
        """Has MPI taken over everything that was sent?"""
        self._reap()
        return not self._sending

    def close(self) -> None:
        """Wait until everything sent is on its way; receivers that still listen will get it."""
        MPI.Request.Waitall([request for request, _ in self._sending])
        self._sending.clear()

    def _start_sending(self, data: Any, rank: int, tag: int) -> None:
        self._sending.append((self._comm.Isend([data, MPI.BYTE], rank, tag), data))

    def _begin_receiving(self, source: int, size: int) -> None:
        buffer = bytearray(size)
        self._comm.Recv([buffer, MPI.BYTE], source, HEADER)
        header = bytes(buffer)
        arrays = empty_arrays(header)
        requests = [
            self._comm.Irecv([piece, MPI.BYTE], source, DATA)
            for array in arrays
            for piece in _pieces(array)
        ]
        self.bytes_received += size + sum(array.nbytes for array in arrays)
        queue = self._incoming.setdefault(source, deque())
        queue.append(_Incoming(header, arrays, requests))

    def _reap(self) -> None:
        """Forget what has been sent; this also lets MPI make progress."""
        while self._sending and self._sending[0][0].Test():
            self._sending.popleft()


def _pieces(array: NDArray[Any]) -> list[NDArray[np.uint8]]:
    flat = array.reshape(-1).view(np.uint8)
    return [flat[a : a + PIECE_BYTES] for a in range(0, flat.size, PIECE_BYTES)]
