"""What a search is told; the same at all workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf

from hpctrain.core.gate import ALWAYS_OPEN, Gate
from hpctrain.searching.fidelity import Fidelity
from hpctrain.searching.history import History
from hpctrain.searching.memory import Duplicates
from hpctrain.searching.propagator import Propagator
from hpctrain.searching.record import Genome
from hpctrain.searching.space import Space
from hpctrain.searching.stop import Stop
from hpctrain.searching.travel import Travel


@dataclass(frozen=True)
class SearchSettings:
    """Attributes of a search.

    Attributes:
        space: what is searched.
        make_propagator: a new propagator for a worker.
        stop: when to end.
        seed: of all draws.
        num_objectives: losses per evaluation.
        travel: between islands.
        duplicates: what is done about a candidate that was evaluated before: reuse its loss,
            evaluate it again and average, or evaluate it again as if it were new.
        fidelity: ends candidates early.
        given: configurations to begin with, as genomes.
        history: of earlier parts of this run, and of other runs to learn from.
        gate: when candidates may begin.
        allocation_s: when the allocation ends, on the clock of the run.
    """

    space: Space
    make_propagator: Callable[[], Propagator]
    stop: Stop = field(default_factory=Stop)
    seed: int = 0
    num_objectives: int = 1
    travel: Travel = field(default_factory=Travel)
    duplicates: Duplicates = "reuse"
    fidelity: Fidelity | None = None
    given: Sequence[Genome] = ()
    history: History = field(default_factory=History)
    allocation_s: float = inf
    gate: Gate = ALWAYS_OPEN

    @property
    def deadline_s(self) -> float:
        """When everything must have ended, on the clock of the run."""
        hours = self.stop.hours
        return min(self.allocation_s, inf if hours is None else hours * 3600.0)

    @property
    def deadline_reason(self) -> str:
        early = self.allocation_s <= self.deadline_s
        return "the allocation ends" if early else f"{self.stop.hours:g} hours are over"
