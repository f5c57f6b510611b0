"""What every mailbox promises: order for each pair, nothing lost, nobody waits.

Each promise is told twice over, in two halves that a rank can run on its own: what it sends, and
what it must have received in the end. In one process all halves run in turns; over MPI each rank
runs its own, and keeps receiving until it has everything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hpctrain.core.plain import plain

Received = list[tuple[int, Any]]


class Mailbox(Protocol):
    def send(self, to: int, message: Any) -> None: ...

    def receive(self) -> tuple[int, Any] | None: ...


@plain
@dataclass(frozen=True, slots=True)
class Parcel:
    """A message with everything in it."""

    number: int
    text: str
    arrays: list[Any]
    extra: dict[Any, Any]


@dataclass(frozen=True)
class Promise:
    """One behaviour.

    Attributes:
        send: what worker `me` of `num_workers` sends.
        num_expected: how many messages `me` is to receive.
        check: raises AssertionError unless `received` is as promised.
    """

    name: str
    send: Callable[[Mailbox, int, int], None]
    num_expected: Callable[[int, int], int]
    check: Callable[[Received, int, int], None]


def others(me: int, num_workers: int) -> list[int]:
    return [worker for worker in range(num_workers) if worker != me]


def by_sender(received: Received, sender: int) -> list[Any]:
    return [message for found, message in received if found == sender]


def _send_numbers(mailbox: Mailbox, me: int, num_workers: int) -> None:
    for number in range(200):
        for to in others(me, num_workers):
            mailbox.send(to, number)


def _check_numbers(received: Received, me: int, num_workers: int) -> None:
    for sender in others(me, num_workers):
        assert by_sender(received, sender) == list(range(200))
    assert not by_sender(received, me), "a mailbox brings no messages from oneself"


def _mixed(number: int, sender: int) -> np.ndarray:
    """Small and large by turns: small ones must not overtake."""
    size = 300_000 if number % 3 == 0 else number
    return np.full(size, 1000 * sender + number, np.float32)


def _send_mixed(mailbox: Mailbox, me: int, num_workers: int) -> None:
    for number in range(12):
        for to in others(me, num_workers):
            mailbox.send(to, [number, _mixed(number, me)])


def _check_mixed(received: Received, me: int, num_workers: int) -> None:
    for sender in others(me, num_workers):
        messages = by_sender(received, sender)
        assert [number for number, _ in messages] == list(range(12))
        for number, data in messages:
            np.testing.assert_array_equal(data, _mixed(number, sender))


def _parcel(sender: int) -> Parcel:
    big = np.arange(2_000_000, dtype=np.float32) * (sender + 1)  # 8 MB
    odd = [np.zeros(0, np.float32), np.array(7.5), np.arange(6, dtype=np.int16).reshape(2, 3)]
    return Parcel(sender, "naïve", [big, *odd], {3: (None, True, b"\0"), ("a", 1): 2.5})


def _send_parcels(mailbox: Mailbox, me: int, num_workers: int) -> None:
    for to in others(me, num_workers):
        mailbox.send(to, _parcel(me))


def _check_parcels(received: Received, me: int, num_workers: int) -> None:
    for sender in others(me, num_workers):
        (parcel,) = by_sender(received, sender)
        sent = _parcel(sender)
        assert (parcel.number, parcel.text, parcel.extra) == (sent.number, sent.text, sent.extra)
        for got, expected in zip(parcel.arrays, sent.arrays, strict=True):
            assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
            np.testing.assert_array_equal(got, expected)


def _flood_first(mailbox: Mailbox, me: int, num_workers: int) -> None:
    count = 1 if me == num_workers - 1 else 500
    if me:
        for number in range(count):
            mailbox.send(0, (number, np.zeros(50, np.float32)))


def _check_flood(received: Received, me: int, num_workers: int) -> None:
    for sender in range(1, num_workers):
        count = 1 if sender == num_workers - 1 else 500
        expected = list(range(count)) if me == 0 else []
        assert [number for number, _ in by_sender(received, sender)] == expected


PROMISES = (
    Promise(
        "messages of one sender arrive in order",
        _send_numbers,
        lambda me, num: 200 * (num - 1),
        _check_numbers,
    ),
    Promise(
        "small messages do not overtake large ones",
        _send_mixed,
        lambda me, num: 12 * (num - 1),
        _check_mixed,
    ),
    Promise(
        "arrays of any size, dtype and shape arrive intact",
        _send_parcels,
        lambda me, num: num - 1,
        _check_parcels,
    ),
    Promise(
        "everything arrives, however unequal the senders",
        _flood_first,
        lambda me, num: 0 if me else 500 * (num - 2) + 1,
        _check_flood,
    ),
)


def keep_in_one_process(
    promise: Promise, mailboxes: Sequence[Mailbox], settle: Callable[[], None]
) -> None:
    """All workers in turns. `settle` lets what was sent arrive, where that takes time."""
    num = len(mailboxes)
    received: list[Received] = [[] for _ in mailboxes]
    for me, mailbox in enumerate(mailboxes):
        promise.send(mailbox, me, num)
        for messages, other in zip(received, mailboxes, strict=True):
            _take(other, messages, limit=3)
    settle()
    for me, mailbox in enumerate(mailboxes):
        _take(mailbox, received[me], limit=None)
        assert len(received[me]) == promise.num_expected(me, num)
        promise.check(received[me], me, num)


def keep_as_rank(
    promise: Promise, mailbox: Mailbox, me: int, num: int, give_up: Callable[[], bool]
) -> None:
    """This rank's half; returns when everything is here.

    Raises:
        AssertionError: if `give_up` says so before, or if the promise is broken.
    """
    promise.send(mailbox, me, num)
    received: Received = []
    while len(received) < promise.num_expected(me, num):
        assert not give_up(), f"{promise.name}: {len(received)} messages, then no more"
        _take(mailbox, received, limit=None)
    promise.check(received, me, num)


def _take(mailbox: Mailbox, messages: Received, limit: int | None) -> None:
    while limit is None or limit > 0:
        item = mailbox.receive()
        if item is None:
            return
        messages.append(item)
        limit = None if limit is None else limit - 1
