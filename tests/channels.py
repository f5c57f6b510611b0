"""Mailboxes whose deliveries are interleaved at random: only the order of each pair holds."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Any


class Channels:
    """One queue for each pair; which of them delivers next, and when, is drawn."""

    def __init__(self, num_workers: int, draw: random.Random, hurry: float = 0.7) -> None:
        self.queues = {(a, b): deque[Any]() for a in range(num_workers) for b in range(num_workers)}
        self._draw = draw
        self._hurry = hurry

    def mailbox(self, me: int) -> ChannelMailbox:
        return ChannelMailbox(self, me)

    def receive(self, me: int) -> tuple[int, Any] | None:
        ready = [a for (a, b), queue in self.queues.items() if b == me and queue]
        if not ready or self._draw.random() > self._hurry:
            return None
        sender = self._draw.choice(ready)
        return sender, self.queues[sender, me].popleft()


@dataclass(frozen=True)
class ChannelMailbox:
    channels: Channels
    me: int

    def send(self, to: int, message: Any) -> None:
        self.channels.queues[self.me, to].append(message)

    def receive(self) -> tuple[int, Any] | None:
        return self.channels.receive(self.me)
