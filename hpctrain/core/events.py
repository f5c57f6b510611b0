"""What an algorithm is told (events) and what it answers (commands).

                     events                            commands
mailbox ──Received───────▶ ┌──────────────────────────┐ ──Send───▶ mailbox ──▶ other workers
work    ──Done───────────▶ │  Algorithm.step   (pure) │ ──Do─────▶ ranks and devices of this worker
signals ──StopRequested──▶ │  training/  or  search/  │ ──Note───▶ run store
failures──PeerLost───────▶ └──────────────────────────┘ ──Finish─▶ the run ends
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hpctrain.core.plain import plain

WorkerId = int


@plain
@dataclass(frozen=True, slots=True)
class Started:
    """The worker is ready. Told once at the start of a run, and once again after a resume."""


@plain
@dataclass(frozen=True, slots=True)
class Done:
    """The work that was ordered is finished; `result` is a plain value (see `core.plain`)."""

    result: Any


@plain
@dataclass(frozen=True, slots=True)
class Reported:
    """The work in progress says how far it has come; `value` is a plain value."""

    value: Any


@plain
@dataclass(frozen=True, slots=True)
class Received:
    """A message arrived. Messages of one sender arrive in the order in which they were sent."""

    sender: WorkerId
    message: Any


@plain
@dataclass(frozen=True, slots=True)
class PeerLost:
    """Another worker is gone and will send nothing more."""

    worker: WorkerId


@plain
@dataclass(frozen=True, slots=True)
class TimerFired:
    """The timer that `SetTimer(name, ...)` asked for."""

    name: str


@plain
@dataclass(frozen=True, slots=True)
class StopRequested:
    """This worker is to leave the run in good order: its script has ended, or a user asked."""

    reason: str


Event = Started | Done | Reported | Received | PeerLost | TimerFired | StopRequested


@dataclass(frozen=True, slots=True)
class Do:
    """Order `work` from the ranks of this worker."""

    work: Any


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the work in progress at its next pause; it answers `Done` with what it has."""

    reason: str


@dataclass(frozen=True, slots=True)
class Send:
    """Send `message` to another worker, or to oneself. Arrays in it are never written again."""

    to: WorkerId
    message: Any


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Ask for `TimerFired(name)` at `at_s`, on the clock of `now_s`."""

    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Note:
    """A row for the run store: `kind` is its table, `fields` its columns."""

    kind: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Finish:
    """This worker has nothing more to do and nothing more to wait for."""


Command = Do | Cancel | Send | SetTimer | Note | Finish
