"""The home of fragments: applies the outer rule to what arrives, and answers.

Asynchronous methods apply each push as it arrives and answer its sender; with a grace period they
answer all together who arrive within it (arXiv 2401.09135, algorithm 2). Synchronous methods
collect the pushes of a round, apply the rule to their mean in the order of workers (so that
arrival order leaves no trace in the bits) and answer all. Who has left is no longer waited for,
and with a quorum nobody is: who is late takes part in the next round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from math import ceil, inf

import numpy as np

from hpctrain.core.events import Command, Note, Send, SetTimer, WorkerId
from hpctrain.training.fragments import Fragment
from hpctrain.training.messages import BudgetSpent, Final, Fresh, Members, Push
from hpctrain.training.methods import Method
from hpctrain.training.state import HomeState, Window
from hpctrain.training.updates import Updates, refused

Commands = Iterator[Command]

AUTO_GRACE = 0.5  # of a round by the clock
ROUND_OFF = 1e-6  # 0.07 of 100 workers are 7, although floats say 7.000...1


@dataclass(frozen=True, slots=True)
class EnergyBudget:
    """What a run may use in all, and in which unit; `before` was used by earlier parts of it."""

    limit: float
    unit: str
    before: float = 0.0


@dataclass(frozen=True, slots=True)
class Home:
    """The rules of a home; its state is a `HomeState`."""

    updates: Updates
    total_steps: int | None
    energy: EnergyBudget | None = None
    total_bytes: float | None = None

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        return self.updates.fragments

    @property
    def method(self) -> Method:
        return self.updates.method

    @property
    def num_workers(self) -> int:
        return self.updates.num_workers

    def push(self, state: HomeState, sender: WorkerId, push: Push, now_s: float) -> Commands:
        """A push arrived."""
        if push.fragment == 0:
            state.spent += push.spent
            if not state.budget_spent:  # afterwards rounds are cut short
                state.round_spent[sender] = push.spent
            state.sent += self._round_bytes(sender) if self.total_bytes is not None else 0.0
        if push.fragment == min(state.outer):
            self.method.local_steps.observe(state.paces, sender, push.speed)
        yield from self._take(state, sender, push, now_s)
        yield from self.check_energy(state)
        yield from self.check_bytes(state)

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

    def check_bytes(self, state: HomeState) -> Commands:
        """End the run before it would send more than it may: if no other round of all fits."""
        limit = self.total_bytes
        if limit is None or not state.round_spent or state.budget_spent or state.closed:
            return
        going_on = self._present(state)
        if self.is_sent(state.sent, going_on):
            used = f"{state.sent / 1e9:.4g} of {limit / 1e9:g} GB sent"
            yield from self.spend_budget(state, f"{used}; another round would exceed it")

    def is_sent(self, sent: float, workers: Collection[WorkerId]) -> bool:
        """Would another round of `workers` exceed what may be sent?"""
        limit = self.total_bytes
        return limit is not None and sent + sum(map(self._round_bytes, workers)) > limit

    def _round_bytes(self, worker: WorkerId) -> float:
        """Of a push and its answer, float32; what lives at the worker itself need not travel."""
        return 8.0 * sum(f.numel for f in self.fragments if f.home != worker)

    def leave(self, state: HomeState, worker: WorkerId, now_s: float) -> Commands:
        """A worker left, or was lost: nothing more will come from it."""
        if worker in state.left:
            return
        state.left.append(worker)
        for fragment in state.outer:
            if self.method.synchronous:
                yield from self._merge(state, fragment, now_s)
            elif not self.method.in_parts or self._is_complete(state, fragment):
                yield from self._close_window(state, fragment, now_s)
        if len(state.left) == self.num_workers:
            yield from self.close(state)

    def close(self, state: HomeState) -> Commands:
        """Everyone has left: tell everyone how the fragments ended."""
        for fragment, pool in state.pools.items():
            if pool:  # of who was lost before its round was called
                yield from self.updates.round(state, fragment, pool)
        state.pools, state.members, state.windows = {}, {}, {}
        state.closed = True
        for fragment, outer in state.outer.items():
            yield from self.updates.complete(state, fragment)
            steps, rounds = state.steps[fragment], state.rounds[fragment]
            final = Final(
                fragment, outer.version, steps, rounds, outer.theta.copy(), state.spent, state.sent,
                sum(state.round_spent.values(), 0.0),
            )  # fmt: skip
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

    def end(self, state: HomeState, now_s: float) -> Commands:
        """The run's budget is spent: nobody is to be waited for with an answer."""
        if self.method.synchronous:
            return  # all workers hand in what they have, and that completes the round
        state.ending, state.left_before = True, list(state.left)
        if self.method.in_parts:
            return  # likewise
        for fragment in list(state.windows):
            yield from self._close_window(state, fragment, now_s)

    def members(self, state: HomeState, workers: tuple[WorkerId, ...], now_s: float) -> Commands:
        """The home of fragment 0 has called a round."""
        if state.closed:
            return
        for fragment in state.outer:
            if fragment != 0:
                state.members.setdefault(fragment, []).append(workers)
                yield from self._merge(state, fragment, now_s)

    def set_timers(self, state: HomeState) -> Commands:
        """Ask again for the timers of windows that were open when the run was saved."""
        for fragment, window in state.windows.items():
            if window.closes_s < inf:
                yield SetTimer(window.timer(fragment), window.closes_s)

    def time_is_over(self, state: HomeState, timer: str, now_s: float) -> Commands:
        """The timer of a window fired; the window may have closed before."""
        for fragment, window in list(state.windows.items()):
            if window.timer(fragment) != timer:
                continue
            if self.method.synchronous:
                yield from self._call_round(state, now_s)
            else:
                yield from self._close_window(state, fragment, now_s)

    def _take(self, state: HomeState, sender: WorkerId, push: Push, now_s: float) -> Commands:
        version = state.outer[push.fragment].version
        if push.base_version > version:
            yield refused(push, sender, version, "its base version is ahead of the home")
            yield from self._answer(state, push.fragment, [sender], now_s)
        elif self.method.synchronous:
            if self.method.waiting.quorum is None:
                rounds = state.collected.setdefault(push.fragment, {})
                rounds.setdefault(push.round, {})[sender] = push
            else:
                state.pools.setdefault(push.fragment, {})[sender] = push
            yield from self._merge(state, push.fragment, now_s)
        elif self.method.waiting.grace_s != 0 and (self.method.in_parts or not state.ending):
            yield from self._into_window(state, sender, push, now_s)
        else:
            yield from self.updates.one(state, sender, push)
            yield from self._answer(state, push.fragment, [sender], now_s)
            yield from self._check_budget(state, push.fragment)

    # --- windows of asynchronous methods

    def _into_window(
        self, state: HomeState, sender: WorkerId, push: Push, now_s: float
    ) -> Commands:
        fragment = push.fragment
        if fragment not in state.windows:
            yield from self._open_window(state, fragment, now_s)
        window = state.windows[fragment]
        window.senders.append(sender)
        if self.method.waiting.group == "mean":
            window.pushes[sender] = push
        else:
            yield from self.updates.one(state, sender, push)
        yield from self._check_budget(state, fragment)
        if self._is_complete(state, fragment):
            yield from self._close_window(state, fragment, now_s)

    def _is_complete(self, state: HomeState, fragment: int) -> bool:
        """Is everyone in the window who has not left?"""
        window = state.windows.get(fragment)
        return window is not None and all(w in window.senders for w in self._present(state))

    def _open_window(self, state: HomeState, fragment: int, now_s: float) -> Commands:
        state.num_windows += 1
        window = Window(state.num_windows, now_s + self._grace_s(state))
        state.windows[fragment] = window
        if window.closes_s < inf:
            yield SetTimer(window.timer(fragment), window.closes_s)

    def _grace_s(self, state: HomeState) -> float:
        grace_s, method = self.method.waiting.grace_s, self.method
        if grace_s is not None:
            return grace_s
        round_s = method.local_steps.round_s(state.paces, method.sync_every, self._present(state))
        return inf if round_s is None else round_s * AUTO_GRACE

    def _close_window(self, state: HomeState, fragment: int, now_s: float) -> Commands:
        window = state.windows.pop(fragment, None)
        if window is None:
            return
        if window.pushes:
            yield from self.updates.together(state, fragment, window.pushes)
            yield from self._check_budget(state, fragment)
        yield from self._answer(state, fragment, window.senders, now_s)

    # --- rounds of synchronous methods

    def _merge(self, state: HomeState, fragment: int, now_s: float) -> Commands:
        """Merge what is complete by now."""
        if self.method.waiting.quorum is None:
            yield from self._merge_complete(state, fragment, now_s)
        elif fragment == 0:
            yield from self._look_for_quorum(state, now_s)
        else:
            yield from self._merge_called(state, fragment, now_s)

    def _merge_complete(self, state: HomeState, fragment: int, now_s: float) -> Commands:
        """Apply the oldest collected rounds of `fragment` for which nobody is missing any more."""
        rounds = state.collected.get(fragment, {})
        while rounds:
            number = min(rounds)
            if any(worker not in rounds[number] for worker in self._present(state)):
                return
            yield from self._merge_round(state, fragment, rounds.pop(number), number + 1, now_s)

    def _look_for_quorum(self, state: HomeState, now_s: float) -> Commands:
        pool, present = state.pools.get(0, {}), self._present(state)
        if not pool:
            return
        if all(worker in pool for worker in present):
            yield from self._call_round(state, now_s)
        elif len(pool) >= min(self._quorum, len(present)):
            if self.method.waiting.grace_s == 0:
                yield from self._call_round(state, now_s)
            elif 0 not in state.windows:
                yield from self._open_window(state, 0, now_s)

    @property
    def _quorum(self) -> int:
        quorum = self.method.waiting.quorum
        assert quorum is not None
        if isinstance(quorum, float):
            return ceil(quorum * self.num_workers - ROUND_OFF)
        return quorum

    def _call_round(self, state: HomeState, now_s: float) -> Commands:
        """Merge fragment 0 from who is there, and tell the other homes who that is."""
        state.windows.pop(0, None)
        pool = state.pools.pop(0)
        members = Members(tuple(sorted(pool)))
        for home in sorted({fragment.home for fragment in self.fragments if fragment.index}):
            yield Send(home, members)
        yield from self._merge_round(state, 0, pool, state.rounds[0] + 1, now_s)

    def _merge_called(self, state: HomeState, fragment: int, now_s: float) -> Commands:
        called, pool = state.members.get(fragment, []), state.pools.setdefault(fragment, {})
        while called:
            if any(worker not in pool and worker not in state.left for worker in called[0]):
                return
            pushes = {worker: pool.pop(worker) for worker in called.pop(0) if worker in pool}
            if pushes:
                number = state.rounds[fragment] + 1
                yield from self._merge_round(state, fragment, pushes, number, now_s)

    def _merge_round(
        self,
        state: HomeState,
        fragment: int,
        pushes: dict[WorkerId, Push],
        rounds: int,
        now_s: float,
    ) -> Commands:
        yield from self.updates.round(state, fragment, pushes)
        state.rounds[fragment] = rounds
        yield from self._answer(state, fragment, sorted(pushes), now_s)

    # --- answers

    def _present(self, state: HomeState) -> list[WorkerId]:
        return [worker for worker in range(self.num_workers) if worker not in state.left]

    def _check_budget(self, state: HomeState, fragment: int) -> Commands:
        limit = self.total_steps
        if fragment == 0 and limit is not None and state.steps[0] >= limit:
            yield from self.spend_budget(state, f"{limit} steps")

    def _answer(
        self, state: HomeState, fragment: int, workers: Collection[WorkerId], now_s: float
    ) -> Commands:
        outer = state.outer[fragment]
        data = np.empty_like(outer.theta)
        self.updates.rule(fragment).dispatch(outer, data)
        fresh = Fresh(
            fragment, outer.version, state.steps[fragment], data, state.spent, sent=state.sent,
            ends_in_s=None if fragment else self._ends_in_s(state, now_s),
        )  # fmt: skip
        for worker in workers:
            yield Send(worker, self._with_orders(state, worker, fresh, now_s))

    def _with_orders(self, state: HomeState, worker: WorkerId, fresh: Fresh, now_s: float) -> Fresh:
        """The home of fragment 0 says how a worker is to go on."""
        method = self.method
        if fresh.fragment != 0 or not (method.local_steps.timed or method.domains.count):
            return fresh
        steps = self._steps_of(state, worker, now_s)
        domain = self._domain(state, worker, steps) if method.domains.count else None
        if steps is None and domain is None:
            return fresh
        return replace(fresh, next_steps=steps, domain=domain)

    def _domain(self, state: HomeState, worker: WorkerId, steps: int | None) -> int | None:
        """The domain of a round that was told `steps`: by the clock as many as are likely count."""
        schedule, likely = self.method.local_steps, steps or self.method.sync_every
        if schedule.by_clock:
            present = self._present(state)
            likely = schedule.expected_steps(state.paces, worker, self.method.sync_every, present)
        return self.method.domains.give_out(state.visits, likely)

    def _ends_in_s(self, state: HomeState, now_s: float) -> float | None:
        schedule, sync_every = self.method.local_steps, self.method.sync_every
        if not schedule.by_clock:
            return None
        present = self._present(state)
        round_s = schedule.round_s(state.paces, sync_every, present)
        if round_s is None:
            return None
        last_s = inf
        if self.total_steps is not None:  # the last round ends when what is left has been taken
            steps_left = max(0, self.total_steps - state.steps[0]) + len(present) / 2
            last_s = now_s + steps_left * round_s / (len(present) * sync_every)
        return schedule.next_end_s(state.paces, round_s, now_s, last_s) - now_s

    def _steps_of(self, state: HomeState, worker: WorkerId, now_s: float) -> int | None:
        method = self.method
        return method.local_steps.steps(state.paces, worker, method.sync_every, now_s, state.left)
