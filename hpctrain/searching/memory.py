"""Which candidates were evaluated already: nothing is paid for twice."""

from __future__ import annotations

from typing import Literal

from hpctrain.searching.record import Genome, Record

Duplicates = Literal["reuse", "average", "reevaluate"]

MOST_GENOMES = 10_000


class Memory:
    """The last `MOST_GENOMES` genomes and what became of them; unusable ones too."""

    def __init__(self) -> None:
        self._records: dict[Genome, Record] = {}

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, genome: Genome) -> bool:
        return genome in self._records

    def get(self, genome: Genome) -> Record | None:
        return self._records.get(genome)

    def remember(self, record: Record) -> None:
        """The newest stays longest; of two records of a genome the one of more evaluations."""
        known = self._records.get(record.genome)
        if known is not None and known.times > record.times:
            return
        self._records[record.genome] = record
        if len(self._records) > MOST_GENOMES:
            del self._records[next(iter(self._records))]


def averaged(known: Record, new: Record) -> Record:
    """One more evaluation of a genome: the mean of all."""
    times = known.times + new.times
    share = new.times / times
    mean = [a + (b - a) * share for a, b in zip(known.losses, new.losses, strict=True)]
    return Record(mean[0], new.number, new.genome, tuple(mean[1:]), times)
