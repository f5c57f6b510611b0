"""A run as text: one line per event and per answer. Whole simulated clusters as golden files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from hpctrain.core.algorithm import Algorithm
from hpctrain.core.events import (
    Cancel,
    Command,
    Do,
    Done,
    Event,
    Finish,
    Note,
    Received,
    Send,
    SetTimer,
    WorkerId,
)

State = TypeVar("State")


class Transcribed(Generic[State]):
    """`algorithm` of worker `me`, with every step written down.

    Notes are left out: they repeat what is said. What a worker tells itself is written in full
    where it is said, and by name where it is heard.
    """

    def __init__(
        self, algorithm: Algorithm[State], me: WorkerId, write: Callable[[str], None]
    ) -> None:
        self._algorithm = algorithm
        self._me = me
        self._write = write

    def init(self, me: WorkerId) -> State:
        return self._algorithm.init(me)

    def step(self, state: State, event: Event, now_s: float) -> tuple[State, tuple[Command, ...]]:
        lines = [f"{now_s:9.3f}  w{self._me}  {self._told(event)}"]
        state, commands = self._algorithm.step(state, event, now_s)
        lines += [f"{'':15}→ {self._answered(c)}" for c in commands if not isinstance(c, Note)]
        self._write("\n".join(lines))
        return state, commands

    def _told(self, event: Event) -> str:
        match event:
            case Received(sender, message) if sender == self._me:
                return f"from itself: {type(message).__name__}"
            case Received(sender, message):
                return f"from w{sender}: {text_of(message)}"
            case Done(result):
                return f"done: {text_of(result)}"
            case _:
                return text_of(event)

    def _answered(self, command: Command) -> str:
        match command:
            case Send(to, message):
                return f"to {'itself' if to == self._me else f'w{to}'}: {text_of(message)}"
            case Do(work):
                return f"do: {text_of(work)}"
            case Cancel(reason):
                return f"cancel: {reason}"
            case SetTimer(name, at_s):
                return f"timer at {at_s:.3f}: {name}"
            case Finish():
                return "finish"
            case Note():
                return text_of(command)


def text_of(value: Any) -> str:
    """`value` on one line; of an array its length and 2-norm, of a dataclass what is said."""
    match value:
        case np.ndarray():
            return f"<{value.size}: {float(np.linalg.norm(value)):.4g}>"
        case dict():
            return "{" + ", ".join(f"{k}: {text_of(v)}" for k, v in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(text_of, value)) + "]"
        case float():
            return f"{value:.6g}"
    if not is_dataclass(value) or isinstance(value, type):
        return str(value)
    held = [(field, getattr(value, field.name)) for field in fields(value)]
    parts = [
        f"{field.name}={text_of(item)}"
        for field, item in held
        if not _is_empty(item) and not (isinstance(item, float) and item == field.default)
    ]
    return f"{type(value).__name__}({', '.join(parts)})" if parts else type(value).__name__


def _is_empty(item: Any) -> bool:
    return item is None or (isinstance(item, (list, tuple, dict)) and not item)
