"""The mailboxes of one process keep the promises of all mailboxes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Thread
from typing import Any

import numpy as np
import pytest

from hpctrain.core.events import Command, Event, Received
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.memory import MemoryPost
from hpctrain.runtime.ports import NullNotebook
from hpctrain.runtime.simulator import CostModel, Simulator
from tests.mailbox_contract import PROMISES, Mailbox, Promise, keep_in_one_process

Boxes = tuple[Sequence[Mailbox], Callable[[], None]]


class Listener:
    """Keeps what it receives: the simulator delivers to drivers, not to mailboxes."""

    def init(self, me: int) -> deque[tuple[int, Any]]:
        return deque()

    def step(
        self, state: deque[tuple[int, Any]], event: Event, now_s: float
    ) -> tuple[deque[tuple[int, Any]], tuple[Command, ...]]:
        if isinstance(event, Received):
            state.append((event.sender, event.message))
        return state, ()


@dataclass
class SimulatedBox:
    driver: Driver[deque[tuple[int, Any]]]
    send: Callable[[int, Any], None]

    def receive(self) -> tuple[int, Any] | None:
        return self.driver.state.popleft() if self.driver.state else None


def in_memory(num: int) -> Boxes:
    post = MemoryPost(num)
    return [post.mailbox(me) for me in range(num)], lambda: None


def in_virtual_time(num: int, **cost: float) -> Boxes:
    simulator = Simulator(num, CostModel((1.0,) * num, **cost))
    boxes = []
    for me in range(num):
        mailbox = simulator.mailbox(me)
        driver = Driver(Listener(), me, mailbox, None, NullNotebook(), simulator)
        simulator.add(driver, None)
        boxes.append(SimulatedBox(driver, mailbox.send))
    return boxes, lambda: simulator.run() and None


def on_a_slow_network(num: int) -> Boxes:
    return in_virtual_time(num, latency_s=0.5, bandwidth_bytes_per_s=1e4, merge_bytes_per_s=1e3)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.name)
@pytest.mark.parametrize("num_workers", [2, 4])
@pytest.mark.parametrize("make", [in_memory, in_virtual_time, on_a_slow_network])
def test_promises_are_kept(make, num_workers: int, promise: Promise) -> None:
    mailboxes, settle = make(num_workers)
    keep_in_one_process(promise, mailboxes, settle)


def test_a_mailbox_in_memory_serves_several_threads() -> None:
    post = MemoryPost(4)

    def send(me: int) -> None:
        mailbox = post.mailbox(me)
        for number in range(2000):
            mailbox.send(0, number)

    threads = [Thread(target=send, args=(me,)) for me in (1, 2, 3)]
    for thread in threads:
        thread.start()
    box, received = post.mailbox(0), []
    while len(received) < 6000:
        item = box.receive()
        if item is not None:
            received.append(item)
    for thread in threads:
        thread.join()
    for sender in (1, 2, 3):
        assert [number for found, number in received if found == sender] == list(range(2000))
    assert box.receive() is None
    assert box.drained()


def of_bytes(count: int) -> np.ndarray:
    return np.zeros(count, np.uint8)


def network_of(num: int) -> tuple[Simulator, list[tuple[int, float]]]:
    """Links of 100 bytes a second, half a second apart; and (sender, seconds) of all arrivals."""
    arrivals: list[tuple[int, float]] = []

    class Watch(Listener):
        def step(self, state: Any, event: Event, now_s: float) -> Any:
            assert isinstance(event, Received)
            arrivals.append((event.sender, now_s))
            return state, ()

    cost = CostModel((1.0,) * num, latency_s=0.5, bandwidth_bytes_per_s=100.0)
    simulator = Simulator(num, cost)
    for me in range(num):
        driver = Driver(Watch(), me, simulator.mailbox(me), None, NullNotebook(), simulator)
        simulator.add(driver, None)
    return simulator, arrivals


def test_messages_of_several_senders_queue_for_the_link_of_their_receiver() -> None:
    simulator, arrivals = network_of(3)
    simulator.post(0, 2, of_bytes(200))
    simulator.post(1, 2, of_bytes(100))
    simulator.run()
    assert arrivals == [(0, pytest.approx(2.5)), (1, pytest.approx(3.5))]


def test_a_message_does_not_wait_for_one_that_has_not_been_sent_yet() -> None:
    """Worker 0's link is busy for ten seconds; that is no concern of workers 1 and 2."""
    simulator, arrivals = network_of(3)
    simulator.post(0, 1, of_bytes(1000))
    simulator.post(0, 2, of_bytes(100))
    simulator.post(1, 2, of_bytes(100))
    simulator.run()
    assert arrivals == [(1, pytest.approx(1.5)), (0, pytest.approx(10.5)), (0, pytest.approx(11.5))]


def test_messages_take_the_time_of_latency_and_link() -> None:
    simulator, arrivals = network_of(2)
    for _ in range(2):  # one after the other over the same link
        simulator.post(0, 1, of_bytes(400))
    simulator.run()
    assert arrivals == [(0, pytest.approx(4.5)), (0, pytest.approx(8.5))]
    assert (simulator.num_messages, simulator.num_bytes, simulator.bytes_sent) == (2, 800, [800, 0])
