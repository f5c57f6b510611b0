"""News along a hypercube: one message per evaluation, whatever the number of workers.

Worker i of an island of n talks to i XOR 1, i XOR 2, i XOR 4, ... in turn; where that one does not
exist, to (i + 2^h) mod n. What it learns it passes on once in every direction but the one it came
from, so news reaches all after about log2(n) evaluations.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterable

from hpctrain.core.events import WorkerId
from hpctrain.searching.messages import Gossip
from hpctrain.searching.record import Record
from hpctrain.searching.wire import Interims, RecordWire, pack_interim

MOST_RECORDS = 16  # in one message: the best of what there is to tell
MOST_INTERIM = 64


class Grapevine:
    """What one worker still has to pass on, by direction."""

    def __init__(self, me: WorkerId, members: Iterable[WorkerId], wire: RecordWire) -> None:
        self._partners = _partners(me, list(members))
        self._records: list[list[Record]] = [[] for _ in self._partners]
        self._interim: list[deque[Interims]] = [deque(maxlen=MOST_INTERIM) for _ in self._partners]
        self._wire = wire
        self._turn = 0
        self.num_sent = 0

    def tell(self, record: Record, heard_from: WorkerId | None = None) -> None:
        """Pass `record` on in all directions but where it was heard."""
        for partner, queue in zip(self._partners, self._records, strict=True):
            if partner != heard_from:
                insort(queue, record)
                if len(queue) > MOST_RECORDS:
                    queue.pop()

    def tell_interim(self, value: Interims, heard_from: WorkerId | None = None) -> None:
        """Likewise with a value on the way."""
        for partner, queue in zip(self._partners, self._interim, strict=True):
            if partner != heard_from:
                queue.append(value)

    def next(self) -> tuple[WorkerId, Gossip] | None:
        """The message for the next direction in which there is any news."""
        for _ in self._partners:
            turn = self._turn
            self._turn = (turn + 1) % len(self._partners)
            records, interim = self._records[turn], self._interim[turn]
            if records or interim:
                message = Gossip(self._wire.pack(records), pack_interim(interim))
                records.clear()
                interim.clear()
                self.num_sent += 1
                return self._partners[turn], message
        return None

    def drop(self, lost: WorkerId) -> None:
        """A worker is gone: tell it nothing more."""
        for place in range(len(self._partners) - 1, -1, -1):
            if self._partners[place] == lost:
                del self._partners[place], self._records[place], self._interim[place]
        self._turn = 0


def _partners(me: WorkerId, members: list[WorkerId]) -> list[WorkerId]:
    place, size = members.index(me), len(members)
    partners: dict[WorkerId, None] = {}
    for bit in range((size - 1).bit_length()):
        flipped = place ^ 1 << bit
        there = flipped if flipped < size else (place + (1 << bit)) % size
        if there != place:
            partners[members[there]] = None
    return list(partners)
