"""The home of fragments: applies the outer rule to what arrives, and answers.

Asynchronous methods apply each push as it arrives and answer its sender. Synchronous methods
collect the pushes of a round, apply the rule to their mean in the order of workers (so that
arrival order leaves no trace in the bits) and answer all. Who has left is no longer waited for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from hpctrain.core.events import Command, Note, Send, WorkerId
from hpctrain.training.fragments import Fragment
from hpctrain.training.messages import BudgetSpent, Final, Fresh, Push
from hpctrain.training.methods import Method
from hpctrain.training.rules.rule import Applied, Array, OuterRule
from hpctrain.training.rules.sweep import measure
from hpctrain.training.state import HomeState

Commands = Iterator[Command]

NOT_FINITE = "it is not finite"


@dataclass(frozen=True, slots=True)
class EnergyBudget:
    """What a run may use in all, and in which unit; `before` was used by earlier parts of it."""

    limit: float
    unit: str
    before: float = 0.0


@dataclass(frozen=True, slots=True)
class Home:
    """The rules of a home; its state is a `HomeState`."""

    fragments: tuple[Fragment, ...]
    method: Method
    num_workers: int
    total_steps: int | None
    energy: EnergyBudget | None = None

    def push(self, state: HomeState, sender: WorkerId, push: Push) -> Commands:
        """A push arrived."""
        if push.fragment == 0:
            state.spent += push.spent
            state.round_spent[sender] = push.spent
        yield from self._take(state, sender, push)
        yield from self.check_energy(state)

    def check_energy(self, state: HomeState) -> Commands:
        """End the run before it would use more than it may: if no other round of all fits."""
        budget = self.energy
        if budget is None or not state.round_spent:
            return
        going_on = (w for w in state.round_spent if w not in state.left)
        expected = sum(state.round_spent[worker] for worker in going_on)
        if state.spent + expected > budget.limit and not (state.budget_spent or state.closed):
            used = f"{state.spent:.4g} of {budget.limit:g} {budget.unit} used"
            reason = f"{used}; another round would exceed it"
            yield Note("event", {"kind": "energy budget", "text": reason})
            yield from self.spend_budget(state, reason)

    def _take(self, state: HomeState, sender: WorkerId, push: Push) -> Commands:
        version = state.outer[push.fragment].version
        if push.base_version > version:
            yield self._refused(push, sender, version, "its base version is ahead of the home")
            yield self._answer(state, push.fragment, sender)
        elif self.method.synchronous:
            rounds = state.collected.setdefault(push.fragment, {})
            rounds.setdefault(push.round, {})[sender] = push
            yield from self._merge_complete(state, push.fragment)
        else:
            yield from self._merge_one(state, sender, push)

    def leave(self, state: HomeState, worker: WorkerId) -> Commands:
        """A worker left, or was lost: nothing more will come from it."""
        if worker in state.left:
            return
        state.left.append(worker)
        for fragment in state.outer:
            yield from self._merge_complete(state, fragment)
        if len(state.left) == self.num_workers:
            yield from self.close(state)

    def close(self, state: HomeState) -> Commands:
        """Everyone has left: tell everyone how the fragments ended."""
        state.closed = True
        for fragment, outer in state.outer.items():
            steps, rounds = state.steps[fragment], state.rounds[fragment]
            final = Final(fragment, outer.version, steps, rounds, outer.theta.copy())
            for worker in range(self.num_workers):
                yield Send(worker, final)

    def spend_budget(self, state: HomeState, reason: str) -> Commands:
        """Tell all workers, once, that the run ends."""
        if state.budget_spent or state.closed:
            return
        state.budget_spent = True
        spent = BudgetSpent(reason, state.rounds[0] if self.method.gradients else None)
        for worker in range(self.num_workers):
            yield Send(worker, spent)

    def _merge_one(self, state: HomeState, sender: WorkerId, push: Push) -> Commands:
        outer = state.outer[push.fragment]
        staleness = outer.version - push.base_version
        state.steps[push.fragment] += push.steps
        rule, weight = self._rule(self.fragments[push.fragment], staleness)
        applied = rule.apply(outer, push.data, weight, self.fragments[push.fragment].bounds)
        if applied is None:
            yield self._refused(push, sender, outer.version, NOT_FINITE)
        else:
            outer.version += 1
            yield self._merged(push, sender, outer.version, staleness, weight, applied)
        yield self._answer(state, push.fragment, sender)
        yield from self._check_budget(state, push.fragment)

    def _merge_complete(self, state: HomeState, fragment: int) -> Commands:
        """Apply the oldest collected rounds of `fragment` for which nobody is missing any more."""
        rounds = state.collected.get(fragment, {})
        while rounds:
            number = min(rounds)
            present = [w for w in range(self.num_workers) if w not in state.left]
            if any(worker not in rounds[number] for worker in present):
                return
            yield from self._merge_round(state, fragment, rounds.pop(number))

    def _merge_round(self, state: HomeState, fragment: int, pushes: dict[int, Push]) -> Commands:
        outer = state.outer[fragment]
        senders = sorted(pushes)
        finite = [worker for worker in senders if _is_finite(pushes[worker].data)]
        for worker in senders:
            if worker not in finite:
                yield self._refused(pushes[worker], worker, outer.version, NOT_FINITE)
        first = pushes[senders[0]]
        total = Push(
            fragment, first.round, outer.version,
            steps=sum(p.steps for p in pushes.values()),
            tokens=sum(p.tokens for p in pushes.values()),
            data=_mean([pushes[worker].data for worker in finite or senders]),
        )  # fmt: skip
        rule, weight = self._rule(self.fragments[fragment], 0)
        applied = rule.apply(outer, total.data, weight, self.fragments[fragment].bounds)
        if applied is None:
            yield self._refused(total, -1, outer.version, "the mean is not finite")
        else:
            outer.version += 1
            yield self._merged(total, -1, outer.version, 0, weight, applied)
        state.steps[fragment] += total.steps
        state.rounds[fragment] = total.round + 1
        fresh = self._fresh(state, fragment)
        for worker in senders:
            yield Send(worker, fresh)

    def _rule(self, fragment: Fragment, staleness: int) -> tuple[OuterRule, float]:
        if fragment.kind == "buffers":
            rule, shared = self.method.buffer_rule()
            return rule, 1.0 / self.num_workers if shared else 1.0
        return self.method.rule, self.method.weight(self.num_workers, staleness)

    def _check_budget(self, state: HomeState, fragment: int) -> Commands:
        limit = self.total_steps
        if fragment == 0 and limit is not None and state.steps[0] >= limit:
            yield from self.spend_budget(state, f"{limit} steps")

    def _answer(self, state: HomeState, fragment: int, worker: WorkerId) -> Send:
        return Send(worker, self._fresh(state, fragment))

    def _fresh(self, state: HomeState, fragment: int) -> Fresh:
        outer = state.outer[fragment]
        data = np.empty_like(outer.theta)
        rule, _ = self._rule(self.fragments[fragment], 0)
        rule.dispatch(outer, data)
        return Fresh(fragment, outer.version, state.steps[fragment], data, state.spent)

    def _merged(
        self, push: Push, sender: int, version: int, staleness: int, weight: float, did: Applied
    ) -> Note:
        row = _row(push, sender, version, staleness) | {"weight": weight, "refused": False}
        row |= {"delta_norm": did.delta_norm, "momentum_norm": did.momentum_norm}
        row |= {
            "cosine": did.cosine,
            "kept": did.kept,
            "shrunk": did.shrunk,
            "rotated": did.rotated,
        }
        return Note("outer_update", row)

    def _refused(self, push: Push, sender: int, version: int, reason: str) -> Note:
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


def _is_finite(data: Array) -> bool:
    return measure(data, data, 0, data.size).finite


def _mean(parts: list[Array]) -> Array:
    """The mean of arrays of shape (P,), added up in the order given."""
    if len(parts) == 1:
        return parts[0]
    total = parts[0].copy()
    for part in parts[1:]:
        total += part
    total *= np.float32(1.0 / len(parts))
    return total
