"""What an objective is given: the configuration, its worker's ranks, a seed, a place for files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import nan
from pathlib import Path
from typing import Any

from hpctrain.core.seeds import stream

LARGEST_STEP = 2**53


class StopCandidate(BaseException):
    """Raised by `Candidate.report` when the evaluation is to end.

    Not an Exception, so that an objective that handles its own errors lets it pass.
    """


class Candidate(Mapping[str, Any]):
    """One candidate as the objective sees it: a read-only mapping of parameters, and more.

    `candidate["lr"]` is a parameter; parameters that do not apply are not there.

    Attributes:
        number: of the candidate in the search, from 0.
        seed: depends on the search's seed and the number, and on nothing else.
        worker, island: who evaluates it.
        rank, size: this process among the ranks of the worker.
        cost: set it to what the evaluation has cost, in the unit of `stop.cost`.
        reporting: a report is under way: a timeout must not tear it apart.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        number: int,
        search_seed: int,
        place: Place,
        on_report: Callable[[int, int, float], None],
        on_report_alone: Callable[[int, int, float], str | None],
    ) -> None:
        self._config = config
        self.number = number
        self._search_seed = search_seed
        self.cost: Any = nan
        self.reporting = False
        self.last_step = -1
        self.last_value = nan
        self._place = place
        self._on_report = on_report
        self._on_report_alone = on_report_alone

    @property
    def seed(self) -> int:
        return stream(self._search_seed, self.number, "candidate")

    @property
    def worker(self) -> int:
        return self._place.worker

    @property
    def island(self) -> int:
        return self._place.island

    @property
    def rank(self) -> int:
        return self._place.rank

    @property
    def size(self) -> int:
        return self._place.size

    @property
    def comm(self) -> Any:
        """The mpi4py communicator of this worker's ranks; None without MPI."""
        return self._place.comm()

    @property
    def directory(self) -> Path:
        """A directory of this candidate's own; it is made when it is first asked for."""
        path = self._place.run_dir / "candidates" / f"{self.number:06d}"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def report(self, value: float, step: int | None = None) -> None:
        """Say how far it has come: `value` is the loss after `step` (default: the next one).

        All ranks of a worker must report alike.

        Raises:
            StopCandidate: if the candidate is not worth going on with, or the search ends.
            ValueError: for a step that is no number of a step.
        """
        at = max(self.last_step, 0) + 1 if step is None else int(step)
        if not 0 <= at <= LARGEST_STEP:
            raise ValueError(f"report got step {at}; give a whole number from 0 to 2^53")
        self.last_step, self.last_value = at, float(value)
        self.reporting = True
        try:
            self._on_report(self.number, at, self.last_value)
        finally:
            self.reporting = False

    def report_alone(self, value: float, step: int) -> str | None:
        """Like `report`, but for rank 0 of the worker alone, whatever the others do.

        Returns:
            Why the candidate should end on all of its ranks; None if it may go on.
        """
        self.last_step, self.last_value = step, float(value)
        self.reporting = True
        try:
            return self._on_report_alone(self.number, step, self.last_value)
        finally:
            self.reporting = False

    def __getitem__(self, name: str) -> Any:
        try:
            return self._config[name]
        except KeyError:
            known = ", ".join(self._config)
            raise KeyError(f"candidate {self.number} has no {name!r}; it has {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._config)

    def __len__(self) -> int:
        return len(self._config)

    def __repr__(self) -> str:
        return f"Candidate({self.number}, {dict(self._config)})"


class Place:
    """Where candidates of one worker are evaluated, seen from one rank."""

    def __init__(
        self,
        worker: int,
        island: int,
        rank: int,
        size: int,
        run_dir: Path,
        comm: Callable[[], Any] = lambda: None,
    ) -> None:
        self.worker = worker
        self.island = island
        self.rank = rank
        self.size = size
        self.run_dir = run_dir
        self.comm = comm
