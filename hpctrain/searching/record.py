"""One finished evaluation, as workers tell each other about it."""

from __future__ import annotations

from math import inf, isfinite, nan
from typing import NamedTuple

Genome = tuple[float, ...]
"""One number per parameter, in the order of the space; `INACTIVE` where it does not apply."""

INACTIVE = nan
"""The one NaN that stands in genomes: being one object, it is equal to itself in a tuple."""


class Record(NamedTuple):
    """Ordered by loss, then by number; lower losses are better.

    Attributes:
        loss: the first objective; `inf` if the evaluation failed.
        number: of the candidate, from 0, unique in the run.
        genome: what was evaluated.
        more: the further objectives, if there are any.
        times: evaluations of this genome that the losses are the mean of.
    """

    loss: float
    number: int
    genome: Genome
    more: tuple[float, ...] = ()
    times: int = 1

    @property
    def losses(self) -> tuple[float, ...]:
        return (self.loss, *self.more)

    @property
    def usable(self) -> bool:
        """May it be bred from?"""
        return isfinite(self.loss) and (not self.more or all(map(isfinite, self.more)))


def failed_record(number: int, genome: Genome, num_objectives: int = 1) -> Record:
    """The record of an evaluation that gave no usable loss: the penalty is infinite."""
    return Record(inf, number, genome, (inf,) * (num_objectives - 1))
