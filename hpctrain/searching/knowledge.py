"""What one worker knows: it breeds from it, and passes on what is news. Bounded in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf

from hpctrain.core.events import Send, WorkerId
from hpctrain.searching.draws import TRAVEL, Draws
from hpctrain.searching.gossip import Grapevine
from hpctrain.searching.memory import Memory, averaged
from hpctrain.searching.messages import Migrants
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.travel import Traveller
from hpctrain.searching.wire import GONE, PENDING, RecordWire

TRIES = 20  # to breed a candidate that was not evaluated yet
SMALL_SPACE = 10_000  # configurations: everyone hears of all evaluations, so none is done twice
FEW_WORKERS = 64  # in a small space so many tell each other everything at once
MOST_GONE = 1024
MOST_HEARD = 4096


class Knowledge:
    """Population, propagator and memory of one worker, and its part in the gossip.

    With propagators that look at more than the elite, or in a small space, all evaluations are
    passed on; otherwise only those that become elite, which get ever fewer.

    Attributes:
        found: the best that this worker has evaluated, where the population's own may move away:
            who is on the way to another island when the search ends is in nobody's population.
    """

    def __init__(
        self,
        me: WorkerId,
        members: Iterable[WorkerId],
        settings: SearchSettings,
        wire: RecordWire,
        traveller: Traveller,
    ) -> None:
        self.propagator = settings.make_propagator()
        self.needs: Needs = self.propagator.needs
        self.population = Population(self.needs)
        self.found = Population(Needs(self.needs.elites)) if _moves(settings, traveller) else None
        self.memory = Memory()
        self.traveller = traveller
        self._settings = settings
        self._wire = wire
        self._draws = Draws(settings.seed)
        small = _is_small(settings)
        members = list(members)
        self.grapevine = Grapevine(me, members, wire)
        self.eager = small and len(members) <= FEW_WORKERS
        self._tell_pending = self.needs.pending or small
        self._tell_all = bool(self.needs.recent or self.needs.sample or self._tell_pending)
        self._gone: dict[int, None] = {}
        self._heard: dict[int, None] = {}
        for record in settings.history.records:
            self.population.add(record)
            if self.found is not None:
                self.found.add(record)
            self.memory.remember(record)
            self.propagator.observe(record, "")

    @property
    def best(self) -> Sequence[Record]:
        """The best first, those included that have moved to another island."""
        return (self.found or self.population).elites

    @property
    def exhausted(self) -> bool:
        """Has every configuration been evaluated, as far as known here?"""
        size = self._settings.space.num_allowed(SMALL_SPACE)
        return size is not None and len(self.memory) >= size

    def breed(self, number: int) -> tuple[Genome, str]:
        """A candidate that was not evaluated before, if one is found in a few tries."""
        given = self._settings.given
        if number < len(given):
            return given[number], "given"
        anything = self._settings.duplicates != "reuse"
        underway = set(self.population.pending.values()) if self._tell_pending else ()
        for attempt in range(TRIES):
            draws = self._draws.at(number, attempt)
            genome, made_by = self.propagator.breed(self.population, number, draws)
            if anything or (genome not in self.memory and genome not in underway):
                return genome, made_by
        for attempt in range(TRIES, 10 * TRIES if _is_small(self._settings) else TRIES):
            genome = self._settings.space.sample(self._draws.at(number, attempt))
            if genome not in self.memory and genome not in underway:
                return genome, "random"
        return genome, made_by

    def evaluated_before(self, genome: Genome) -> Record | None:
        """The record of `genome`, if it is not to be paid for twice."""
        return self.memory.get(genome) if self._settings.duplicates == "reuse" else None

    def averaged(self, record: Record) -> Record:
        """With noisy objectives: the mean over all evaluations of the genome."""
        if self._settings.duplicates != "average":
            return record
        known = self.memory.get(record.genome)
        return averaged(known, record) if known is not None and known.usable else record

    def add_own(self, record: Record, made_by: str) -> None:
        """This worker has evaluated a candidate."""
        if self.found is not None:
            self.found.add(record)
        if self._take_in(record, made_by):
            self.grapevine.tell(record)

    def begin(self, number: int, genome: Genome) -> None:
        """This worker begins to evaluate a candidate: some propagators want to know."""
        if self._tell_pending:
            more = (inf,) * (self._settings.num_objectives - 1)
            self.grapevine.tell(Record(inf, number, genome, more, PENDING))

    def learn(self, records: bytes, sender: WorkerId | None) -> None:
        """News of another worker; it is passed on if it is news here too.

        Args:
            records: packed.
            sender: who sent it along the hypercube; None if it came from another island.
        """
        for record in self._wire.unpack(records):
            if record.times == PENDING:
                self._learn_pending(record, sender)
            elif record.times == GONE:
                if self.population.remove(record.number):
                    self._bury(record, sender)
            elif record.number not in self._gone and self._take_in(record, ""):
                self.grapevine.tell(record, sender)

    def gossip(self) -> Iterator[Send]:
        """At most one message of news; if eager, all there is."""
        while (news := self.grapevine.next()) is not None:
            yield Send(*news)
            if not self.eager:
                return

    def travel(self, number: int) -> Iterator[Send]:
        """Candidates that go to other islands after evaluation `number`."""
        if self.traveller.stays:
            return
        draws = self._draws.at(number, 0, TRAVEL)
        departures = list(self.traveller.departures(self.population.elites, draws))
        for host, records in departures:
            yield Send(host, Migrants(self._wire.pack(records)))
        if self._settings.travel.moves:
            for record in {
                record.number: record for _, some in departures for record in some
            }.values():
                self.population.remove(record.number)
                self._bury(record, None)

    def _learn_pending(self, record: Record, sender: WorkerId | None) -> None:
        pending = self.population.pending
        if record.number in self._heard or record.number in pending:
            return
        pending[record.number] = record.genome
        if len(pending) > MOST_GONE:
            del pending[next(iter(pending))]
        self.grapevine.tell(record, sender)

    def _take_in(self, record: Record, made_by: str) -> bool:
        """Learn of a finished evaluation; True if it is to be passed on."""
        if self._tell_all:
            if record.number in self._heard:
                return False
            _keep(self._heard, record.number, MOST_HEARD)
        news = self.population.add(record) or self._tell_all
        if news or made_by:
            self.memory.remember(record)
            self.propagator.observe(record, made_by)
        return news

    def _bury(self, record: Record, sender: WorkerId | None) -> None:
        _keep(self._gone, record.number, MOST_GONE)
        self.grapevine.tell(record._replace(times=GONE), sender)


def _keep(numbers: dict[int, None], number: int, at_most: int) -> None:
    numbers[number] = None
    if len(numbers) > at_most:
        del numbers[next(iter(numbers))]


def _moves(settings: SearchSettings, traveller: Traveller) -> bool:
    return settings.travel.moves and not traveller.stays


def _is_small(settings: SearchSettings) -> bool:
    """Is the space so small that everyone should know what all others evaluate?"""
    size = settings.space.size
    return size is not None and size <= SMALL_SPACE and settings.duplicates == "reuse"
