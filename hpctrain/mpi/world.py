"""All ranks of a run: started once, checked against the launcher, ended together.

Importing this module starts MPI.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from hpctrain.core.topology import Topology
from hpctrain.mpi.group import PIECE, MpiGroup
from hpctrain.mpi.mailbox import MpiMailbox
from hpctrain.mpi.talk import RankTalk

PAUSE_S = 0.001
WORDS_S = 0.2  # for the launcher to read what this rank has said, before it ends all ranks


class MpiWorld:
    """The ranks that one launcher started.

    MPI waits in a collective by asking again and again, with a whole core: the first of the ranks
    to have loaded its modules would take the core from those that still load theirs. So all meet
    first, asking a thousand times a second. None of this is on the way of a training.
    """

    def __init__(self) -> None:
        self._comm = MPI.COMM_WORLD
        self.rank = self._comm.rank
        self.size = self._comm.size
        self.threads = MPI.Query_thread() == MPI.THREAD_MULTIPLE
        self.before_abort: Callable[[str], None] = lambda text: None
        self._install_hooks()

    @property
    def library(self) -> str:
        """What the MPI library says of itself."""
        return MPI.Get_library_version()

    def mailbox(self, topology: Topology) -> MpiMailbox:
        """Collective. The mailbox of this rank's worker, if it leads one."""
        leaders = [worker.ranks[0] for worker in topology.workers]
        self._meet()
        return MpiMailbox(self._comm.Dup(), leaders)

    def group(self, topology: Topology) -> MpiGroup:
        """Collective. The ranks of this rank's worker."""
        worker = topology.worker_of(self.rank)
        self._meet()
        return MpiGroup(self._comm.Split(worker.id, worker.ranks.index(self.rank)))

    def talk(self, topology: Topology) -> RankTalk:
        """Collective. The ranks of this rank's worker, for a search."""
        worker = topology.worker_of(self.rank)
        self._meet()
        return RankTalk(self._comm.Split(worker.id, worker.ranks.index(self.rank)))

    def share(self, item: Any) -> Any:
        """Collective. Rank 0's `item`, everywhere."""
        self._meet()
        return self._comm.bcast(item, 0)

    def gather(self, item: Any) -> list[Any]:
        """Collective. All ranks' items, everywhere."""
        self._meet()
        return self._comm.allgather(item)

    def share_array(self, data: NDArray[Any]) -> None:
        """Collective. Overwrite `data` with rank 0's."""
        self._meet()
        flat = data.reshape(-1).view(np.uint8)
        for a in range(0, flat.size, PIECE):
            self._comm.Bcast([flat[a : a + PIECE], MPI.BYTE], 0)

    def hosts(self) -> list[str]:
        """Collective. The host of every rank."""
        self._meet()
        return self._comm.allgather(MPI.Get_processor_name())

    def abort(self, error: BaseException) -> None:
        """End the whole job because of `error`: nobody is left waiting for this rank."""
        text = "".join(traceback.format_exception(error))
        sys.stderr.write("".join(f"[rank {self.rank}] {line}\n" for line in text.splitlines()))
        sys.stderr.flush()
        try:
            self.before_abort(text)
        finally:
            time.sleep(WORDS_S)
            self._comm.Abort(1)
            os._exit(1)

    def _meet(self) -> None:
        if self.size == 1:
            return
        here = self._comm.Ibarrier()
        while not here.Test():
            time.sleep(PAUSE_S)

    def _install_hooks(self) -> None:
        """An uncaught exception on one rank of several ends the job."""
        if self.size == 1:
            return

        def hook(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            self.abort(error)

        def thread_hook(args: threading.ExceptHookArgs) -> None:
            if args.exc_value is not None:
                self.abort(args.exc_value)

        sys.excepthook = hook
        threading.excepthook = thread_hook
