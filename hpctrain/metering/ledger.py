"""The book of one rank: what it used in each phase, region, candidate and round.

Time is cut into slices, from one sample of the host's board to the next: at the first call after a
new sample. A slice's energy is the rank's share between its ends, where E(t) is a straight line
between samples; it is known when the sample after the slice is there. In a slice energy goes by
time. Phases tile every slice, in whole microjoules, so they add up to the rank's share exactly;
candidates, rounds and regions are counted beside them, for as long as they are open.

Nothing here waits, and memory does not grow with time: what is booked is written out every five
seconds, also of what is still open.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from hpctrain.metering.attribution import split
from hpctrain.metering.board import BoardReader
from hpctrain.metering.files import Clock
from hpctrain.metering.shares import COVERED, UNTIL

Scope = Literal["phase", "candidate", "region", "round", "host", "unattributed"]

WRITE_EVERY_NS = 5_000_000_000  # a kill loses that, and about three seconds of looks and polls
SAME_MOMENT_NS = 50_000  # between two clocks that are read one after the other
SAME_MOMENT_TRIES = 4
SHORT_NS = 20_000_000  # candidates and rounds shorter than that share a row


class Key(NamedTuple):
    """What is booked."""

    scope: Scope
    name: str = ""
    number: int = -1


@dataclass(slots=True)
class Entry:
    """What was used since the last entry under the same key.

    Attributes:
        key: what it is about.
        end_ns: end of the last slice in it, on the host's monotonic clock.
        duration_ns: time spent in it.
        covered_ns: ... for which the energy is known.
        used_uj: by component, in the order of the board's layout.
        count: how often it was entered, or how many candidates it holds.
        last: the largest number of them.
    """

    key: Key
    end_ns: int = 0
    duration_ns: int = 0
    covered_ns: int = 0
    used_uj: list[int] = field(default_factory=list)
    count: int = 0
    last: int = -1

    @property
    def energy_uj(self) -> int:
        return sum(self.used_uj)


@dataclass(slots=True)
class _Open:
    """Something that has begun and not ended."""

    key: Key
    since_ns: int
    first_ns: int


@dataclass(slots=True)
class _Numbers:
    """Of short candidates or rounds that share a row."""

    low: int
    high: int = -1
    count: int = 0

    def add(self, number: int) -> None:
        self.low, self.high = min(self.low, number), max(self.high, number)
        self.count += 1


@dataclass(slots=True)
class _Slice:
    """An interval of a rank's time, and how long what was in it lasted."""

    begin_ns: int
    number: int  # of the newest sample when it began
    end_ns: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    others: dict[Key, int] = field(default_factory=dict)


OnEntry = Callable[[Entry], None]
Words = tuple[int, ...]

OTHER = "other"
NUMBERED: tuple[Scope, ...] = ("candidate", "round")


class Ledger:
    """Books for one rank, from the board of its host. Any thread may call."""

    def __init__(
        self,
        board: BoardReader,
        rank: int,
        on_entry: OnEntry,
        first: bool = False,
        clock: Clock = time.monotonic_ns,
    ) -> None:
        """Begin; what the rank has used since the first sample is booked too.

        Args:
            board: of the host.
            rank: one of the board's layout.
            on_entry: told every entry; it must not raise.
            first: the first rank of the host also books what is the whole host's, and nobody's.
            clock: nanoseconds of the host's monotonic clock.
        """
        self._phases: Callable[[], Mapping[str, int]] = dict
        self._phases_before: dict[str, int] = {}
        self._board = board
        self._mine = board.layout.place(rank)
        self._nobody = board.layout.place(None)
        self._all = board.layout.all
        self._first = first
        self._on_entry = on_entry
        self._clock = clock
        self._lock = threading.RLock()
        self._seen = 0
        self._now = _Slice(clock(), 0)
        self._waiting: deque[_Slice] = deque()
        self._at: Words | None = None  # the board's words at the end of the last settled slice
        self._open: dict[int, _Open] = {}
        self._books: dict[Key, Entry] = {}
        self._short: dict[Key, _Numbers] = {}
        self._written_ns = clock()
        self._closed = False

    def follow(self, phases: Callable[[], Mapping[str, int]]) -> None:
        """Book by phases from now on; what is in none of them is booked as "other".

        Args:
            phases: nanoseconds in each since some beginning, up to now.
        """
        with self._lock:
            self._cut()
            self._phases, self._phases_before = phases, dict(phases())

    def poll(self) -> None:
        """Book what has become known; costs next to nothing if nothing has."""
        if self._board.count != self._seen and not self._closed:
            with self._lock:
                self._cut()
                self._settle(final=False)
                if self._clock() - self._written_ns >= WRITE_EVERY_NS:
                    self._write()

    def begin(self, key: Key) -> int:
        """Something begins; returns the name by which it ends."""
        if self._board.count != self._seen:
            self.poll()
        now_ns = self._clock()
        opened = _Open(key, now_ns, now_ns)
        handle = id(opened)
        self._open[handle] = opened
        return handle

    def end(self, handle: int) -> int:
        """What `begin` gave ends, whatever began since. Returns its nanoseconds."""
        now_ns = self._clock()
        with self._lock:
            opened = self._open.pop(handle, None)
            if opened is None:
                return 0
            now_ns = max(now_ns, opened.since_ns)  # a slice may have ended while this one waited
            took_ns = now_ns - opened.first_ns
            key = opened.key
            if took_ns < SHORT_NS and key.scope in NUMBERED:
                key = self._count_short(key)
            else:
                self._book(key).count += 1
            others = self._now.others
            others[key] = others.get(key, 0) + now_ns - opened.since_ns
        if self._board.count != self._seen:
            self.poll()
        return took_ns

    @contextmanager
    def during(self, key: Key) -> Iterator[None]:
        """Book a block."""
        handle = self.begin(key)
        try:
            yield
        finally:
            self.end(handle)

    def close(self) -> None:
        """Book everything up to the last sample, and write it; harmless the second time."""
        with self._lock:
            if self._closed:
                return
            for handle in list(self._open):
                self.end(handle)
            self._closed = True
            self._cut()
            self._settle(final=True)
            self._write()

    # ---- slices ---------------------------------------------------------------------------------

    def _cut(self) -> None:
        """End the slice here and begin the next."""
        now_ns, after = self._now_and_phases()
        self._seen = self._board.count
        ended, self._now = self._now, _Slice(now_ns, self._seen)
        ended.end_ns = now_ns
        for opened in list(self._open.values()):
            took_ns = now_ns - opened.since_ns
            opened.since_ns = now_ns
            ended.others[opened.key] = ended.others.get(opened.key, 0) + took_ns
        for name, until_ns in after.items():
            took_ns = until_ns - self._phases_before.get(name, 0)
            if took_ns > 0:
                ended.phases[name] = took_ns
        self._phases_before = after
        self._waiting.append(ended)

    def _now_and_phases(self) -> tuple[int, dict[str, int]]:
        """Of the same moment; asked again if this thread was put aside in between."""
        for _ in range(SAME_MOMENT_TRIES):
            now_ns, phases = self._clock(), dict(self._phases())
            if self._clock() - now_ns < SAME_MOMENT_NS:
                break
        return now_ns, phases

    def _settle(self, final: bool) -> None:
        """Book the slices whose energy is known by now; `final`: all, and up to the last sample."""
        while self._waiting:
            ended = self._waiting[0]
            last = final and len(self._waiting) == 1
            words = self._last_words() if last else self._words_at(ended, final)
            if words is None:
                return
            self._waiting.popleft()
            begin = self._at or (0,) * len(words)
            self._at = words
            self._book_slice(ended, [b - a for a, b in zip(begin, words, strict=True)])

    def _words_at(self, ended: _Slice, final: bool) -> Words | None:
        """The board's words at the end of a slice; None if they are not known yet."""
        board, time_ns = self._board, ended.end_ns
        low, high = max(1, ended.number, board.oldest_number()), board.count
        newest = board.shares(high)
        if newest is None or newest[UNTIL] < time_ns:
            return self._last_words() if final else None
        while low < high:  # the first sample that is not before the end
            middle = (low + high) // 2
            found = board.shares(middle)
            low, high = (low, middle) if found and found[UNTIL] >= time_ns else (middle + 1, high)
        after, before = board.shares(high), board.shares(high - 1)
        if after is None or before is None:
            return after
        return _between(before, after, time_ns)

    def _last_words(self) -> Words | None:
        board = self._board
        return board.shares(board.count) or board.shares(board.count - 1)

    # ---- booking --------------------------------------------------------------------------------

    def _book_slice(self, ended: _Slice, words: list[int]) -> None:
        mine, nobody, covered_ns = words[self._mine], words[self._nobody], words[COVERED]
        whole_ns = ended.end_ns - ended.begin_ns
        self._book_phases(ended, mine, covered_ns, whole_ns)
        for key, took_ns in ended.others.items():
            part = [amount * took_ns // max(1, whole_ns) for amount in mine]
            covered = covered_ns * took_ns // max(1, whole_ns)
            self._add(key, ended.end_ns, took_ns, covered, part)
        if self._first:
            size = len(nobody)
            host = [sum(words[self._all][place::size]) for place in range(size)]
            self._add(Key("host"), ended.end_ns, whole_ns, covered_ns, host)
            self._add(Key("unattributed"), ended.end_ns, whole_ns, covered_ns, nobody)

    def _book_phases(self, ended: _Slice, mine: list[int], covered_ns: int, whole_ns: int) -> None:
        """Cut a slice among its phases; all of it is booked, by the microjoule."""
        times = dict(ended.phases)
        times[OTHER] = max(0, whole_ns - sum(times.values()))
        weights = list(times.values())
        cut = [split(amount, weights) for amount in mine]
        covered = split(covered_ns, weights)
        for place, (name, took_ns) in enumerate(times.items()):
            part = [amounts[place] for amounts in cut]
            if took_ns or any(part):
                self._add(Key("phase", name), ended.end_ns, took_ns, covered[place], part)

    def _book(self, key: Key) -> Entry:
        entry = self._books.get(key)
        if entry is None:
            entry = self._books[key] = Entry(key, last=key.number)
        return entry

    def _add(
        self, key: Key, end_ns: int, took_ns: int, covered_ns: int, used_uj: list[int]
    ) -> None:
        entry = self._book(key)
        entry.end_ns = end_ns
        entry.duration_ns += took_ns
        entry.covered_ns += covered_ns
        before = entry.used_uj or [0] * len(used_uj)
        entry.used_uj = [a + b for a, b in zip(before, used_uj, strict=True)]

    def _count_short(self, key: Key) -> Key:
        """Count it under the key that all short ones share."""
        shared = Key(key.scope, "short")
        self._short.setdefault(shared, _Numbers(key.number)).add(key.number)
        return shared

    def _write(self) -> None:
        """Hand out all entries; books begin anew."""
        self._written_ns = self._clock()
        books, self._books = self._books, {}
        for key, entry in books.items():
            numbers = self._short.pop(key, None)
            if numbers is not None:
                entry.key, entry.last = Key(key.scope, key.name, numbers.low), numbers.high
                entry.count = numbers.count
            if entry.end_ns:
                self._on_entry(entry)
            else:  # it ended after the last settled slice: its time comes with the next
                self._books[key] = entry


def _between(before: Words, after: Words, time_ns: int) -> Words:
    """All words on the line between two samples, rounded down."""
    part, whole = time_ns - before[UNTIL], after[UNTIL] - before[UNTIL]
    return tuple(a + (b - a) * part // whole for a, b in zip(before, after, strict=True))
