"""Between our spaces and genomes and the limits and individuals of the `propulate` package.

Importing this module imports propulate, which starts MPI.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from propulate.population import Individual

from hpctrain.errors import ConfigError
from hpctrain.searching.parameters import Choice, Float, Int
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.space import Space

Limits = dict[str, tuple[Any, ...]]

UNIT = (0.0, 1.0)


class SoundIndividual(Individual):  # type: ignore[misc]  # propulate has no types
    """An individual whose categories can be changed.

    In propulate 1.2.2 `Individual.__setitem__` clears the wrong places of the one-hot code, so that
    a mutated category reads as the old one.
    """

    def __setitem__(self, key: str, value: Any) -> None:
        if not key.startswith("_") and isinstance(self.limits.get(key, (0,))[0], str):
            begin = self.offsets[key]
            self.position[begin : begin + len(self.limits[key])] = 0.0
        super().__setitem__(key, value)


class Translation:
    """Genomes of one space to individuals and back.

    Floats and whole numbers keep their bounds; what propulate does not have (log scales, grids) is
    given to it as a number from 0 to 1. Categories are given as texts.

    Attributes:
        limits: the space in propulate's form.
    """

    def __init__(self, space: Space) -> None:
        if space.has_conditions:
            raise ConfigError(
                "search.space: propulate has no conditional parameters; leave out `when`, or use "
                "another propagator"
            )
        self._space = space
        self._plain = [_keeps_its_bounds(gene) for gene in space.genes]
        self.limits: Limits = {
            name: _limits(gene) for name, gene in zip(space.names, space.genes, strict=True)
        }

    def individual(self, record: Record, rank: int) -> SoundIndividual:
        """The individual of a finished evaluation."""
        found = SoundIndividual(self._position(record.genome), self.limits, rank=rank)
        found.loss = record.loss
        found.generation = record.number
        return found

    def genome(self, individual: Individual) -> Genome:
        """The genome nearest to an individual: upstream operators may leave the bounds."""
        unit = []
        position, offset = individual.position, 0
        for name, gene, plain in zip(
            self._space.names, self._space.genes, self._plain, strict=True
        ):
            width = len(self.limits[name]) if isinstance(gene, Choice) else 1
            part = position[offset : offset + width]
            offset += width
            unit.append(_to_unit(gene, plain, part))
        return self._space.from_unit(unit)

    def config(self, individual: Individual) -> Mapping[str, Any]:
        """What the objective sees of an individual."""
        return self._space.decode(self.genome(individual))

    def _position(self, genome: Genome) -> Any:
        parts: list[float] = []
        unit = self._space.to_unit(genome)
        for x, u, gene, plain in zip(genome, unit, self._space.genes, self._plain, strict=True):
            if isinstance(gene, Choice):
                parts += [float(i == int(x)) for i in range(len(gene.options))]
            else:
                parts.append(x if plain else u)
        return np.array(parts)


def _keeps_its_bounds(gene: Any) -> bool:
    if isinstance(gene, Float):
        return not gene.log and gene.step is None
    return isinstance(gene, Int) and not gene.log and gene.step == 1


def _limits(gene: Any) -> tuple[Any, ...]:
    if isinstance(gene, Choice):
        return tuple(f"option {i}" for i in range(len(gene.options)))
    if not _keeps_its_bounds(gene):
        return UNIT
    kind = int if isinstance(gene, Int) else float
    return (kind(gene.low), kind(gene.high))


def _to_unit(gene: Any, plain: bool, part: Any) -> float:
    if isinstance(gene, Choice):
        return (float(np.argmax(part)) + 0.5) / len(gene.options)
    x = float(part[0])
    if not plain:
        return x
    if isinstance(gene, Int):
        return (round(x) - gene.low + 0.5) / (gene.high - gene.low + 1)
    return float((x - gene.low) / (gene.high - gene.low))
