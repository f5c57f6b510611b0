"""Updates of fragments: from pushes to the outer rule, and to rows that say what was done."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hpctrain.core.events import Command, Note, WorkerId
from hpctrain.training.fragments import Fragment
from hpctrain.training.guard import Lengths
from hpctrain.training.messages import Push
from hpctrain.training.methods import Method
from hpctrain.training.rules.means import mean
from hpctrain.training.rules.rule import Applied, Arrival, Completes, OuterRule
from hpctrain.training.rules.sweep import measure
from hpctrain.training.state import HomeState
from hpctrain.training.weights import PushCounts

Commands = Iterator[Command]

NOT_FINITE = "it is not finite"
NOT_COUNTED = PushCounts()
LONGEST_ROUND = 2.0  # a longer one counts as so many usual ones
ALL = -1  # the sender of what several have sent


@dataclass(frozen=True, slots=True)
class Updates:
    """Applies the method's rule; what it keeps is in a `HomeState`."""

    fragments: tuple[Fragment, ...]
    method: Method
    num_workers: int

    def one(self, state: HomeState, sender: WorkerId, push: Push) -> Commands:
        """A single arrival of an asynchronous method."""
        index, outer = push.fragment, state.outer[push.fragment]
        staleness = outer.version - push.base_version
        state.steps[index] += push.steps
        weight, longest = self._weight(state, sender, push), self._longest(state, index, sender)
        applied = self.rule(index).apply(
            outer, push.data, weight, self.fragments[index].bounds,
            Arrival(staleness, longest, self._part(state, {sender: push})),
        )  # fmt: skip
        if applied is None:
            length = measure(push.data, push.data, 0, push.data.size).delta_norm
            yield self._refuse(state, sender, push, length, longest)
            return
        outer.version += 1
        self._accept(state, index, sender, applied.delta_norm)
        yield merged(push, sender, outer.version, staleness, weight, applied)
        yield from self._corrections(index, outer.version, applied)

    def together(
        self, state: HomeState, fragment: int, pushes: Mapping[WorkerId, Push]
    ) -> Commands:
        """One step on the mean of several arrivals, each with its weight."""
        used, refusals = self._acceptable(state, pushes)
        yield from refusals
        total = self._total(state, fragment, pushes)
        state.steps[fragment] += total.steps
        if not used:
            return
        learned = self._is_learned(fragment)
        weights: list[float] | None
        if learned and self.method.in_parts:
            weight = len(used) / len(self._fleet(state, used))
            weights = self.method.weighing.of_a_mean([_size(pushes[worker]) for worker in used])
        else:
            weights = [self._weight(state, worker, pushes[worker]) for worker in used]
            weight = sum(weights) / len(weights) if learned else min(1.0, sum(weights))
        combine = self.method.mean if learned else mean
        parts = [pushes[worker].data for worker in used]
        data = combine(parts, weights, self.fragments[fragment].bounds)
        part = self._part(state, {worker: pushes[worker] for worker in used})
        yield from self._apply(state, replace(total, data=data), pushes, used, weight, part)

    def round(self, state: HomeState, fragment: int, pushes: Mapping[WorkerId, Push]) -> Commands:
        """A round of a synchronous method: the rule on the mean, in the order of workers.

        Gradients that are not finite are handed on if there are no others: loss scalers look.
        """
        used, refusals = self._acceptable(state, pushes)
        yield from refusals
        total = self._total(state, fragment, pushes)
        if self.method.waiting.quorum is not None:  # workers count their own rounds
            total = replace(total, round=state.rounds[fragment])
        state.steps[fragment] += total.steps
        if not used and not self.method.gradients:
            yield refused(total, ALL, total.base_version, "no push could be merged")
            return
        used = used or sorted(pushes)
        weigh = self.method.weighing.of_a_mean
        combine = self.method.mean if self._is_learned(fragment) else mean
        data = combine(
            [pushes[worker].data for worker in used],
            weigh([_size(pushes[worker]) for worker in used]),
            self.fragments[fragment].bounds,
        )
        yield from self._apply(state, replace(total, data=data), pushes, used, 1.0)

    def complete(self, state: HomeState, fragment: int) -> Commands:
        """The run has ended: apply what the rule holds back."""
        outer, rule = state.outer[fragment], self.rule(fragment)
        applied = rule.complete(outer) if isinstance(rule, Completes) else None
        if applied is not None:
            nothing = Push(fragment, state.rounds[fragment], outer.version, 0, 0, outer.theta)
            outer.version += 1
            yield merged(nothing, ALL, outer.version, 0, 1.0, applied)

    def rule(self, fragment: int) -> OuterRule:
        """The outer rule of a fragment: buffers have their own."""
        return self.method.rule if self._is_learned(fragment) else self.method.buffer_rule()[0]

    def _is_learned(self, fragment: int) -> bool:
        return self.fragments[fragment].kind == "parameters"

    def _total(self, state: HomeState, fragment: int, pushes: Mapping[WorkerId, Push]) -> Push:
        """All pushes as one, with the data of the first."""
        first = pushes[min(pushes)]
        return Push(
            fragment, first.round, state.outer[fragment].version,
            steps=sum(push.steps for push in pushes.values()),
            tokens=sum(push.tokens for push in pushes.values()),
            data=first.data,
        )  # fmt: skip

    def _apply(
        self,
        state: HomeState,
        total: Push,
        pushes: Mapping[WorkerId, Push],
        used: Sequence[WorkerId],
        weight: float,
        part: float = 1.0,
    ) -> Commands:
        index, outer = total.fragment, state.outer[total.fragment]
        staleness = max(outer.version - pushes[worker].base_version for worker in used)
        applied = self.rule(index).apply(
            outer, total.data, weight, self.fragments[index].bounds, Arrival(staleness, part=part)
        )
        if applied is None:
            yield refused(total, ALL, outer.version, "the mean is not finite")
            return
        outer.version += 1
        yield merged(total, ALL, outer.version, staleness, weight, applied, len(used))
        yield from self._corrections(index, outer.version, applied)

    def _acceptable(
        self, state: HomeState, pushes: Mapping[WorkerId, Push]
    ) -> tuple[list[WorkerId], list[Note]]:
        """Whose pushes may be merged, in order, and a refusal for each of the others."""
        used, refusals = [], []
        for worker in sorted(pushes):
            push = pushes[worker]
            seen = measure(push.data, push.data, 0, push.data.size)
            longest = self._longest(state, push.fragment, worker)
            if seen.finite and seen.delta_norm <= longest:
                self._accept(state, push.fragment, worker, seen.delta_norm)
                used.append(worker)
            else:
                length = seen.delta_norm if seen.finite else math.inf
                refusals.append(self._refuse(state, worker, push, length, longest))
        return used, refusals

    def _weight(self, state: HomeState, sender: WorkerId, push: Push) -> float:
        """The weight rho of an arrival; it is counted with this."""
        if not self._is_learned(push.fragment):
            return 1.0 / self.num_workers
        if self.method.in_parts:
            return 1.0 / len(self._fleet(state, (sender,)))
        weighing, tally = self.method.weighing, NOT_COUNTED
        if weighing.counts:
            tally = state.tallies.setdefault(push.fragment, PushCounts())
            tally.add(sender, _size(push))
        staleness = state.outer[push.fragment].version - push.base_version
        return weighing.weight(self.num_workers, staleness, sender, tally, state.left)

    def _fleet(self, state: HomeState, senders: Collection[WorkerId]) -> list[WorkerId]:
        """Whom a group is a part of. At the end of a run all leave, but one by one."""
        left = state.left_before if state.ending else state.left
        return [w for w in range(self.num_workers) if w in senders or w not in left]

    def _part(self, state: HomeState, pushes: Mapping[WorkerId, Push]) -> float:
        """Which part of a round of all workers these pushes are, by time; 1 where nobody asks."""
        if not self.method.in_parts:
            return 1.0
        fleet = self._fleet(state, pushes)
        round_s = self.method.local_steps.round_s(state.paces, self.method.sync_every, fleet)
        if round_s is None:
            return len(pushes) / len(fleet)
        speeds = state.paces.speeds
        rounds = (push.steps / (speeds[worker] * round_s) for worker, push in pushes.items())
        return sum(min(share, LONGEST_ROUND) for share in rounds) / len(fleet)

    def _longest(self, state: HomeState, fragment: int, sender: WorkerId) -> float:
        if not self._guards(fragment):
            return math.inf
        return self.method.guard.longest(state.lengths.setdefault(fragment, Lengths()), sender)

    def _guards(self, fragment: int) -> bool:
        guarded = self.method.guard.factor > 0 and not self.method.gradients
        return guarded and self._is_learned(fragment)

    def _accept(self, state: HomeState, fragment: int, sender: WorkerId, length: float) -> None:
        if self._guards(fragment):
            self.method.guard.accepted(state.lengths[fragment], sender, length)

    def _refuse(
        self, state: HomeState, sender: WorkerId, push: Push, length: float, longest: float
    ) -> Note:
        version = state.outer[push.fragment].version
        if not longest < length < math.inf:
            return refused(push, sender, version, NOT_FINITE)
        self.method.guard.refused(state.lengths[push.fragment], sender)
        return refused(push, sender, version, f"its length {length:.3g} is above {longest:.3g}")

    def _corrections(self, fragment: int, version: int, applied: Applied) -> Commands:
        whole = len(applied.tensors) < len(self.fragments[fragment].tensors)
        for slot, did in zip(self.fragments[fragment].tensors, applied.tensors, strict=False):
            yield Note("correction", {
                "fragment": fragment,
                "version": version,
                "tensor": "" if whole else slot.name,
                "cosine": did.cosine,
                "verdict": did.verdict,
                "amount": did.amount,
            })  # fmt: skip


def _size(push: Push) -> int:
    """What a weight by tokens goes by; a script need not count any."""
    return push.tokens or push.steps


def merged(
    push: Push,
    sender: int,
    version: int,
    staleness: int,
    weight: float,
    did: Applied,
    contributors: int = 1,
) -> Note:
    """The row of an update."""
    row = _row(push, sender, version, staleness) | {"weight": weight, "refused": False}
    row |= {"delta_norm": did.delta_norm, "momentum_norm": did.momentum_norm}
    row |= {"cosine": did.cosine, "gain": did.gain, "contributors": contributors}
    row |= {"kept": did.kept, "shrunk": did.shrunk, "rotated": did.rotated}
    return Note("outer_update", row)


def refused(push: Push, sender: int, version: int, reason: str) -> Note:
    """The row of a push that changed nothing."""
    row = _row(push, sender, version, version - push.base_version)
    return Note("outer_update", row | {"weight": 0.0, "refused": True, "reason": reason})


def _row(push: Push, sender: int, version: int, staleness: int) -> dict[str, float]:
    return {
        "fragment": push.fragment,
        "version": version,
        "sender": sender,
        "round": push.round,
        "staleness": staleness,
        "steps": push.steps,
        "tokens": push.tokens,
    }
