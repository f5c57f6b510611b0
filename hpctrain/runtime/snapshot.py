"""A consistent picture of a run that goes on: nobody waits, nothing in flight is lost.

The algorithm of Chandy and Lamport (ACM TOCS 3(1), 1985). Worker 0 saves its own state and sends a
mark to everyone. Whoever sees the first mark saves its state and sends marks too; messages that
arrive on a channel after the own state was saved and before that channel's mark were in flight,
and are saved beside it. It needs what a mailbox promises anyway: order for each pair.

A snapshot that *stops* is the same, but from its state on a worker handles no message and does no
work: what arrives is only saved. So a run that is resumed goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain

InFlight = list[tuple[WorkerId, Any]]


@plain
@dataclass(frozen=True, slots=True)
class Mark:
    """Everything sent before this belongs to the time before snapshot `number`."""

    number: int
    stop: bool


@plain
@dataclass(frozen=True, slots=True)
class AskStop:
    """To worker 0: please save everything and stop."""

    reason: str


@plain
@dataclass(frozen=True, slots=True)
class Saved:
    """To worker 0: the parts of snapshot `number` that this worker wrote: (name, bytes, sha256)."""

    number: int
    parts: list[tuple[str, int, str]]


Control = Mark | AskStop | Saved


class Vault(Protocol):
    """Where a worker's snapshots are kept."""

    def save_state(self, number: int) -> None:
        """Keep the state of this worker as it is now."""
        ...

    def save_in_flight(self, number: int, messages: InFlight) -> list[tuple[str, int, str]]:
        """Keep messages that were under way to this worker; returns all parts of this worker."""
        ...

    def commit(self, number: int, parts: list[tuple[str, int, str]]) -> None:
        """All parts of all workers are written: make the snapshot valid. Only at worker 0."""
        ...


@dataclass(slots=True)
class _Picture:
    number: int
    stop: bool
    unmarked: set[WorkerId]
    in_flight: InFlight = field(default_factory=list)


class Snapshots:
    """One worker's part in the snapshots of a run.

    Args:
        me: this worker.
        num_workers: of the run.
        send: of this worker's mailbox.
        vault: where states are kept.
        last_number: of the last snapshot there was.
        may_begin: asked at worker 0 before a snapshot begins. It must say no once another worker
            may have ended and gone: its mark would never come, and everyone would wait for it.
    """

    def __init__(
        self,
        me: WorkerId,
        num_workers: int,
        send: Callable[[WorkerId, Any], None],
        vault: Vault,
        last_number: int = 0,
        may_begin: Callable[[], bool] = lambda: True,
    ) -> None:
        self._me = me
        self._peers = [worker for worker in range(num_workers) if worker != me]
        self._num_workers = num_workers
        self._send = send
        self._vault = vault
        self._may_begin = may_begin
        self._number = last_number
        self._picture: _Picture | None = None
        self._saved: dict[int, list[Saved]] = {}
        self._stop_asked = False
        self.frozen = False  # a stopping snapshot has been taken: handle nothing, do nothing
        self.stopped = False  # and it is complete here: this worker can go

    @property
    def busy(self) -> bool:
        """A snapshot is being taken here, or worker 0 is waiting for the parts of others."""
        return self._picture is not None or bool(self._saved)

    def take(self) -> None:
        """Worker 0: begin a snapshot of the whole run, unless one is under way."""
        if not self.busy and self._may_begin():
            self._begin(self._number + 1, stop=False)

    def ask_stop(self, reason: str) -> None:
        """Save everything and stop, as soon as possible; a run that is ending just ends."""
        if self._me != 0:
            self._send(0, AskStop(reason))
        elif self.busy:
            self._stop_asked = True
        elif not self.frozen and self._may_begin():
            self._begin(self._number + 1, stop=True)

    def control(self, sender: WorkerId, message: Control) -> None:
        """A message of this protocol arrived; call at a pause of the work only."""
        match message:
            case Mark(number, stop):
                if self._picture is None:
                    self._begin(number, stop)
                assert self._picture is not None
                self._picture.unmarked.discard(sender)
                self._complete()
            case AskStop(reason):
                self.ask_stop(reason)
            case Saved(number, _):
                self._saved.setdefault(number, []).append(message)
                self._commit(number)

    def observe(self, sender: WorkerId, message: Any) -> None:
        """Any other message arrived: was it in flight?"""
        if self._picture is not None and sender in self._picture.unmarked:
            self._picture.in_flight.append((sender, message))

    def _begin(self, number: int, stop: bool) -> None:
        self._number = number
        self._picture = _Picture(number, stop, set(self._peers))
        self.frozen = stop
        if self._me == 0:
            self._saved.setdefault(number, [])
        self._vault.save_state(number)
        for peer in self._peers:
            self._send(peer, Mark(number, stop))
        self._complete()

    def _complete(self) -> None:
        picture = self._picture
        if picture is None or picture.unmarked:
            return
        self._picture = None
        saved = Saved(picture.number, self._vault.save_in_flight(picture.number, picture.in_flight))
        if self._me == 0:
            self._saved[picture.number].append(saved)
            self._commit(picture.number)
        else:
            self._send(0, saved)
            self.stopped = picture.stop

    def _commit(self, number: int) -> None:
        if len(self._saved[number]) < self._num_workers:
            return
        self._vault.commit(
            number, [part for saved in self._saved.pop(number) for part in saved.parts]
        )
        self.stopped = self.frozen
        if self._stop_asked and not self.frozen and self._may_begin():
            self._begin(self._number + 1, stop=True)
