"""Mailboxes inside one process: for tests, for replays, and for a run of a single worker."""

from __future__ import annotations

from collections import deque
from typing import Any

from hpctrain.core.events import WorkerId


class MemoryPost:
    """Connects the mailboxes of `num_workers` workers, which may be threads of one process."""

    def __init__(self, num_workers: int) -> None:
        self._boxes: list[deque[tuple[WorkerId, Any]]] = [deque() for _ in range(num_workers)]

    def mailbox(self, me: WorkerId) -> MemoryMailbox:
        return MemoryMailbox(self._boxes, me)


class MemoryMailbox:
    """Hands over the very objects that were sent. `deque` makes it safe between threads."""

    bytes_sent = 0
    bytes_received = 0

    def __init__(self, boxes: list[deque[tuple[WorkerId, Any]]], me: WorkerId) -> None:
        self._boxes = boxes
        self._me = me

    def send(self, to: WorkerId, message: Any) -> None:
        self._boxes[to].append((self._me, message))

    def receive(self) -> tuple[WorkerId, Any] | None:
        try:
            return self._boxes[self._me].popleft()
        except IndexError:
            return None

    def drained(self) -> bool:
        """Has everything been handed over that this worker sent? Always, here."""
        return True

    def close(self) -> None:
        """Nothing to give back."""
