"""Energy of the candidates of a search, on one rank of a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hpctrain.metering.ledger import Key, Ledger
from hpctrain.workers.phases import Phase, Phases


class CandidateEnergy(Protocol):
    """What the loop of a search tells a meter, and asks it."""

    def begins(self, number: int) -> None: ...

    def ends(self) -> None: ...

    def enter(self, phase: Phase) -> None: ...

    def used_j(self) -> float | None:
        """Joules of this rank since the candidate began; None if there is no reading."""
        ...

    def spent(self) -> float:
        """Energy of this rank since the search began, in the unit of the budget."""
        ...


class BookedCandidates:
    """`CandidateEnergy` by a ledger.

    Args:
        ledger: of this rank.
        joules: its energy to date.
        spent: likewise, in the unit of the budget.
    """

    def __init__(
        self, ledger: Ledger, joules: Callable[[], float | None], spent: Callable[[], float]
    ) -> None:
        self.spent = spent
        self._ledger = ledger
        self._joules = joules
        self._phases = Phases()
        self._handle = 0
        self._began_j: float | None = None
        ledger.follow(self._phases.until_now_ns)

    def begins(self, number: int) -> None:
        self._began_j = self._joules()
        self._phases.enter("evaluate")
        self._handle = self._ledger.begin(Key("candidate", "", number))

    def ends(self) -> None:
        self._ledger.end(self._handle)
        self._phases.enter("exchange")

    def enter(self, phase: Phase) -> None:
        self._phases.enter(phase)

    def used_j(self) -> float | None:
        now_j = self._joules()
        return None if now_j is None or self._began_j is None else now_j - self._began_j
