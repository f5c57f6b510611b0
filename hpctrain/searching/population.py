"""What a worker knows of the search, in bounded memory whatever the number of evaluations.

The elite table holds the best there are, `recent` the newest, and `sample` an even sample of all.
A selection that depends only on the best few, such as the default of Propulate, sees in the elite
table what it would see in the whole population.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappush, heapreplace

from hpctrain.searching.pareto import crowding, fronts
from hpctrain.searching.record import Genome, Record

SPREAD = 0x9E3779B97F4A7C15  # 2^64 divided by the golden ratio, as in SplitMix64
WORD = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Needs:
    """How much of the population breeding looks at."""

    elites: int = 20
    recent: int = 0
    sample: int = 0
    pending: bool = False  # candidates that other workers are evaluating

    def __or__(self, other: Needs) -> Needs:
        return Needs(
            max(self.elites, other.elites),
            max(self.recent, other.recent),
            max(self.sample, other.sample),
            self.pending or other.pending,
        )


class Population:
    """The finished evaluations that this worker remembers, and the candidates under way.

    Attributes:
        elites: the best, best first: by loss, or by front and crowding for several objectives.
        recent: the newest, in the order of arrival, unusable ones included.
        pending: genomes that are being evaluated, by number, as far as known here.
        num_known: usable records that were ever added.
    """

    def __init__(self, needs: Needs) -> None:
        self.needs = needs
        self.elites: list[Record] = []
        self.recent: deque[Record] = deque(maxlen=needs.recent)
        self.pending: dict[int, Genome] = {}
        self.num_known = 0
        self._elite_of: dict[Genome, Record] = {}
        self._sample: list[tuple[int, Record]] = []

    @property
    def best(self) -> Record | None:
        return self.elites[0] if self.elites else None

    @property
    def sample(self) -> Iterator[Record]:
        """An even sample of all usable records; which ones depends on their numbers alone."""
        return (record for _, record in self._sample)

    def add(self, record: Record) -> bool:
        """Take in a finished evaluation; True if it has become one of the elite."""
        self.pending.pop(record.number, None)
        if self.needs.recent:
            self.recent.append(record)
        if not record.usable:
            return False
        self.num_known += 1
        if self.needs.sample:
            self._add_to_sample(record)
        return self._add_to_elites(record)

    def remove(self, number: int) -> bool:
        """Forget an elite, because it has moved to another island."""
        for place, record in enumerate(self.elites):
            if record.number == number:
                del self.elites[place], self._elite_of[record.genome]
                return True
        return False

    def _add_to_elites(self, record: Record) -> bool:
        known = self._elite_of.get(record.genome)
        if known is not None:
            if (record.times, -record.loss) <= (known.times, -known.loss):
                return False
            self.remove(known.number)
        elif len(self.elites) >= self.needs.elites and not record.more:
            if record > self.elites[-1]:
                return False
            del self._elite_of[self.elites.pop().genome]
        insort(self.elites, record)
        self._elite_of[record.genome] = record
        if record.more:
            return self._sort_by_fronts(record)
        return True

    def _sort_by_fronts(self, record: Record) -> bool:
        """Non-dominated sorting, then crowding (NSGA-II, Deb et al. 2002, section III)."""
        by_front: list[Record] = []
        for front in fronts(self.elites):
            apart = crowding(front)
            order = sorted(range(len(front)), key=lambda i: (-apart[i], front[i].number))
            by_front += [front[i] for i in order]
        for worst in by_front[self.needs.elites :]:
            del self._elite_of[worst.genome]
        self.elites = by_front[: self.needs.elites]
        return record.genome in self._elite_of

    def _add_to_sample(self, record: Record) -> None:
        """Keep the records whose numbers hash lowest: an even sample, whatever the order."""
        item = (-_hash(record.number), record)
        if len(self._sample) < self.needs.sample:
            heappush(self._sample, item)
        elif item > self._sample[0]:
            heapreplace(self._sample, item)


def _hash(number: int) -> int:
    """The mixing function of SplitMix64."""
    x = (number + 1) * SPREAD & WORD
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & WORD
    x = (x ^ x >> 27) * 0x94D049BB133111EB & WORD
    return x ^ x >> 31
