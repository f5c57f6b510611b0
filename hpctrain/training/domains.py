"""Which domain of data a worker trains on next: its own, or the one that was least visited.

Asynchronous local SGD (arXiv 2401.09135, section 3) does not bind data to workers: a worker that
begins a round takes the shard that was trained on least. So a slow worker's domain is not heard
less than others. Visits are counted in inner steps, when a round is given out.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Domains:
    """The policy.

    Attributes:
        count: how many domains there are; 0: workers stay with what they have.
        first: of each worker, the domain of its first round.
    """

    count: int = 0
    first: tuple[int, ...] = ()

    def first_visits(self, steps: int) -> list[int]:
        """Inner steps in each domain when all first rounds, of so many steps, are given out."""
        return [steps * self.first.count(domain) for domain in range(self.count)]

    def give_out(self, visits: list[int], steps: int) -> int | None:
        """The domain of a round of so many steps, which is counted; None if there is no choice."""
        if not self.count:
            return None
        visits += [0] * (self.count - len(visits))  # a run that was resumed with other settings
        domain = visits.index(min(visits[: self.count]))
        visits[domain] += steps
        return domain
