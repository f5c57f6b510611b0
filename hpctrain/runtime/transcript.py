"""A run as text: one line per event with what was answered. Whole simulated clusters as golden files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from hpctrain.core.algorithm import Algorithm
from hpctrain.core.events import Command, Event, Finish, Note, Received, Send, WorkerId

State = TypeVar("State")


class Transcribed(Generic[State]):
    """`algorithm` of worker `me`, with every step written down. Notes are left out: they repeat what is said."""

    def __init__(
        self, algorithm: Algorithm[State], me: WorkerId, write: Callable[[str], None]
    ) -> None:
        self._algorithm = algorithm
        self._me = me
        self._write = write

    def init(self, me: WorkerId) -> State:
        return self._algorithm.init(me)

    def step(self, state: State, event: Event, now_s: float) -> tuple[State, tuple[Command, ...]]:
        told = _told(event)
        state, commands = self._algorithm.step(state, event, now_s)
        answers = [_answered(command) for command in commands if not isinstance(command, Note)]
        self._write(
            f"{now_s:9.3f}  w{self._me}  {told}" + "".join(f"\n{'':14}→ {a}" for a in answers)
        )
        return state, commands


def _told(event: Event) -> str:
    if isinstance(event, Received):
        return f"from w{event.sender}: {text_of(event.message)}"
    return text_of(event)


def _answered(command: Command) -> str:
    if isinstance(command, Send):
        return f"to w{command.to}: {text_of(command.message)}"
    return "Finish" if isinstance(command, Finish) else text_of(command)


def text_of(value: Any) -> str:
    """`value` on one line; of an array its length and 2-norm."""
    if isinstance(value, np.ndarray):
        return f"<{value.size}: {float(np.linalg.norm(value)):.4g}>"
    if is_dataclass(value) and not isinstance(value, type):
        parts = [f"{f.name}={text_of(getattr(value, f.name))}" for f in fields(value)]
        return f"{type(value).__name__}({', '.join(parts)})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {text_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
