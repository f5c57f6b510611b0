"""How much an arrival counts: decided once, at the home, and told to the rule as its weight rho.

    base             1 / sqrt(K)
    polynomial       (1 + tau)^-power / sqrt(K)          arXiv 2401.09135, section 3
    one              1
    rate_corrected   p / f / sqrt(K)                     after FedFix, arXiv 2206.10189
    token_weighted   (n / mean(n))^power / sqrt(K)

p is the share that a worker's data are meant to have, f its part of all arrivals so far: fast
workers arrive more often, and without a correction the objective is weighed by speed. With p / f
the expected weight per unit of time is in proportion to p; over all arrivals the factors p / f have
a mean of one. n are the tokens of a push, to the mean over the last push of each worker. With
a power of 1 a round counts by its tokens; below 0 the short rounds of slow workers are raised: at
-1 each domain's mean step counts alike, however many steps were taken (FedNova, arXiv 2007.07481,
normalises so; powers between are ours). Both factors are kept within 1 / cap and cap.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain

ArrivalWeight = Literal["base", "polynomial", "one", "rate_corrected", "token_weighted"]


@plain
@dataclass(slots=True)
class PushCounts:
    """What a home keeps of the arrivals of a fragment: their number, and the tokens of the last."""

    pushes: dict[WorkerId, int] = field(default_factory=dict)
    tokens: dict[WorkerId, int] = field(default_factory=dict)

    def add(self, sender: WorkerId, tokens: int) -> None:
        self.pushes[sender] = self.pushes.get(sender, 0) + 1
        self.tokens[sender] = tokens


@dataclass(frozen=True, slots=True)
class Weighing:
    """The policy: which weight, and its constants.

    Attributes:
        kind: see the head of this file.
        power: of `polynomial`.
        cap: bounds the factors of `rate_corrected` and `token_weighted`.
        shares: p of each worker, in any unit; empty: all alike.
        token_power: of `token_weighted`.
    """

    kind: ArrivalWeight = "base"
    power: float = 0.5
    cap: float = 10.0
    shares: tuple[float, ...] = ()
    token_power: float = 1.0

    def of_a_mean(self, tokens: Sequence[int]) -> list[float] | None:
        """Weights of the pushes of one synchronous round; None: all alike."""
        if self.kind != "token_weighted":
            return None
        if self.token_power == 1.0:
            return [float(count) for count in tokens]
        mean = max(sum(tokens) / len(tokens), 1.0)  # a task need not count any
        return [self._bounded(math.pow(max(count, 1) / mean, self.token_power)) for count in tokens]

    @property
    def counts(self) -> bool:
        """Does it need a `PushCounts`?"""
        return self.kind in ("rate_corrected", "token_weighted")

    def weight(
        self,
        num_workers: int,
        staleness: int,
        sender: WorkerId,
        tally: PushCounts,
        left: Collection[WorkerId] = (),
    ) -> float:
        """The weight of an arrival that `tally` holds already; who has `left` does not count."""
        match self.kind:
            case "one":
                return 1.0
            case "base":
                return 1.0 / math.sqrt(num_workers)
            case "polynomial" if self.power == 0.5:
                return 1.0 / math.sqrt(num_workers * (1 + staleness))
            case "polynomial":
                return math.pow(1 + staleness, -self.power) / math.sqrt(num_workers)
        present = [w for w in range(num_workers) if w == sender or w not in left]
        if self.kind == "rate_corrected":
            factor = self._share(sender, present) / _part(tally, sender, present)
        else:
            factor = _tokens_to_mean(tally, sender, present)
            if self.token_power != 1.0:
                factor = math.pow(factor, self.token_power) if factor > 0 else self.cap
        return self._bounded(factor) / math.sqrt(num_workers)

    def _bounded(self, factor: float) -> float:
        return max(1.0 / self.cap, min(factor, self.cap))

    def _share(self, sender: WorkerId, present: list[WorkerId]) -> float:
        if not self.shares:
            return 1.0 / len(present)
        total = sum(self.shares[worker] for worker in present)
        return self.shares[sender] / total if total > 0 else 0.0


def _part(tally: PushCounts, sender: WorkerId, present: list[WorkerId]) -> float:
    """The sender's part of all arrivals; one more of everyone, as nobody is known at first."""
    total = sum(tally.pushes.get(worker, 0) + 1 for worker in present)
    return (tally.pushes.get(sender, 0) + 1) / total


def _tokens_to_mean(tally: PushCounts, sender: WorkerId, present: list[WorkerId]) -> float:
    known = [tally.tokens[worker] for worker in present if worker in tally.tokens]
    mean = sum(known) / len(known) if known else 0.0
    return tally.tokens[sender] / mean if mean > 0 else 1.0
