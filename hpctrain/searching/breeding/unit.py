"""Steps within the unit interval, and which genes they are for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hpctrain.searching.record import Genome
from hpctrain.searching.space import Space

STOPS = 0.25  # share of the steps beyond an end that stop at the end


def reflect(u: float) -> float:
    """A number folded back into 0..1 at the ends, so that no mass gathers there."""
    u = abs(u) % 2.0
    return 2.0 - u if u > 1.0 else u


def filled(unit: Sequence[float], draws: np.random.Generator) -> list[float]:
    """Unit coordinates with draws in the place of genes that do not apply."""
    return [u if u == u else draws.random() for u in unit]


def other_option(index: float, count: int, u: float) -> float:
    """One of the other options of a choice, each as likely, by `u` in 0..1; itself if alone."""
    if count < 2:
        return index
    other = float(int(u * (count - 1)))
    return other + 1.0 if other >= index else other


def crossed(
    mother: Sequence[float], father: Sequence[float], sides: Sequence[float]
) -> list[float]:
    """Uniform crossover: each gene of one of the two, by `sides` in 0..1."""
    return [x if side < 0.5 else y for x, y, side in zip(mother, father, sides, strict=True)]


class Steps:
    """Changes of single genes, each in the manner of its kind."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.counts = space.counts
        self.categorical = space.categorical
        self.numeric = [i for i, is_choice in enumerate(space.categorical) if not is_choice]
        # A step on a grid that is shorter than its cells would hardly ever leave one.
        self._least = [1.0 / (count or 10**18) for count in space.counts]

    def moved(self, i: int, x: float, step: float, u: float) -> float:
        """Gene `i` moved by `step` of its range, or another option (`u` in 0..1 says which).

        A step on a grid is at least one cell long. A step beyond an end of the range stops there or
        is folded back, as `u` says: the best is often found at an end.
        """
        if self.categorical[i]:
            return other_option(x, self.counts[i] or 1, u)
        if -self._least[i] < step < self._least[i]:
            step = self._least[i] if step > 0 else -self._least[i]
        scale = self.space.scales[i]
        to = scale.to_unit(x) + step
        return scale.from_unit(to if u < STOPS else reflect(to))

    def drawn(self, i: int, x: float, u: float) -> float:
        """Gene `i` anew; a choice never stays what it was."""
        if self.categorical[i]:
            return other_option(x, self.counts[i] or 1, u)
        return self.space.scales[i].from_unit(u)

    def finish(self, genes: list[float], draws: np.random.Generator) -> Genome:
        """The genome of changed genes: those that newly apply are drawn."""
        if self.space.has_conditions:
            return self.space.repair(genes, draws)
        return tuple(genes)
