"""The driver: tells the algorithm what has happened and carries out its answers. It never waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from hpctrain.core.algorithm import Algorithm
from hpctrain.core.events import (
    Cancel,
    Command,
    Do,
    Event,
    Finish,
    Note,
    Received,
    Send,
    SetTimer,
    StopRequested,
    TimerFired,
    WorkerId,
)
from hpctrain.runtime.ports import Clock, Mailbox, Notebook, Workplace
from hpctrain.runtime.recording import CARRIED_OUT, Entry, Journal, Score, entry_of
from hpctrain.runtime.snapshot import AskStop, Mark, Saved, Snapshots

State = TypeVar("State")


class Driver(Generic[State]):
    """One worker's algorithm, between its mailbox, its ranks and its notebook.

    Args:
        algorithm: the state machine.
        me: this worker.
        mailbox, workplace, notebook, clock: its world.
        steps_done: inner steps this worker has completed, for recordings.
        journal: where the order of events is recorded, if at all.
        full: record results of work too.
        score: a recording to follow: nothing is handled before its turn.
        set_timer: who keeps timers; None: the driver itself, against the clock, at each `pump`.
    """

    def __init__(
        self,
        algorithm: Algorithm[State],
        me: WorkerId,
        mailbox: Mailbox,
        workplace: Workplace,
        notebook: Notebook,
        clock: Clock,
        steps_done: Callable[[], int] = lambda: 0,
        journal: Journal | None = None,
        full: bool = False,
        score: Score | None = None,
        set_timer: Callable[[str, float], None] | None = None,
    ) -> None:
        self.state = algorithm.init(me)
        self.finished = False
        self.num_handled = 0  # events so far
        self.timers: dict[str, float] = {}
        self.snapshots: Snapshots | None = None
        self._algorithm = algorithm
        self._me = me
        self._mailbox = mailbox
        self._workplace = workplace
        self._notebook = notebook
        self._clock = clock
        self._steps_done = steps_done
        self._journal = journal
        self._full = full
        self._score = score
        self._set_timer = set_timer or self.timers.__setitem__
        self._events: deque[Event] = deque()
        self._orders: deque[Do | Cancel] = deque()
        self._handling = False
        self._held: deque[tuple[WorkerId, Any]] = deque()  # control messages wait for a pause
        self._parked: dict[WorkerId, deque[Any]] = {}  # messages ahead of the recording
        self._stopped_by: str | None = None  # in spite of the recording, which may not know

    def handle(self, event: Event, now_s: float | None = None) -> None:
        """Let the algorithm answer `event`, and carry the answer out.

        Messages to oneself come first, then orders to the workplace: so a recording has them in
        the same order wherever it was made.
        """
        self._events.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._events or self._orders:
                if self._events:
                    self._step(self._events.popleft(), now_s)
                else:
                    self._order(self._orders.popleft())
        finally:
            self._handling = False

    def stop(self, reason: str) -> None:
        """This worker's loop has ended. A recording that is followed knows by itself when."""
        if self._score:
            self._stopped_by = reason
        else:
            self.handle(StopRequested(reason))

    def pump(self, at_pause: bool = True) -> None:
        """Handle every message that has arrived and every timer that is due; return at once.

        Args:
            at_pause: no inner step is in progress, so this worker's state may be saved. A service
                thread says False; then a mark of a snapshot, and all that follows it, is left for
                the next pause.
        """
        self._leave_the_recording()
        while (item := self._next_message(at_pause)) is not None:
            sender, message = item
            if isinstance(message, (Mark, AskStop, Saved)):
                if self.snapshots is not None:
                    self.snapshots.control(sender, message)
                continue
            if self.snapshots is not None:
                self.snapshots.observe(sender, message)
                if self.snapshots.frozen:
                    continue
            self._deliver(sender, message)
        self._fire_timers()

    def caught_up(self) -> bool:
        """Following a recording: has all happened that belongs before the next inner step?"""
        if self._score is None:
            return True
        entry = self._score.due(self._steps_done())
        return entry is None or entry.kind == "Done"

    def may_finish_work(self) -> bool:
        """Following a recording: is it the turn of the result of work?"""
        if not self._score:
            return True
        entry = self._score.due(self._steps_done())
        return entry is not None and entry.kind == "Done"

    def may_carry_out(self) -> bool:
        """Following a recording: is it the turn of an order?"""
        if not self._score:
            return True
        entry = self._score.due(self._steps_done())
        return entry is not None and entry.kind == CARRIED_OUT

    def carried_out(self) -> None:
        """An order was carried out: for the recording."""
        if self._score:
            self._score.play(CARRIED_OUT)
        if self._journal is not None:
            self._journal.write(Entry(self._clock.now_s(), self._steps_done(), CARRIED_OUT))

    def close_journal(self) -> None:
        """Finish the recording, if there is one."""
        if self._journal is not None:
            self._journal.close()

    def _next_message(self, at_pause: bool) -> tuple[WorkerId, Any] | None:
        if self._held:
            return self._held.popleft() if at_pause else None
        item = self._mailbox.receive()
        if item is not None and not at_pause and isinstance(item[1], (Mark, AskStop, Saved)):
            self._held.append(item)
            return None
        return item

    def _deliver(self, sender: WorkerId, message: Any) -> None:
        if self._score:
            self._parked.setdefault(sender, deque()).append(message)
            self._follow(self._score)
        else:
            self._leave_the_recording()
            self.handle(Received(sender, message))

    def _fire_timers(self) -> None:
        if self._score:
            self._follow(self._score)
            return
        frozen = self.snapshots is not None and self.snapshots.frozen
        if not self.timers or self.finished or frozen:
            return
        now_s = self._clock.now_s()
        for name in [name for name, at_s in self.timers.items() if at_s <= now_s]:
            del self.timers[name]
            self.handle(TimerFired(name))

    def _leave_the_recording(self) -> None:
        """After its last entry the run goes on freely; it may be of a run that was killed."""
        if self._score:
            return
        parked, self._parked = self._parked, {}
        for sender, messages in parked.items():
            for message in messages:
                self.handle(Received(sender, message))
        if self._stopped_by is not None:
            reason, self._stopped_by = self._stopped_by, None
            self.handle(StopRequested(reason))

    def _follow(self, score: Score) -> None:
        """Handle what is due and has arrived; a result or an order has its own door."""
        while (entry := score.due(self._steps_done())) is not None:
            if entry.kind in ("Done", CARRIED_OUT, "Started"):
                return
            if entry.kind != "Received":
                self._forget_timer(entry.event)
                self.handle(entry.event)
            elif entry.sender != self._me:
                if not self._parked.get(entry.sender):
                    return
                self.handle(Received(entry.sender, self._parked[entry.sender].popleft()))
            else:
                return

    def _forget_timer(self, event: Event) -> None:
        if isinstance(event, TimerFired):
            self.timers.pop(event.name, None)

    def _step(self, event: Event, now_s: float | None) -> None:
        self.num_handled += 1
        if now_s is None:
            now_s = self._clock.now_s()
        if self._score:
            now_s = self._score.play(type(event).__name__).now_s
        if self._journal is not None:
            self._journal.write(entry_of(event, now_s, self._steps_done(), full=self._full))
        self.state, commands = self._algorithm.step(self.state, event, now_s)
        for command in commands:
            self._carry_out(command, now_s)

    def _order(self, command: Do | Cancel) -> None:
        match command:
            case Do(work):
                self._workplace.order(work)
            case Cancel(reason):
                self._workplace.cancel(reason)

    def _carry_out(self, command: Command, now_s: float) -> None:
        match command:
            case Send(to, message):
                if to == self._me:
                    self._events.append(Received(to, message))
                else:
                    self._mailbox.send(to, message)
            case Do() | Cancel():
                self._orders.append(command)
            case Note(kind, fields):
                self._notebook.note(kind, {"time_s": now_s, "worker": self._me, **fields})
            case SetTimer(name, at_s):
                self._set_timer(name, at_s)
            case Finish():
                self.finished = True
