"""What the driver has ordered from the ranks of a worker, until the next pause carries it out."""

from __future__ import annotations

from collections import deque
from typing import Any


class Orders:
    """The `Workplace` port: what the driver has ordered and the next pause will carry out."""

    def __init__(self) -> None:
        self.waiting: deque[Any] = deque()
        self.cancelled = False

    def order(self, work: Any) -> None:
        self.waiting.append(work)

    def cancel(self, reason: str) -> None:
        self.cancelled = True
