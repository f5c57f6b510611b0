"""What a search already knows when it starts: earlier parts of the run, and other runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hpctrain.searching.messages import Tally
from hpctrain.searching.record import Record

ENDLESS = 1 << 53  # candidates of a search that ends by another rule


@dataclass(frozen=True, slots=True)
class History:
    """Attributes of the past.

    Attributes:
        records: finished evaluations to breed from, in the order in which they ended.
        ended: the numbers of this run that need not be evaluated again, as sorted disjoint
            half-open ranges.
        tally: what earlier parts of this run did.
    """

    records: tuple[Record, ...] = ()
    ended: tuple[tuple[int, int], ...] = ()
    tally: Tally = field(default_factory=Tally)

    def left(self, evaluations: int | None) -> list[tuple[int, int]]:
        """The numbers that remain: those which were lost first."""
        end, begin, left = ENDLESS if evaluations is None else evaluations, 0, []
        for a, b in self.ended:
            if begin < min(a, end):
                left.append((begin, min(a, end)))
            begin = b
        if begin < end:
            left.append((begin, end))
        return left


def ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """`numbers` as sorted disjoint half-open ranges."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if ranges and ranges[-1][1] == number:
            ranges[-1] = (ranges[-1][0], number + 1)
        else:
            ranges.append((number, number + 1))
    return tuple(ranges)
