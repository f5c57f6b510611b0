"""A world of several ranks in one process, a thread each: for replays and tests."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpctrain.core.topology import Topology
from hpctrain.runtime.memory import MemoryMailbox, MemoryPost

T = TypeVar("T")


class _Meeting:
    """A place where all members put an item and see those of the others."""

    def __init__(self, size: int) -> None:
        self._barrier = Barrier(size)
        self._items: list[Any] = [None] * size

    def exchange(self, place: int, item: Any) -> list[Any]:
        self._items[place] = item
        self._barrier.wait()
        items = list(self._items)
        self._barrier.wait()
        return items

    def break_up(self) -> None:
        self._barrier.abort()


class _Hall:
    """What the ranks of one world share."""

    def __init__(self, size: int) -> None:
        self.meeting = _Meeting(size)
        self.post = MemoryPost(size)
        self.groups: dict[int, _Meeting] = {}
        self.error: BaseException | None = None


class ThreadWorld:
    """One rank of a world of threads; has the methods of `MpiWorld`."""

    threads = True

    def __init__(self, rank: int, size: int, hall: _Hall) -> None:
        self.rank = rank
        self.size = size
        self.before_abort: Callable[[str], None] = lambda text: None
        self._hall = hall

    def share(self, item: Any) -> Any:
        return self.gather(item)[0]

    def gather(self, item: Any) -> list[Any]:
        return self._hall.meeting.exchange(self.rank, item)

    def share_array(self, data: NDArray[Any]) -> None:
        first = self.gather(data)[0]
        if first is not data:
            np.copyto(data, first)
        self.gather(None)  # rank 0 may write its own again only when all have copied

    def hosts(self) -> list[str]:
        return ["thread"] * self.size

    def mailbox(self, topology: Topology) -> MemoryMailbox:
        return self._hall.post.mailbox(topology.worker_of(self.rank).id)

    def group(self, topology: Topology) -> ThreadGroup | None:
        worker = topology.worker_of(self.rank)
        if len(worker.ranks) == 1:
            return None
        meeting = self._hall.groups.setdefault(worker.id, _Meeting(len(worker.ranks)))
        return ThreadGroup(worker.ranks.index(self.rank), len(worker.ranks), meeting)

    def talk(self, topology: Topology) -> ThreadGroup:
        worker = topology.worker_of(self.rank)
        meeting = self._hall.groups.setdefault(-1 - worker.id, _Meeting(len(worker.ranks)))
        return ThreadGroup(worker.ranks.index(self.rank), len(worker.ranks), meeting)

    def abort(self, error: BaseException) -> None:
        """End all threads: whoever waits gets a `BrokenBarrierError`."""
        self._hall.error = self._hall.error or error
        self._hall.meeting.break_up()
        for group in self._hall.groups.values():
            group.break_up()
        raise error


class ThreadGroup:
    """The ranks of one worker as threads. Sums are in the order of ranks."""

    def __init__(self, rank: int, size: int, meeting: _Meeting) -> None:
        self.rank = rank
        self.size = size
        self._meeting = meeting

    def broadcast(self, data: NDArray[Any]) -> None:
        items = self._meeting.exchange(self.rank, data.copy() if self.rank == 0 else None)
        if self.rank:
            np.copyto(data, items[0])

    def sum(self, data: NDArray[np.float32]) -> None:
        items = self._meeting.exchange(self.rank, data.copy())
        np.copyto(data, items[0])
        for other in items[1:]:
            data += other

    def gather(self, item: Any) -> list[Any]:
        items = self._meeting.exchange(self.rank, item)
        return items if self.rank == 0 else []

    def tell(self, item: Any) -> Any:
        return self._meeting.exchange(self.rank, item)[0]

    def vote(self, complaint: str, patience_s: float) -> list[str]:
        return self._meeting.exchange(self.rank, complaint)

    def sum_on_device(self, flat: Any) -> bool:
        """Threads sum on the host."""
        return False


def run_in_threads(size: int, rank_program: Callable[[ThreadWorld], T]) -> list[T]:
    """Run `rank_program` on `size` ranks; their results in the order of ranks.

    Raises:
        BaseException: the first rank's error, once all threads have ended.
    """
    hall = _Hall(size)
    results: list[Any] = [None] * size

    def run(world: ThreadWorld) -> None:
        try:
            results[world.rank] = rank_program(world)
        except BrokenBarrierError:
            return  # another rank has failed, and says why
        except BaseException as error:
            try:
                world.abort(error)
            except BaseException:
                return

    threads = [
        Thread(target=run, args=(ThreadWorld(rank, size, hall),), name=f"rank-{rank}")
        for rank in range(size)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if hall.error is not None:
        raise hall.error
    return results
