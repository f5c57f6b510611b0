"""Records as bytes: 16 of them travel in one small message without any header of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan
from struct import Struct

from hpctrain.searching.record import INACTIVE, Record

PENDING, GONE = 0, -1  # in place of `times`: being evaluated; moved to another island

Interims = tuple[int, int, float]
"""(number, step, value)."""

_INTERIM = Struct("<qqd")


class RecordWire:
    """Packs records of one space and one number of objectives."""

    def __init__(self, num_genes: int, num_objectives: int, has_inactive: bool) -> None:
        self._genes = slice(3, 3 + num_genes)
        self._more = slice(3 + num_genes, None)
        self._format = Struct(f"<dqi{num_genes + num_objectives - 1}d")
        self._has_inactive = has_inactive

    def pack(self, records: Iterable[Record]) -> bytes:
        pack = self._format.pack
        return b"".join(
            [
                pack(loss, number, times, *genome, *more)
                for loss, number, genome, more, times in records
            ]
        )

    def unpack(self, data: bytes) -> Iterator[Record]:
        for item in self._format.iter_unpack(data):
            genome = item[self._genes]
            if self._has_inactive:
                genome = tuple(INACTIVE if isnan(gene) else gene for gene in genome)
            yield Record(item[0], item[1], genome, item[self._more], item[2])


def pack_interim(values: Iterable[Interims]) -> bytes:
    return b"".join([_INTERIM.pack(*value) for value in values])


def unpack_interim(data: bytes) -> Iterator[Interims]:
    yield from _INTERIM.iter_unpack(data)
