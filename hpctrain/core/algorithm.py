"""The one signature that all parts have: a pure state machine per worker."""

from __future__ import annotations

from typing import Protocol, TypeVar

from hpctrain.core.events import Command, Event, WorkerId

State = TypeVar("State")


class Algorithm(Protocol[State]):
    """What a worker does about what happens to it.

    `step` reads no clock, draws from no global generator and does no I/O: the same object runs on
    MPI, in virtual time, and again from a recording, and gives the same bits. It owns `state` and
    may update its arrays in place; the caller goes on with the returned state only.
    """

    def init(self, me: WorkerId) -> State:
        """The state of worker `me` before anything has happened. It is a plain value."""
        ...

    def step(self, state: State, event: Event, now_s: float) -> tuple[State, tuple[Command, ...]]:
        """The answer to `event` at `now_s` seconds since the start of the run."""
        ...
