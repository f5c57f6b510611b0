"""CMA-ES without generations: each worker tells its own distribution what all of them found.

The update is that of the `cmaes` package (Hansen, arXiv 1604.00772), in the unit cube. What is
added lets workers share what they learn although none waits for another:

- A batch of lambda is made of records as they arrive, own ones and those of others. One whose
  distance from the mean is not that of a sample, because another operator made it or it is old,
  teaches nothing about the shape and is left out.
- lambda grows with the number of records that arrive between two candidates of one worker, so that
  the work per candidate does not grow with the number of workers.
- A restart begins where all workers begin it: in turn at the best that is known, with the spread of
  the elites, and at the next point of an even sequence with twice the lambda (IPOP, Auger & Hansen
  2005).
"""

from __future__ import annotations

from collections import deque
from math import inf, log, sqrt
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpctrain.searching.breeding.covariance import update
from hpctrain.searching.breeding.initial import EvenSampling
from hpctrain.searching.breeding.ranking import best_first
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

if TYPE_CHECKING:
    from cmaes import CMA

Array = NDArray[np.float64]

CMA_ES = "cma"  # `made_by`

MOST_RESAMPLED = 8  # then what is out of bounds goes to the bound
MOST_WAITING = 64  # records not yet looked at; of more, the newest
LARGEST_GROWTH = 8  # of lambda
SHELL = 2.0
# the distance of a sample is sqrt(D) within this many standard deviations
SMALLEST_STEP = 1e-7  # of the unit interval: the distribution has converged
LARGEST_RATIO = 1e7  # of the axes' lengths: the distribution has degenerated
SMALLEST_LENGTH = 1e-150  # of an axis, whose inverse can be squared
GRID_STEP = 0.3  # cells that are the least standard deviation: one sample in ten leaves its cell

WINDOW = 5  # batches whose median loss is compared with that of as many, ten batches earlier
CLOSING = 0.9  # of the gap to the best: the distribution is catching up
FIRST_CLAIM, HIGH_CLAIM = 0.5, 0.95


class CovarianceAdaptation:
    """CMA-ES; choices and grids by their unit coordinate.

    Attributes:
        claim: the share of candidates that it asks for in a mix. A distribution pays off late: its
            samples are spread, so that they seldom beat the best while it contracts. So it claims
            much while its first run approaches the best that is known, and nothing otherwise.

    Args:
        space: what is searched.
        sigma: the first standard deviation, as a share of each range.
        num_initial: evaluations that are known before the distribution is used.
        initial: makes the candidates before.
    """

    def __init__(
        self,
        space: Space,
        sigma: float = 0.25,
        num_initial: int = 8,
        initial: Propagator | None = None,
    ) -> None:
        import cmaes  # noqa: F401  # here: other searches need not load it, and this one has it now

        self.space = space
        self.needs = Needs(elites=20, recent=1)
        self.sigma = sigma
        self.num_initial = num_initial
        self.claim = FIRST_CLAIM
        self.num_restarts = 0
        self._even = EvenSampling(space)
        self._initial = initial or self._even
        self._num_own = 0
        self._num_all = 0
        self._new: deque[Record] = deque(maxlen=MOST_WAITING)
        self._run: _Run | None = None

    def breed(
        self, population: Population, number: int, draws: np.random.Generator
    ) -> tuple[Genome, str]:
        if population.num_known < self.num_initial:
            return self._initial.breed(population, number, draws)
        run = self._run or self._first_run()
        if len(self._new) >= run.num_missing:
            run = self._learn(run, population)
        self._run = run
        return self.space.first_valid(lambda: run.sample(draws), draws), CMA_ES

    def observe(self, record: Record, made_by: str) -> None:
        self._num_all += 1
        self._num_own += bool(made_by)
        self._new.append(record)

    def _learn(self, run: _Run, population: Population) -> _Run:
        run.take(list(self._new))
        self._new.clear()
        while run.num_missing <= 0:
            run.tell()
            if not self.num_restarts:
                self.claim = run.claim(population.elites)
            if run.is_done:
                self.num_restarts += 1
                self.claim = 0.0
                return self._next_run(population.elites)
        return run

    def _first_run(self) -> _Run:
        return _Run(self.space, np.full(self.space.num_genes, 0.5), self.sigma, self._size())

    def _next_run(self, elites: list[Record]) -> _Run:
        if self.num_restarts % 2 and elites:
            unit = _units(self.space, elites)
            sigma = min(max(float(np.sqrt(unit.var(axis=0).mean())), 0.01), self.sigma)
            return _Run(self.space, unit[0], sigma, self._size())
        unit = np.array(self.space.to_unit(self._even.at(self.num_restarts)))
        mean = np.where(np.isnan(unit), 0.5, unit)
        return _Run(self.space, mean, self.sigma, self._size() << min(self.num_restarts // 2, 3))

    def _size(self) -> int:
        """Lambda: equation 48 of Hansen, or more if many workers share."""
        least = 4 + int(3 * log(self.space.num_genes))
        arriving = self._num_all / max(self._num_own, 1)
        share = max(0.5, 4.0 / self.space.num_genes)  # few genes need few batches, so large ones do
        return max(least, min(int(share * arriving), LARGEST_GROWTH * least))


class _Run:
    """One distribution from its start to its convergence."""

    def __init__(self, space: Space, mean: Array, sigma: float, size: int) -> None:
        from cmaes import CMA

        self._space = space
        self._size = size
        self._cma: CMA = CMA(mean, sigma, population_size=size, seed=0)
        self._cells = np.array([GRID_STEP / count if count else 0.0 for count in space.counts])
        self._has_grids = bool(self._cells.any())
        self._far = sqrt(space.num_genes) + SHELL
        self._inner = sqrt(space.num_genes) - SHELL
        self._batch: list[tuple[Record, Array]] = []
        self._best = inf
        self._medians: deque[float] = deque(maxlen=3 * WINDOW)
        self._num_fruitless = 0
        self._look()

    @property
    def num_missing(self) -> int:
        """Records that lack to a batch."""
        return self._size - len(self._batch)

    def sample(self, draws: np.random.Generator) -> Genome:
        """A genome of the distribution; out of bounds it is drawn again, then clipped."""
        num_genes = self._space.num_genes
        for _ in range(MOST_RESAMPLED):
            x = self._mean + self._axes @ draws.standard_normal(num_genes)
            if self._has_grids:
                x += self._extra * draws.standard_normal(num_genes)
            unit: list[float] = x.tolist()
            if min(unit) >= 0.0 and max(unit) <= 1.0:
                break
        return self._space.from_unit(unit)

    def take(self, records: list[Record]) -> None:
        """Put those that could be samples into the batch."""
        x = _units(self._space, records, self._mean)
        distance = np.sqrt((((x - self._mean) @ self._to_sphere) ** 2).sum(axis=1)).tolist()
        for record, place, far in zip(records, x, distance, strict=True):
            if record.loss < self._best:
                self._best, self._num_fruitless = record.loss, 0
            if self._inner < far < self._far:
                self._batch.append((record, place))

    def tell(self) -> None:
        """Update the distribution with the next batch; only the order of the losses counts."""
        batch, self._batch = self._batch[: self._size], self._batch[self._size :]
        place = {record.number: x for record, x in batch}
        ordered = best_first([record for record, _ in batch])
        x = np.array([place[record.number] for record in ordered])
        update(self._cma, x, self._rotation, self._lengths)
        self._medians.append(median([record.loss for record in ordered]))
        self._num_fruitless += 1
        self._look()

    @property
    def is_done(self) -> bool:
        """Has it converged, degenerated, or found nothing better for long?"""
        patience = 20 + 60 * self._space.num_genes / self._size
        return not (
            SMALLEST_STEP < self._longest < LARGEST_RATIO * self._shortest
            and self._num_fruitless < patience
        )

    def claim(self, elites: list[Record]) -> float:
        """How much to ask for: much if the samples come closer to the best, or are as good."""
        if len(self._medians) < 3 * WINDOW or not elites or elites[0].more:
            return FIRST_CLAIM
        best, last = elites[0].loss, elites[-1].loss
        medians = list(self._medians)
        before, now = median(medians[:WINDOW]), median(medians[-WINDOW:])
        return HIGH_CLAIM if now <= last or now - best < CLOSING * (before - best) else 0.0

    def _look(self) -> None:
        """The mean, and the axes of the ellipsoid in the units of the cube."""
        self._rotation, self._lengths = rotation, lengths = self._cma._eigen_decomposition()
        lengths = np.maximum(self._cma._sigma * lengths, SMALLEST_LENGTH)
        self._mean: Array = self._cma.mean
        self._axes: Array = rotation * lengths
        self._to_sphere: Array = rotation / lengths
        self._longest, self._shortest = float(lengths.max()), float(lengths.min())
        if self._has_grids:
            lacking = self._cells**2 - (self._axes**2).sum(axis=1)
            self._extra = np.sqrt(np.maximum(lacking, 0.0))


def _units(space: Space, records: list[Record], otherwise: Array | float = 0.5) -> Array:
    """(n, D) unit coordinates; `otherwise` where a gene does not apply."""
    x = space.to_units([record.genome for record in records])
    return np.where(np.isnan(x), otherwise, x) if space.has_conditions else x
