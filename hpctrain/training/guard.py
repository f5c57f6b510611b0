"""The guard: a pseudo-gradient that is absurdly long is refused, and the run goes on.

Its length is compared with the geometric mean of the last accepted ones of the fragment. A hundred
times that is the default: lengths of one run differ by the numbers of steps (15 times in a fleet
with a worker 15 times slower) and fall slowly with the learning rate, while a worker that blows up
grows by orders of magnitude within a round. The first `WARM_UP` arrivals are only looked at.

If one sender is refused `PATIENCE` times in a row, its next push is accepted and the mean begins
anew from its length: so a run whose scale has really changed does not starve. The price: a worker
that stays broken for so long gets through.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain

WARM_UP = 10
WINDOW = 20
PATIENCE = 5


@plain
@dataclass(slots=True)
class Lengths:
    """Of a fragment: the mean logarithm of accepted lengths, how many, refusals in a row."""

    log_mean: float = 0.0
    count: int = 0
    refused: dict[WorkerId, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Guard:
    """Refuses what is longer than `factor` times the mean; 0 refuses nothing."""

    factor: float = 0.0

    def longest(self, lengths: Lengths, sender: WorkerId) -> float:
        """How long a push of `sender` may be now."""
        patient = lengths.refused.get(sender, 0) < PATIENCE
        return self._bound(lengths) if patient else math.inf

    def accepted(self, lengths: Lengths, sender: WorkerId, length: float) -> None:
        """A push was merged."""
        if not self.factor or not 0 < length < math.inf:
            return
        if length > self._bound(lengths):
            lengths.log_mean, lengths.count = math.log(length), WARM_UP
        else:
            lengths.count = min(lengths.count + 1, WINDOW)
            lengths.log_mean += (math.log(length) - lengths.log_mean) / lengths.count
        lengths.refused.pop(sender, None)

    def refused(self, lengths: Lengths, sender: WorkerId) -> None:
        """A push was refused for its length."""
        lengths.refused[sender] = lengths.refused.get(sender, 0) + 1

    def _bound(self, lengths: Lengths) -> float:
        if not self.factor or lengths.count < WARM_UP:
            return math.inf
        return self.factor * math.exp(lengths.log_mean)
