"""Virtual time: thousands of workers in one process, deterministic, with a model of all costs.

A heap of what is going to happen, and nothing else. Every worker has its own driver, exactly the
one that runs on MPI; only mailbox, workplace and clock are virtual. Two things that happen at the
same instant happen in the order in which they were caused.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from hpctrain.core.events import Received, Started, StopRequested, TimerFired, WorkerId
from hpctrain.core.plain import plain
from hpctrain.core.seeds import stream
from hpctrain.runtime.codec import payload_bytes
from hpctrain.runtime.driver import Driver

_REACHES, _MESSAGE, _WORK, _STOP, _TIMER = "reaches", "message", "work", "stop", "timer"


@dataclass(frozen=True, slots=True)
class CostModel:
    """What time is spent on.

    Attributes:
        step_s: seconds of one inner step, per worker.
        jitter: each round is slower or faster by a factor drawn evenly from
            1 - jitter .. 1 + jitter.
        latency_s: of every message between two workers.
        bandwidth_bytes_per_s: of each worker's link, in and out; messages queue for it.
        merge_bytes_per_s: at which a home merges what arrives; its answers wait for it.
        seed: of the jitter.
    """

    step_s: tuple[float, ...]
    jitter: float = 0.0
    latency_s: float = 1e-4
    bandwidth_bytes_per_s: float = 1e9
    merge_bytes_per_s: float = 4e9
    seed: int = 0

    def round_step_s(self, worker: WorkerId, number: int) -> float:
        """Seconds per inner step of `worker` in its round `number`; depends on nothing else."""
        if not self.jitter:
            return self.step_s[worker]
        u = stream(self.seed, worker, f"jitter/{number}") / 2**63
        return self.step_s[worker] * (1.0 + self.jitter * (2.0 * u - 1.0))


class VirtualWorkplace(Protocol):
    """The ranks of a worker in virtual time. They have the simulator call `finish` at the end."""

    def order(self, work: Any) -> None: ...

    def cancel(self, reason: str) -> None: ...

    def finish(self, ticket: int) -> None:
        """The moment asked for with `Simulator.call_back(..., ticket)` has come."""
        ...

    def steps_done(self) -> int: ...


@plain
@dataclass(slots=True)
class SimulatorState:
    """Everything that a simulator must remember besides its drivers and workplaces."""

    now_s: float
    next_number: int
    heap: list[tuple[float, int, str, int, int, Any]]
    out_free_s: list[float]
    in_free_s: list[float]
    merge_free_s: list[float]


class Simulator:
    """Runs one driver per worker in virtual time.

    Use: make it, `add` every worker, `run`. `num_messages`, `num_bytes` and `num_events` count
    what happened.
    """

    def __init__(
        self,
        num_workers: int,
        cost: CostModel,
        message_bytes: Callable[[Any], int] = payload_bytes,
    ) -> None:
        self.cost = cost
        self.state = SimulatorState(
            0.0, 0, [], [0.0] * num_workers, [0.0] * num_workers, [0.0] * num_workers
        )
        self.drivers: list[Driver[Any]] = []
        self.workplaces: list[VirtualWorkplace] = []
        self.num_messages = 0
        self.num_bytes = 0
        self.num_events = 0
        self.bytes_sent = [0] * num_workers
        self._message_bytes = message_bytes
        self._send_from_s = 0.0
        self._num_finished = 0

    def now_s(self) -> float:
        """Virtual seconds since the start."""
        return self.state.now_s

    def mailbox(self, me: WorkerId) -> VirtualMailbox:
        return VirtualMailbox(self, me)

    def add(self, driver: Driver[Any], workplace: VirtualWorkplace) -> None:
        """Add the next worker."""
        self.drivers.append(driver)
        self.workplaces.append(workplace)

    def start(self) -> None:
        """Tell every worker that it has started."""
        for driver in self.drivers:
            driver.handle(Started(), self.state.now_s)
        self._num_finished = sum(driver.finished for driver in self.drivers)

    def run(self, until_s: float = float("inf"), max_events: int | None = None) -> bool:
        """Let time pass until all workers have finished; True if so, False if a limit came first.

        Also True when nothing is left to happen although some have not finished: they wait for
        ever.
        """
        last = None if max_events is None else self.num_events + max_events
        collecting = gc.isenabled()
        gc.disable()  # events make no cycles, and looking for some costs a fifth of the time
        try:
            return self._run(until_s, last)
        finally:
            if collecting:
                gc.enable()

    def _run(self, until_s: float, last: int | None) -> bool:
        heap = self.state.heap
        while True:
            if not heap or self._num_finished == len(self.drivers):
                return True
            at_s = heap[0][0]
            if at_s > until_s or (last is not None and self.num_events >= last):
                return False
            self.state.now_s = self._send_from_s = at_s
            self.num_events += 1
            kind, worker, sender, what = heappop(heap)[2:]
            was_finished = self.drivers[worker].finished
            self._happen(kind, worker, sender, what)
            self._num_finished += self.drivers[worker].finished - was_finished

    def request_stop(self, worker: WorkerId, reason: str, at_s: float) -> None:
        """Let `worker` be asked to leave at a time to come."""
        self._push(at_s, _STOP, worker, worker, reason)

    def call_back(self, worker: WorkerId, at_s: float, ticket: int) -> None:
        """Call `finish(ticket)` of this worker's workplace at `at_s`."""
        self._push(at_s, _WORK, worker, worker, ticket)

    def set_timer(self, worker: WorkerId, name: str, at_s: float) -> None:
        """Let a timer fire; the port of `SetTimer`."""
        self._push(max(at_s, self.state.now_s), _TIMER, worker, worker, name)

    def post(self, sender: WorkerId, to: WorkerId, message: Any) -> None:
        """Send: queue for the sender's link, travel, queue for the receiver's."""
        state, size = self.state, self._message_bytes(message)
        travel_s = size / self.cost.bandwidth_bytes_per_s
        left_s = max(self._send_from_s, state.out_free_s[sender]) + travel_s
        state.out_free_s[sender] = left_s
        self.num_messages += 1
        self.num_bytes += size
        self.bytes_sent[sender] += size
        reaches_s = max(left_s - travel_s + self.cost.latency_s, state.now_s)
        self._push(reaches_s, _REACHES, to, sender, (travel_s, message))

    def restore(self, state: SimulatorState) -> None:
        """Go on from a state that was saved between two calls of `run`."""
        heapify(state.heap)
        self.state = state

    def _push(self, at_s: float, kind: str, worker: int, sender: int, what: Any) -> None:
        heappush(self.state.heap, (at_s, self.state.next_number, kind, worker, sender, what))
        self.state.next_number += 1

    def _happen(self, kind: str, worker: int, sender: int, what: Any) -> None:
        driver = self.drivers[worker]
        if kind == _REACHES:
            self._receive(worker, sender, *what)
        elif kind == _WORK:
            self.workplaces[worker].finish(what)
        elif kind == _MESSAGE:
            self._occupy_home(worker, what)
            driver.handle(Received(sender, what), self.state.now_s)
        elif driver.finished:
            return
        elif kind == _TIMER:
            driver.handle(TimerFired(what), self.state.now_s)
        else:
            driver.handle(StopRequested(what), self.state.now_s)

    def _receive(self, worker: int, sender: int, travel_s: float, message: Any) -> None:
        """A message has reached its receiver's link, and takes its time to come through."""
        arrives_s = max(self.state.now_s, self.state.in_free_s[worker]) + travel_s
        self.state.in_free_s[worker] = arrives_s
        self._push(arrives_s, _MESSAGE, worker, sender, message)

    def _occupy_home(self, worker: int, message: Any) -> None:
        """Merging takes time: what is sent in answer leaves when it is done."""
        busy_s = self._message_bytes(message) / self.cost.merge_bytes_per_s
        free_s = max(self.state.now_s, self.state.merge_free_s[worker]) + busy_s
        self.state.merge_free_s[worker] = self._send_from_s = free_s


class VirtualMailbox:
    """Sends through the simulator; what arrives is delivered by it too."""

    def __init__(self, simulator: Simulator, me: WorkerId) -> None:
        self._simulator = simulator
        self._me = me

    def send(self, to: WorkerId, message: Any) -> None:
        self._simulator.post(self._me, to, message)

    def receive(self) -> tuple[WorkerId, Any] | None:
        return None
