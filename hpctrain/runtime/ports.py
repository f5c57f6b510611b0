"""What a driver needs from the world; each port exists in memory, in virtual time and on MPI."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hpctrain.core.events import WorkerId
from hpctrain.core.topology import Topology


class Mailbox(Protocol):
    """Messages between workers: in order for each pair, nothing lost, nobody waits."""

    def send(self, to: WorkerId, message: Any) -> None:
        """Start sending; returns at once. Arrays in `message` must never be written again."""
        ...

    def receive(self) -> tuple[WorkerId, Any] | None:
        """The next message that has arrived completely and its sender, or None."""
        ...


class Workplace(Protocol):
    """The ranks of this worker. Orders are carried out at the next pause, in the order given."""

    def order(self, work: Any) -> None: ...

    def cancel(self, reason: str) -> None: ...


class Notebook(Protocol):
    """Where rows for the run store go."""

    def note(self, kind: str, fields: Mapping[str, Any]) -> None: ...


class Clock(Protocol):
    """Seconds since the start of the run; goes on where it was after a resume."""

    def now_s(self) -> float: ...


class World(Protocol):
    """All ranks of a run. Every method but `abort` is collective."""

    rank: int
    size: int
    threads: bool  # may a second thread use the mailbox?
    before_abort: Callable[[str], None]  # called with the traceback when this rank ends the job

    def share(self, item: Any) -> Any:
        """Rank 0's item, everywhere."""
        ...

    def gather(self, item: Any) -> list[Any]:
        """All ranks' items, everywhere."""
        ...

    def share_array(self, data: Any) -> None:
        """Overwrite `data` with rank 0's."""
        ...

    def hosts(self) -> list[str]: ...

    def mailbox(self, topology: Topology) -> ClosableMailbox: ...

    def group(self, topology: Topology) -> Any: ...

    def talk(self, topology: Topology) -> Any:
        """What the ranks of a worker of a search say to each other."""
        ...

    def abort(self, error: BaseException) -> None:
        """End the whole job."""
        ...


class ClosableMailbox(Mailbox, Protocol):
    """A mailbox that counts, and that has to be closed."""

    bytes_sent: int
    bytes_received: int

    def drained(self) -> bool: ...

    def close(self) -> None: ...


class NullNotebook:
    """Forgets everything."""

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        """Do nothing."""
