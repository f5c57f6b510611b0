"""A search in virtual time: thousands of workers in one process, each with a speed of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any

from hpctrain.core.events import Done, Reported, WorkerId
from hpctrain.core.topology import Topology, Worker
from hpctrain.runtime.driver import Driver
from hpctrain.runtime.ports import Notebook, NullNotebook
from hpctrain.runtime.simulator import CostModel, Simulator
from hpctrain.searching.algorithm import IslandSearch, SearchState
from hpctrain.searching.messages import (
    AskNumbers,
    Evaluate,
    Evaluation,
    Gossip,
    Interim,
    Migrants,
    Outcome,
)
from hpctrain.searching.settings import SearchSettings

HEADER_BYTES = 64  # of a message, beside the records in it


@dataclass(frozen=True, slots=True)
class Imagined:
    """What an evaluation is imagined to give.

    Attributes:
        losses: one per objective.
        seconds: that it takes.
        steps: (step, value) on the way, evenly spread over the time.
        outcome: failed, if it is to fail.
        cost: that it reports.
    """

    losses: Sequence[float]
    seconds: float
    steps: Sequence[tuple[int, float]] = ()
    outcome: Outcome = "done"
    cost: float = float("nan")


Imagine = Callable[[WorkerId, Evaluate], Imagined]


class VirtualEvaluator:
    """`VirtualWorkplace` of a search."""

    def __init__(self, me: WorkerId, imagine: Imagine, simulator: Simulator) -> None:
        self.driver: Driver[SearchState] | None = None
        self.busy_s = 0.0
        self._me = me
        self._imagine = imagine
        self._simulator = simulator
        self._order: Evaluate | None = None
        self._result: Imagined | None = None
        self._began_s = 0.0
        self._ticket = 0
        self._step = 0

    def steps_done(self) -> int:
        return 0

    def order(self, work: Any) -> None:
        assert isinstance(work, Evaluate)
        self._order, self._result = work, self._imagine(self._me, work)
        self._began_s, self._step = self._simulator.now_s(), 0
        self._wait()

    def cancel(self, reason: str) -> None:
        if self._result is not None and self._step <= len(self._result.steps):
            self._end("cancelled", reason)

    def finish(self, ticket: int) -> None:
        if ticket != self._ticket or self._result is None:
            return
        assert self._order is not None
        assert self.driver is not None
        if self._step <= len(self._result.steps):
            step, value = self._result.steps[self._step - 1]
            order, at = self._order, self._ticket
            self.driver.handle(Reported(Interim(order.number, step, value)))
            if self._order is order and self._ticket == at:
                self._wait()
        else:
            self._end(self._result.outcome, "")

    def _wait(self) -> None:
        """For the next value on the way, or for the end."""
        assert self._result is not None
        self._ticket += 1
        self._step += 1
        part_s = self._result.seconds / (len(self._result.steps) + 1)
        self._simulator.call_back(self._me, self._began_s + self._step * part_s, self._ticket)

    def _end(self, outcome: Outcome, reason: str) -> None:
        assert self._order is not None
        assert self._result is not None
        assert self.driver is not None
        took_s = self._simulator.now_s() - self._began_s
        self.busy_s += took_s
        order, result = self._order, self._result
        self._order = self._result = None
        self._ticket += 1
        losses = tuple(result.losses) if outcome == "done" else ()
        reported = self._step - 1 if outcome == "done" else self._step
        last = result.steps[reported - 1] if 0 < reported <= len(result.steps) else (-1, nan)
        evaluation = Evaluation(order.number, outcome, losses, reason, took_s, result.cost, *last)
        self.driver.handle(Done(evaluation))


@dataclass
class SimulatedSearch:
    """A search that has run in virtual time.

    Attributes:
        seconds: that it took, in virtual time.
        evaluators: of each worker; they know how long it was busy.
        num_messages: between workers, by the kind of message.
    """

    simulator: Simulator
    evaluators: list[VirtualEvaluator]
    num_messages: dict[str, int] = field(default_factory=dict)
    received: list[int] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.simulator.now_s()

    @property
    def states(self) -> Iterable[SearchState]:
        return (driver.state for driver in self.simulator.drivers)

    @property
    def utilisation(self) -> float:
        """The share of all workers' time in which they evaluated."""
        busy_s = sum(evaluator.busy_s for evaluator in self.evaluators)
        return busy_s / (len(self.evaluators) * self.seconds)


def simulate_search(
    settings: SearchSettings,
    topology: Topology,
    imagine: Imagine,
    notebooks: Mapping[WorkerId, Notebook] | None = None,
    latency_s: float = 1e-4,
) -> SimulatedSearch:
    """Run a search in virtual time to its end.

    Args:
        settings: of the search.
        topology: the workers that are imagined.
        imagine: what an evaluation gives, and how long it takes.
        notebooks: where rows go, by worker; without one they are forgotten.
        latency_s: of a message.
    """
    num_workers = len(topology.workers)
    cost = CostModel((0.0,) * num_workers, latency_s=latency_s)
    search = SimulatedSearch(Simulator(num_workers, cost, message_bytes), [])
    search.received = [0] * num_workers
    algorithm = IslandSearch(settings, topology)
    for worker in topology.workers:
        evaluator = VirtualEvaluator(worker.id, imagine, search.simulator)
        mailbox = _Counting(search, worker.id)
        notebook = (notebooks or {}).get(worker.id) or NullNotebook()
        evaluator.driver = Driver(
            algorithm, worker.id, mailbox, evaluator, notebook, search.simulator,
            set_timer=_timer(search.simulator, worker.id),
        )  # fmt: skip
        search.evaluators.append(evaluator)
        search.simulator.add(evaluator.driver, evaluator)
    search.simulator.start()
    search.simulator.run()
    return search


def imagined_topology(num_workers: int, num_islands: int = 1) -> Topology:
    """Workers of one rank, in islands of neighbours."""
    workers = tuple(Worker(i, i * num_islands // num_workers, (i,)) for i in range(num_workers))
    return Topology(workers, tuple(f"island-{i}" for i in range(num_islands)))


def message_bytes(message: Any) -> int:
    """How many bytes travel."""
    match message:
        case Gossip(records, interim):
            return HEADER_BYTES + len(records) + len(interim)
        case Migrants(records):
            return HEADER_BYTES + len(records)
        case AskNumbers():
            return 3 * HEADER_BYTES
        case _:
            return HEADER_BYTES


class _Counting:
    """The mailbox of a simulated worker, which counts what is sent."""

    def __init__(self, search: SimulatedSearch, me: WorkerId) -> None:
        self._search = search
        self._me = me

    def send(self, to: WorkerId, message: Any) -> None:
        kind = type(message).__name__
        counts = self._search.num_messages
        counts[kind] = counts.get(kind, 0) + 1
        self._search.received[to] += 1
        self._search.simulator.post(self._me, to, message)

    def receive(self) -> tuple[WorkerId, Any] | None:
        return None


def _timer(simulator: Simulator, me: WorkerId) -> Callable[[str, float], None]:
    return lambda name, at_s: simulator.set_timer(me, name, at_s)
