"""The lease office: hands out the numbers of candidates, in blocks, to whoever asks.

The desk of worker 0 holds all numbers that are left. Every island has a desk at its first worker,
which gets blocks from there. A block is what a worker evaluates in a fraction of a second, and at
most in a fraction of the time that is left for all: so long evaluations are leased one by one, a
slow worker holds nobody back, and free ones cost next to no messages. The rules that need the
whole picture (no improvement, cost) are looked at where all tallies come together, at worker 0.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf

from hpctrain.core.events import Command, Send, WorkerId
from hpctrain.searching.messages import (
    AllDone,
    AskNumbers,
    LastWords,
    NoMore,
    Numbers,
    StopSearch,
    Tally,
    Wish,
)
from hpctrain.searching.stop import Stop

Range = tuple[int, int]

FAIR = 4  # a block is at most this fraction of an even share of what is left
CLEARLY = 1.5  # times: durations are only known as a mean of the past
SLOWEST = 1e-6  # of the rate of all: what remains of sums when all others have left
PREPARE = 4  # blocks that the desk of an island asks for ahead of its workers
FREE = 10  # evaluations beside one per worker: so many may cost nothing
COSTS_NOTHING = "no evaluation has reported a cost, so the budget would never be spent"
SPENT = "all evaluations are done"


def reached(target: float) -> str:
    return f"the target of {target:g} is reached"


class Stock:
    """Half-open ranges of numbers, taken from the front."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges = deque(ranges)
        self.size = sum(b - a for a, b in self._ranges)

    def __bool__(self) -> bool:
        return self.size > 0

    def add(self, ranges: Iterable[Range]) -> None:
        for a, b in ranges:
            self._ranges.append((a, b))
            self.size += b - a

    def take(self, count: int) -> tuple[Range, ...]:
        """Up to `count` numbers."""
        taken: list[Range] = []
        count = min(count, self.size)
        self.size -= count
        while count:
            a, b = self._ranges.popleft()
            cut = min(b, a + count)
            taken.append((a, cut))
            count -= cut - a
            if cut < b:
                self._ranges.appendleft((cut, b))
        return tuple(taken)

    def pop(self) -> int:
        """One number."""
        a, b = self._ranges[0]
        if a + 1 < b:
            self._ranges[0] = (a + 1, b)
        else:
            self._ranges.popleft()
        self.size -= 1
        return a


@dataclass(slots=True)
class Child:
    """Who asks at a desk: a worker, or the desk of an island."""

    workers: int  # that it stands for
    idle: int = 0  # of them, that wait for a number
    want: int = 0  # numbers in a good block; 0 as long as that is not known
    mean_s: float = 0.0  # of an evaluation there
    left: bool = False

    @property
    def rate(self) -> float:
        """Evaluations per second; 0 as long as that is not known."""
        return self.workers / self.mean_s if self.mean_s else 0.0


@dataclass(slots=True)
class Desk:
    """One desk; `upstream` is None at worker 0.

    Attributes:
        tally: of all that its children have done; at worker 0, of the whole run.
        granted: numbers that its children got and have not accounted for.
        closed: why nothing more is handed out.
    """

    upstream: WorkerId | None
    children: dict[WorkerId, Child]
    stock: Stock
    stop: Stop
    tally: Tally = field(default_factory=Tally)
    granted: int = 0
    closed: str | None = None
    num_workers: int = field(init=False)
    _unsent: Tally = field(default_factory=Tally)
    _waiting: dict[WorkerId, None] = field(default_factory=dict)
    _requested: int = 0
    _stopped: bool = False
    _cancelled: bool = False
    _rate: float = 0.0  # evaluations per second of all children
    _best_loss: float = inf
    _ended_at_best: int = 0

    def __post_init__(self) -> None:
        self.num_workers = sum(child.workers for child in self.children.values())

    def concerns(self, sender: WorkerId, message: object) -> bool:
        """Is this a message for the desk, and not for the worker who keeps it?"""
        return isinstance(message, AskNumbers | LastWords | Wish) or sender == self.upstream

    def receive(self, sender: WorkerId, message: object) -> Iterator[Command]:
        """Handle a message that concerns this desk."""
        match message:
            case AskNumbers():
                yield from self.ask(sender, message)
            case LastWords():
                yield from self.leave(sender, message)
            case Numbers():
                yield from self.lease(message)
            case NoMore(reason):
                yield from self.run_dry(reason)
            case Wish(reason, cancel) | StopSearch(reason, cancel):
                yield from self.close(reason, cancel)
            case AllDone():
                yield from self.dismiss()
            case _:
                raise TypeError(f"a desk does not know the message {message!r} from {sender}")

    def ask(self, name: WorkerId, message: AskNumbers) -> Iterator[Command]:
        """A child has no numbers left, or few."""
        child = self.children[name]
        child.idle += message.idle
        self._rate -= child.rate
        child.want, child.mean_s = message.want, message.mean_s
        self._rate += child.rate
        self._waiting[name] = None
        yield from self._account(message.done)
        yield from self._serve()

    def lease(self, message: Numbers) -> Iterator[Command]:
        """Numbers came from upstream."""
        self.stock.add(message.ranges)
        self._requested = max(0, self._requested - sum(b - a for a, b in message.ranges))
        yield from self._serve()

    def run_dry(self, reason: str) -> Iterator[Command]:
        """No numbers are left anywhere: whoever waits can go, the others finish what they have."""
        self.closed = self.closed or reason
        yield from self._serve()

    def close(self, reason: str, cancel: bool) -> Iterator[Command]:
        """Stop at once: nobody below begins another candidate."""
        if self._stopped and (self._cancelled or not cancel):
            return  # with a signal to every rank, all of them wish the same
        if not self._stopped:
            self.closed = reason
        self._stopped, self._cancelled = True, cancel
        for name in self.children:
            yield Send(name, StopSearch(reason, cancel))

    def leave(self, name: WorkerId, message: LastWords) -> Iterator[Command]:
        """A child has finished; when all have, say so upstream, or to all."""
        self.children[name].left = True
        self._rate -= self.children[name].rate
        self._waiting.pop(name, None)
        if message.unused and not self._stopped:
            self.closed = None  # there are numbers again, for whoever has time for them
        self.stock.add(message.unused)
        self.granted -= sum(b - a for a, b in message.unused)
        yield from self._account(message.done)
        yield from self._serve()
        if all(child.left for child in self.children.values()):
            if self.upstream is None:
                yield from self.dismiss()
            else:
                unused = self.stock.take(self.stock.size)
                yield Send(self.upstream, LastWords(self._take_unsent(), unused))

    def lost(self, name: WorkerId) -> Iterator[Command]:
        """A child is gone; the number that it was evaluating is done after a resume."""
        if name in self.children and not self.children[name].left:
            yield from self.leave(name, LastWords(Tally()))

    def dismiss(self) -> Iterator[Command]:
        """Nobody waits for anybody any more."""
        for name in self.children:
            yield Send(name, AllDone())

    def _account(self, done: Tally) -> Iterator[Command]:
        self.tally.add(done)
        self._unsent.add(done)
        self.granted -= done.ended
        if self.upstream is None and self.closed is None:
            yield from self._judge()

    def _judge(self) -> Iterator[Command]:
        """The rules that need the whole picture."""
        if self.tally.best_loss < self._best_loss - self.stop.min_delta:
            self._best_loss = self.tally.best_loss
            self._ended_at_best = self.tally.ended
        patience, cost, target = self.stop.patience, self.stop.cost, self.stop.target
        if target is not None and self.tally.best_loss <= target:  # perhaps before a resume
            yield from self.close(reached(target), False)
        elif patience is not None and self.tally.ended - self._ended_at_best >= patience:
            yield from self.close(f"no improvement in {patience} evaluations", False)
        elif cost is not None and self.tally.cost >= cost:
            yield from self.close(f"the budget of {cost:g} is spent", False)
        elif self.stop.energy is not None and self.tally.spent >= self.stop.energy:
            unit = self.stop.energy_unit
            yield from self.close(f"the budget of {self.stop.energy:g} {unit} is spent", False)
        elif cost is not None and self._never_spent():
            yield from self.close(COSTS_NOTHING, False)

    def _never_spent(self) -> bool:
        """Is a budget all that would end the search, and nothing has a cost?"""
        stop, enough = self.stop, self.num_workers + FREE
        only = stop.evaluations is None and stop.hours is None and stop.patience is None
        return only and not self.tally.cost and self.tally.finished > enough

    def _serve(self) -> Iterator[Command]:
        """Give to those who wait what there is."""
        for name in list(self._waiting):
            yield from self._serve_child(name, self.children[name])
        if self.stock and not self._stopped:
            return
        if self.closed is not None:
            yield from self._refuse()
        elif self.upstream is None:
            yield from self.run_dry(SPENT)
        else:
            yield from self._restock(self.upstream)

    def _refuse(self) -> Iterator[Command]:
        """Nothing is left for those who still wait."""
        for name in self._waiting:
            if self.children[name].idle:
                yield Send(name, NoMore(self.closed or SPENT))
        self._waiting.clear()

    def _serve_child(self, name: WorkerId, child: Child) -> Iterator[Command]:
        if self._stopped or not self.stock or self._others_are_sooner(child):
            return
        count = self._block(child)
        if not count and child.idle and self._nothing_fits():
            yield from self.close(self._exceeded(), False)
        if count:
            child.idle -= min(count, child.idle)
            self.granted += count
            yield Send(name, Numbers(self.stock.take(count)))
        if not child.idle:  # who only wanted to be prepared asks again
            del self._waiting[name]

    def _block(self, child: Child) -> int:
        """How many numbers a child gets now: a fair share, or one for each that is idle."""
        if self.stop.cost is not None or self.stop.energy is not None:
            return self._affordable(min(child.idle, self.stock.size))
        return min(self.stock.size, max(min(child.want, self._fair(child)), child.idle))

    def _others_are_sooner(self, child: Child) -> bool:
        """Will the others have finished all that is left before this slow child finished one?"""
        others = self._rate - child.rate
        if not child.mean_s or others <= SLOWEST * self._rate:
            return False
        rest_s = (self.stock.size + self.num_workers - child.workers) / others
        return child.mean_s > CLEARLY * rest_s

    def _fair(self, child: Child) -> int:
        """Numbers that take the child at most a fraction of the time that is left for all."""
        if not child.mean_s or not self.tally.ended:
            return 0
        left_s = self.stock.size * self._mean_s / self.num_workers
        return int(left_s / (FAIR * child.mean_s) * child.workers)

    @property
    def _mean_s(self) -> float:
        return self.tally.mean_s

    @property
    def _budgets(self) -> list[tuple[float, float]]:
        """What may be spent, and what was: of cost, and of energy."""
        stop, tally = self.stop, self.tally
        pairs = ((stop.cost, tally.cost), (stop.energy, tally.spent))
        return [(limit, spent) for limit, spent in pairs if limit is not None]

    def _affordable(self, count: int) -> int:
        """With budgets: what still fits them, with all that is under way."""
        if self.upstream is not None:
            return count
        for limit, spent in self._budgets:
            expected = spent / self.tally.ended if self.tally.ended else 0.0
            if expected:
                count = min(count, int((limit - spent) / expected) - self.granted)
        return max(0, count)

    def _nothing_fits(self) -> bool:
        """Nothing is under way whose end could make room in the budget."""
        return self.upstream is None and bool(self._budgets) and self.granted <= 0

    def _exceeded(self) -> str:
        stop = self.stop
        if stop.energy is None:
            return f"another candidate would exceed {stop.cost:g}"
        used = f"{self.tally.spent:.4g} of {stop.energy:g} {stop.energy_unit} used"
        return f"{used}; another candidate would exceed it"

    def _restock(self, upstream: WorkerId) -> Iterator[Command]:
        """Ask for as many as wait here, and some for those who will come."""
        idle = sum(self.children[name].idle for name in self._waiting) - self._requested
        if idle > 0:
            first = not self._requested
            self._requested += idle
            want = PREPARE * sum(child.want for child in self.children.values()) if first else 0
            ask = AskNumbers(idle, want, self._mean_s, self._take_unsent())
            yield Send(upstream, ask)

    def _take_unsent(self) -> Tally:
        unsent, self._unsent = self._unsent, Tally()
        return unsent
