"""A world inside the world: the ranks of one worker of a search, which train a candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpi4py import MPI

from hpctrain.core.topology import Topology
from hpctrain.mpi.group import MpiGroup
from hpctrain.mpi.mailbox import MpiMailbox
from hpctrain.mpi.world import MpiWorld


class InnerWorld(MpiWorld):
    """Like `MpiWorld`, of the ranks of `comm`; what fails in it fails the candidate, not the job.

    Communicators are a scarce thing in some MPI libraries: `free` gives them back.
    """

    def __init__(self, comm: MPI.Intracomm) -> None:
        self._comm = comm
        self.rank = comm.rank
        self.size = comm.size
        self.threads = MPI.Query_thread() == MPI.THREAD_MULTIPLE
        self.before_abort: Callable[[str], None] = lambda text: None
        self._made: list[MPI.Comm] = []

    def mailbox(self, topology: Topology) -> MpiMailbox:
        leaders = [worker.ranks[0] for worker in topology.workers]
        return MpiMailbox(self._keep(self._comm.Dup()), leaders)

    def group(self, topology: Topology) -> MpiGroup:
        worker = topology.worker_of(self.rank)
        place = worker.ranks.index(self.rank)
        return MpiGroup(self._keep(self._comm.Split(worker.id, place)))

    def abort(self, error: BaseException) -> None:
        """The candidate has failed; the search says so, and goes on."""
        raise error

    def free(self) -> None:
        """Collective, when nothing is under way any more."""
        while self._made:
            self._made.pop().Free()

    def _keep(self, comm: Any) -> Any:
        self._made.append(comm)
        return comm
