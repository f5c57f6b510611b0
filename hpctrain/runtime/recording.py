"""Recordings: in which order a worker saw its events, so that a run can be made again bit for bit.

Inner steps are deterministic on a CPU; what differs from run to run is the order in which messages
arrive, and the inner step at which an order is carried out. An `Entry` holds just that. Whoever
follows a recording (another MPI run, the simulator, or `hpctrain replay`) lets nothing happen
before its turn. In a *full* recording the results of work are in it too, so that an algorithm can
be replayed without a model, data or GPU.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from hpctrain.core.events import Done, Event, Received, WorkerId
from hpctrain.core.plain import plain
from hpctrain.errors import HpctrainError

RecordMode = Literal["off", "order", "full"]
CARRIED_OUT = "CarriedOut"


@plain
@dataclass(frozen=True, slots=True)
class Entry:
    """One event, or one order that was carried out, at one worker.

    `step` is the number of inner steps that the worker had completed. `event` is left out for
    messages (their sender makes them again) and, unless the recording is full, for results of
    work.
    """

    now_s: float
    step: int
    kind: str
    sender: WorkerId = -1
    event: Any = None


class Journal(Protocol):
    """Where entries go."""

    def write(self, entry: Entry) -> None: ...

    def close(self) -> None: ...


class MemoryJournal:
    """Keeps the entries of one worker in a list."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def write(self, entry: Entry) -> None:
        self.entries.append(entry)

    def close(self) -> None:
        """Nothing to close."""


def entry_of(event: Event, now_s: float, step: int, *, full: bool) -> Entry:
    """The entry for `event`."""
    kind = type(event).__name__
    match event:
        case Received(sender, _):
            return Entry(now_s, step, kind, sender)
        case Done():
            return Entry(now_s, step, kind, event=event if full else None)
        case _:
            return Entry(now_s, step, kind, event=event)


class Score:
    """The entries that one worker still has to follow."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._left = deque(entries)
        self.played = 0

    def __bool__(self) -> bool:
        return bool(self._left)

    def due(self, step: int) -> Entry | None:
        """The next entry, if it belongs before inner step `step + 1`."""
        if self._left and self._left[0].step <= step:
            return self._left[0]
        return None

    def play(self, kind: str) -> Entry:
        """Take the next entry, which must be of `kind`.

        Raises:
            HpctrainError: if the run has left the recording.
        """
        if not self._left or self._left[0].kind != kind:
            expected = self._left[0] if self._left else "its end"
            raise HpctrainError(
                f"the run has left the recording at entry {self.played}: {kind} happened, "
                f"recorded is {expected}; were config, data or versions changed since?"
            )
        self.played += 1
        return self._left.popleft()
