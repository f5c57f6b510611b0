"""A world of one rank, without MPI installed or running."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from hpctrain.core.topology import Topology
from hpctrain.runtime.memory import MemoryMailbox, MemoryPost


class AloneWorld:
    """What a plain `python script.py` runs in; has the methods of `MpiWorld`."""

    rank = 0
    size = 1
    threads = True

    def __init__(self) -> None:
        self.before_abort: Callable[[str], None] = lambda text: None

    def mailbox(self, topology: Topology) -> MemoryMailbox:
        return MemoryPost(1).mailbox(0)

    def group(self, topology: Topology) -> None:
        """There is no group: the worker has a single rank."""

    def talk(self, topology: Topology) -> None:
        """Nobody to talk to, likewise."""

    def share(self, item: Any) -> Any:
        return item

    def gather(self, item: Any) -> list[Any]:
        return [item]

    def share_array(self, data: NDArray[Any]) -> None:
        """Nobody to share with."""

    def hosts(self) -> list[str]:
        return [platform.node()]

    def abort(self, error: BaseException) -> None:
        """Python prints the traceback by itself."""
        raise error
