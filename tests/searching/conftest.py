"""A small search in virtual time, with the rows that it wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from numpy.random import Generator

from hpctrain.core.topology import Topology
from hpctrain.searching.messages import Evaluate
from hpctrain.searching.population import Needs, Population
from hpctrain.searching.record import Genome, Record
from hpctrain.searching.settings import SearchSettings
from hpctrain.searching.space import Space
from hpctrain.searching.stop import Stop
from hpctrain.workers.virtual_search import (
    Imagined,
    SimulatedSearch,
    imagined_topology,
    simulate_search,
)

PLANE = Space({"x": (-5.0, 5.0), "y": (-5.0, 5.0)})


def genome_of(row: Mapping[str, Any], space: Space = PLANE) -> Genome:
    """The genome of a candidate's row."""
    return space.encode(
        {key.removeprefix("param."): x for key, x in row.items() if key.startswith("param.")}
    )


class Climber:
    """Changes one gene of one of the best; enough to see a search get better."""

    def __init__(self, space: Space, needs: Needs | None = None) -> None:
        self.needs = needs or Needs(10)
        self.observed: list[tuple[Record, str]] = []
        self._space = space

    def breed(self, population: Population, number: int, draws: Generator) -> tuple[Genome, str]:
        if len(population.elites) < self.needs.elites or not self._space.num_genes:
            return self._space.sample(draws), "random"
        unit = self._space.to_unit(population.elites[int(draws.random() * 10)].genome)
        place = int(draws.random() * len(unit))
        unit[place] = min(1.0, max(0.0, unit[place] + 0.1 * draws.standard_normal()))
        return self._space.from_unit(unit), "climb"

    def observe(self, record: Record, made_by: str) -> None:
        self.observed.append((record, made_by))


class Sampler(Climber):
    """Depends on no population."""

    def breed(self, population: Population, number: int, draws: Generator) -> tuple[Genome, str]:
        return self._space.sample(draws), "random"


class Rows:
    """A notebook that all workers share."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, dict[str, Any]]] = []

    def note(self, kind: str, fields: Mapping[str, Any]) -> None:
        self.rows.append((kind, dict(fields)))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [fields for found, fields in self.rows if found == kind]


class Simulated:
    """What a simulated search did."""

    def __init__(self, search: SimulatedSearch, rows: Rows) -> None:
        self.search = search
        self.rows = rows

    @property
    def candidates(self) -> list[dict[str, Any]]:
        return sorted(self.rows.of("candidate"), key=lambda row: row["number"])

    @property
    def numbers(self) -> list[int]:
        return [row["number"] for row in self.candidates]

    @property
    def all_finished(self) -> bool:
        return all(driver.finished for driver in self.search.simulator.drivers)

    @property
    def reason(self) -> str | None:
        desk = next(iter(self.search.states)).desk
        assert desk is not None
        return desk.closed


def sphere(worker: int, order: Evaluate) -> Imagined:
    """Takes from one to two seconds."""
    return Imagined((sum(x * x for x in order.genome),), 1.0 + order.number * 7919 % 100 / 100)


@pytest.fixture
def simulate() -> Callable[..., Simulated]:
    def run(
        topology: Topology | int = 4,
        imagine: Callable[[int, Evaluate], Imagined] = sphere,
        space: Space = PLANE,
        propagator: Callable[[], Any] | None = None,
        **settings: Any,
    ) -> Simulated:
        if isinstance(topology, int):
            topology = imagined_topology(topology)
        rows = Rows()
        settings.setdefault("stop", Stop(evaluations=200))
        whole = SearchSettings(space, propagator or (lambda: Climber(space)), **settings)
        notebooks = {worker.id: rows for worker in topology.workers}
        return Simulated(simulate_search(whole, topology, imagine, notebooks), rows)

    return run
