"""Migration and pollination: what islands send to each other, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hpctrain.core.events import WorkerId
from hpctrain.core.topology import Topology
from hpctrain.errors import ConfigError
from hpctrain.searching.record import Record

Pattern = Literal["ring", "complete", "none"] | Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Travel:
    """Attributes of the traffic between islands.

    Attributes:
        pattern: ring: to the next island; complete: to every other one; or a matrix: how many
            candidates island i sends to island j at a time.
        probability: that a worker sends anything, per evaluation.
        moves: True is migration: who leaves is gone. False is pollination: a copy goes.
        choice: the best that have not been there, or any of the elite.
    """

    pattern: Pattern = "ring"
    probability: float = 0.1
    moves: bool = False
    choice: Literal["best", "random"] = "best"

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ConfigError(
                f"migration.probability: {self.probability} is not allowed; give 0 to 1"
            )

    def counts(self, num_islands: int) -> tuple[tuple[int, ...], ...]:
        """How many candidates go from island i to island j at a time.

        Raises:
            ConfigError: if a matrix does not fit the islands.
        """
        islands = range(num_islands)
        if self.pattern == "none" or (num_islands == 1 and isinstance(self.pattern, str)):
            return tuple((0,) * num_islands for _ in islands)
        if self.pattern == "ring":
            return tuple(tuple(int(j == (i + 1) % num_islands) for j in islands) for i in islands)
        if self.pattern == "complete":
            return tuple(tuple(int(i != j) for j in islands) for i in islands)
        if isinstance(self.pattern, str):
            raise ConfigError(
                f"migration.pattern: {self.pattern!r} is not allowed; give ring, complete, none, "
                "or a matrix"
            )
        return self._checked(self.pattern, num_islands)

    def _checked(self, matrix: Sequence[Sequence[int]], size: int) -> tuple[tuple[int, ...], ...]:
        if len(matrix) != size or any(len(row) != size for row in matrix):
            raise ConfigError(
                f"migration.pattern: the matrix is {len(matrix)} x {len(matrix[0])}, but there are "
                f"{size} islands; give {size} rows of {size} numbers"
            )
        for i, row in enumerate(matrix):
            for j, count in enumerate(row):
                if count < 0 or int(count) != count or (i == j and count):
                    raise ConfigError(
                        f"migration.pattern: {count} candidates from island {i} to island {j} are "
                        "not allowed; give whole numbers from 0 on, and 0 on the diagonal"
                    )
        return tuple(tuple(map(int, row)) for row in matrix)


class Traveller:
    """What one worker sends to other islands."""

    def __init__(self, travel: Travel, topology: Topology, island: int) -> None:
        counts = travel.counts(len(topology.island_names))[island]
        self._travel = travel
        self._routes = [
            (count, [worker.id for worker in topology.workers if worker.island == there])
            for there, count in enumerate(counts)
            if count
        ]
        self._been: list[dict[int, None]] = [{} for _ in self._routes]

    @property
    def stays(self) -> bool:
        return not self._routes or self._travel.probability == 0

    def departures(
        self, elites: Sequence[Record], draws: np.random.Generator
    ) -> Iterator[tuple[WorkerId, list[Record]]]:
        """Who goes now, and to which worker of another island."""
        if draws.random() >= self._travel.probability:
            return
        for (count, hosts), been in zip(self._routes, self._been, strict=True):
            ready = [record for record in elites if record.number not in been]
            if self._travel.choice == "random" and ready:
                ready = [ready[i] for i in draws.permutation(len(ready))[:count]]
            going = ready[:count]
            if not going:
                continue
            been.update(dict.fromkeys(record.number for record in going))
            while len(been) > 4 * len(elites) + count:
                del been[next(iter(been))]
            yield hosts[int(draws.integers(len(hosts)))], going
