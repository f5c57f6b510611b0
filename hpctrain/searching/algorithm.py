"""Search across islands as a pure state machine: breed, evaluate, tell, breed the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf, isfinite, isnan

from hpctrain.core.events import (
    Cancel,
    Command,
    Do,
    Done,
    Event,
    Finish,
    Note,
    PeerLost,
    Received,
    Reported,
    Send,
    SetTimer,
    Started,
    StopRequested,
    TimerFired,
    WorkerId,
)
from hpctrain.core.gate import GATE_OPENS
from hpctrain.core.topology import Topology
from hpctrain.searching.desk import Child, Desk, Stock, reached
from hpctrain.searching.fidelity import Rungs
from hpctrain.searching.knowledge import Knowledge
from hpctrain.searching.messages import (
    AllDone,
    AskNumbers,
    Evaluate,
    Evaluation,
    Gossip,
    Interim,
    LastWords,
    Migrants,
    NoMore,
    Numbers,
    StopSearch,
    Tally,
    Wish,
)
from hpctrain.searching.record import Genome, Record, failed_record
from hpctrain.searching.rows import candidate_row, reused_row, worker_row
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.travel import Traveller
from hpctrain.searching.wire import RecordWire, unpack_interim

LEASE_S = 0.2  # a worker's block of numbers lasts about so long
LONGEST_LEASE = 1024
NEWEST = 0.1  # weight of the newest evaluation in the mean of their durations
GOSSIP_EVERY_S = 5e-3  # at most: of evaluations shorter than that, several share a message
EXHAUSTED = "every configuration has been evaluated"


@dataclass(slots=True)
class SearchState:
    """Everything that one worker remembers; bounded, whatever the number of evaluations."""

    me: WorkerId
    island: int
    boss: WorkerId  # whose desk this worker asks
    desk: Desk | None
    knowledge: Knowledge
    rungs: Rungs
    stock: Stock = field(default_factory=Stock)
    phase: str = "waiting"  # for numbers; paused; evaluating; left; finished
    order: Evaluate | None = None
    made_by: str = ""
    began_s: float = 0.0
    mean_s: float = 0.0
    longest_s: float = 0.0
    gossiped_s: float = -inf
    stopping: str | None = None
    verdict: str = ""
    asked: bool = False
    unsent: Tally = field(default_factory=Tally)
    total: Tally = field(default_factory=Tally)


class IslandSearch:
    """`Algorithm` of the search.

    Worker 0 has the numbers of all candidates that are left, and the first worker of every island
    a desk that hands them out (`desk`). What is known spreads by gossip (`knowledge`). There is no
    barrier, and nobody waits for anybody but for numbers.
    """

    def __init__(self, settings: SearchSettings, topology: Topology) -> None:
        self.settings = settings
        self.topology = topology
        space = settings.space
        self._wire = RecordWire(space.num_genes, settings.num_objectives, space.has_conditions)
        self._deadline_s = settings.deadline_s
        self._islands: dict[int, list[WorkerId]] = {}
        for worker in topology.workers:
            self._islands.setdefault(worker.island, []).append(worker.id)

    def init(self, me: WorkerId) -> SearchState:
        island = self.topology.workers[me].island
        members = self._islands[island]
        traveller = Traveller(self.settings.travel, self.topology, island)
        return SearchState(
            me=me,
            island=island,
            boss=members[0],
            desk=self._desk(me, members),
            knowledge=Knowledge(me, members, self.settings, self._wire, traveller),
            rungs=Rungs(self.settings.fidelity),
            longest_s=self.settings.history.tally.mean_s,  # until something is known of this part
        )

    def step(
        self, state: SearchState, event: Event, now_s: float
    ) -> tuple[SearchState, tuple[Command, ...]]:
        return state, tuple(self._commands(state, event, now_s))

    def _commands(self, state: SearchState, event: Event, now_s: float) -> Iterator[Command]:
        match event:
            case Done(Evaluation() as evaluation):
                yield from self._evaluated(state, evaluation, now_s)
            case Received(sender, message):
                yield from self._receive(state, sender, message, now_s)
            case Reported(Interim() as interim):
                yield from self._report(state, interim)
            case Started():
                if state.me == 0 and self._deadline_s < inf:
                    yield SetTimer(self.settings.deadline_reason, self._deadline_s)
                yield from self._go_on(state, now_s)
            case TimerFired(name) if name == GATE_OPENS:
                yield from self._wake(state, now_s)
            case StopRequested(reason) | TimerFired(reason):
                yield Send(0, Wish(reason, True))
            case PeerLost(worker):
                state.knowledge.grapevine.drop(worker)
                if state.desk is not None:
                    yield from state.desk.lost(worker)
            case _:
                raise TypeError(f"a search does not know what to do about {event!r}")

    # ---- messages -------------------------------------------------------------------------------

    def _receive(
        self, state: SearchState, sender: WorkerId, message: object, now_s: float
    ) -> Iterator[Command]:
        match message:
            case Gossip(records, interim):
                state.knowledge.learn(records, sender)
                for value in unpack_interim(interim):
                    if state.rungs.learn(*value):
                        state.knowledge.grapevine.tell_interim(value, sender)
                if state.knowledge.eager:
                    yield from state.knowledge.gossip()
            case Migrants(records):
                state.knowledge.learn(records, None)
            case _ if state.desk is not None and state.desk.concerns(sender, message):
                yield from state.desk.receive(sender, message)
            case Numbers(ranges):
                state.stock.add(ranges)
                state.asked = False
                yield from self._wake(state, now_s)
            case NoMore(reason):
                state.stopping = state.stopping or reason
                yield from self._wake(state, now_s)
            case StopSearch(reason, cancel):
                state.stopping = state.stopping or reason
                if state.phase == "evaluating" and cancel:
                    yield Cancel(reason)
                yield from self._wake(state, now_s)
            case AllDone():
                messages = state.knowledge.grapevine.num_sent
                yield Note("search_worker", worker_row(state.total, state.island, messages))
                state.phase = "finished"
                yield Finish()
            case _:
                raise TypeError(f"a search does not know the message {message!r} from {sender}")

    def _wake(self, state: SearchState, now_s: float) -> Iterator[Command]:
        if state.phase in ("waiting", "paused"):
            yield from self._go_on(state, now_s)

    # ---- one candidate --------------------------------------------------------------------------

    def _go_on(self, state: SearchState, now_s: float) -> Iterator[Command]:
        """Order the next candidate; or wait for numbers, or leave."""
        while True:
            if state.stopping is None and self._too_late(state, now_s):
                state.stopping = self.settings.deadline_reason
            if state.stopping is not None:
                yield from self._leave(state)
                return
            opens_s = self.settings.gate.opens_s(now_s)
            if opens_s is not None:
                yield from self._pause(state, opens_s)
                return
            if not state.stock:
                state.phase = "waiting"
                yield self._ask(state, idle=1)
                return
            number = state.stock.pop()
            genome, state.made_by = state.knowledge.breed(number)
            known = state.knowledge.evaluated_before(genome)
            if known is None:
                break
            yield from self._reuse(state, number, known)
        yield from self._begin(state, number, genome, now_s)

    def _pause(self, state: SearchState, opens_s: float) -> Iterator[Command]:
        """Begin nothing until the gate opens."""
        if state.phase != "paused":
            yield Note("event", {"kind": "pause", "text": self.settings.gate.reason})
        state.phase = "paused"
        yield SetTimer(GATE_OPENS, opens_s)

    def _begin(
        self, state: SearchState, number: int, genome: Genome, now_s: float
    ) -> Iterator[Command]:
        state.phase = "evaluating"
        state.began_s = now_s
        state.verdict = ""
        state.order = Evaluate(number, genome, self.settings.space.decode(genome))
        state.knowledge.begin(number, genome)
        prepare = not state.stock and state.mean_s and not state.asked
        if prepare and self.settings.stop.cost is None and self.settings.stop.energy is None:
            yield self._ask(state, idle=0)
        yield Do(state.order)

    def _evaluated(
        self, state: SearchState, evaluation: Evaluation, now_s: float
    ) -> Iterator[Command]:
        order = state.order
        if order is None or order.number != evaluation.number:
            raise TypeError(f"candidate {evaluation.number} was finished, but {order} was ordered")
        evaluation = self._judged(state, evaluation)
        record = self._record(state, order, evaluation)
        row = candidate_row(
            order, evaluation, record.times, state.island, state.made_by, state.began_s
        )
        yield Note("candidate", row)
        _count(state, record, evaluation)
        if evaluation.outcome != "cancelled":
            state.knowledge.add_own(record, state.made_by)
        target = self.settings.stop.target
        if target is not None and record.loss <= target:
            yield Send(0, Wish(reached(target), False))
        yield from state.knowledge.travel(order.number)
        yield from self._go_on(state, now_s)
        if now_s - state.gossiped_s >= GOSSIP_EVERY_S or state.phase != "evaluating":
            state.gossiped_s = now_s
            yield from state.knowledge.gossip()

    def _judged(self, state: SearchState, evaluation: Evaluation) -> Evaluation:
        """What counts as done, as failed, and as stopped by a rule."""
        if evaluation.outcome == "cancelled" and state.verdict:
            return replace(evaluation, outcome="stopped", reason=state.verdict)
        return with_usable_losses(evaluation, self.settings.num_objectives)

    def _record(self, state: SearchState, order: Evaluate, evaluation: Evaluation) -> Record:
        if evaluation.outcome != "done":
            return failed_record(order.number, order.genome, self.settings.num_objectives)
        loss, *more = evaluation.losses
        return state.knowledge.averaged(Record(loss, order.number, order.genome, tuple(more)))

    def _reuse(self, state: SearchState, number: int, known: Record) -> Iterator[Command]:
        """A candidate that was evaluated before: nothing is paid for twice."""
        done = Tally(reused=1)
        state.unsent.add(done)
        state.total.add(done)
        config = self.settings.space.decode(known.genome)
        yield Note("candidate", reused_row(number, known, config, state.island, state.made_by))
        if state.knowledge.exhausted and state.stopping is None:
            state.stopping = EXHAUSTED
            yield Send(0, Wish(EXHAUSTED, False))

    def _report(self, state: SearchState, interim: Interim) -> Iterator[Command]:
        """A value on the way: should the candidate go on?"""
        number, step, value = interim.number, interim.step, interim.value
        if state.phase != "evaluating" or state.order is None or state.order.number != number:
            return  # of a candidate that has ended: nothing here is about it
        yield Note("candidate_value", {"number": number, "step": step, "value": value})
        if not state.rungs.learn(number, step, value):
            return
        state.knowledge.grapevine.tell_interim((number, step, value))
        yield from state.knowledge.gossip()
        verdict = state.rungs.verdict(step, value)
        if verdict and not state.verdict:
            state.verdict = verdict
            yield Cancel(verdict)

    # ---- numbers --------------------------------------------------------------------------------

    def _ask(self, state: SearchState, idle: int) -> Send:
        want = 0
        if state.mean_s:
            want = min(LONGEST_LEASE, max(1, int(LEASE_S / state.mean_s)))
        unsent, state.unsent = state.unsent, Tally()
        state.asked = True
        return Send(state.boss, AskNumbers(idle, want, state.mean_s, unsent))

    def _leave(self, state: SearchState) -> Iterator[Command]:
        state.phase = "left"
        unsent, state.unsent = state.unsent, Tally()
        yield Send(state.boss, LastWords(unsent, state.stock.take(state.stock.size)))

    def _too_late(self, state: SearchState, now_s: float) -> bool:
        """Would another candidate take longer than there is time?"""
        return now_s + state.longest_s > self._deadline_s

    def _desk(self, me: WorkerId, members: Sequence[WorkerId]) -> Desk | None:
        if me != members[0]:
            return None
        children = {worker: Child(1) for worker in members}
        stop, history = self.settings.stop, self.settings.history
        if me != 0:
            return Desk(0, children, Stock(), stop)
        for others in self._islands.values():
            if others[0] != 0:
                children[others[0]] = Child(len(others))
        stock = Stock(history.left(stop.evaluations))
        return Desk(None, children, stock, stop, replace(history.tally))


def with_usable_losses(evaluation: Evaluation, num_objectives: int) -> Evaluation:
    """It has failed if it is done with another number of losses, or one that is no number."""
    if evaluation.outcome != "done":
        return evaluation
    losses = evaluation.losses
    if len(losses) != num_objectives:
        reason = f"the objective gave {len(losses)} losses instead of {num_objectives}"
        return replace(evaluation, outcome="failed", reason=reason)
    for loss in losses:
        if not isfinite(loss):
            return replace(evaluation, outcome="failed", reason=f"the loss is {loss}")
    return evaluation


def _count(state: SearchState, record: Record, evaluation: Evaluation) -> None:
    took_s, outcome = evaluation.took_s, evaluation.outcome
    state.mean_s += (took_s - state.mean_s) * (NEWEST if state.mean_s else 1.0)
    state.longest_s = max(state.longest_s * (1.0 - NEWEST), took_s)
    cost = 0.0 if isnan(evaluation.cost) else evaluation.cost
    for tally in (state.unsent, state.total):
        tally.count(outcome, took_s, cost, evaluation.spent)
        if record.loss < tally.best_loss:
            tally.best_loss, tally.best_number = record.loss, record.number
