"""How many inner steps a worker takes in its next round: the home of fragment 0 tells it.

    fixed    H = sync_every for all
    dylu     H_w = max(min_steps, floor(v_w / v_ref H)), so that all rounds take the same time:
             Dynamic Local Updates, arXiv 2401.09135, equation 6; v are measured steps per second
    clock    as many as fit: a round of any worker ends when T = K H / sum v seconds have passed
    groups   between min_steps and H, so that a worker arrives together with others: after the
             scheduler of FedCompass, arXiv 2309.14675

v_ref is the fastest worker's speed, or the 90th percentile, which one wrong measurement does not
upset. With `mean`, H is that of v_ref for which the mean over the workers is sync_every.

`groups` keeps the moment at which each worker is due. Who asks joins the group that is due at T and
lets it take the most steps, q = floor((T - now) v_w), if min_steps <= q <= H; else it makes a new
group for the next time that the fastest worker comes round, q = floor((T + H / v_max - now) v_w).
FedCompass has a slack for latecomers; here that is `grace_s`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from hpctrain.core.events import WorkerId
from hpctrain.core.plain import plain

Schedule = Literal["fixed", "dylu", "groups", "clock"]

FIRST_ROUND = 0.1  # of a round by the clock: how fast workers are is not known yet
SMOOTHING = 0.5  # of a measured speed, against the one before
LEAST_ROUND = 0.25  # a round by the clock is at least so much of the usual one
ROUND_OFF = 1e-6  # 60 / 6 steps are 10, although floats may say 9.999...


@plain
@dataclass(slots=True)
class Paces:
    """What the home knows: steps per second of each worker, and when it is due.

    `ends_s` is when the round ends that all have been told of, with `clock`.
    """

    speeds: dict[WorkerId, float] = field(default_factory=dict)
    due_s: dict[WorkerId, float] = field(default_factory=dict)
    ends_s: float = 0.0


@dataclass(frozen=True, slots=True)
class LocalSteps:
    """The schedule and its constants; see the head of this file."""

    schedule: Schedule = "fixed"
    min_steps: int = 1
    mean: bool = False
    reference: Literal["max", "p90"] = "max"

    @property
    def timed(self) -> bool:
        """Must the workers measure how fast they are?"""
        return self.schedule != "fixed"

    def observe(self, paces: Paces, worker: WorkerId, speed: float) -> None:
        """A round of `worker` was over; a speed of 0 was not measured."""
        if not self.timed:
            return
        paces.due_s.pop(worker, None)
        if speed > 0:
            before = paces.speeds.get(worker, speed)
            paces.speeds[worker] = before + SMOOTHING * (speed - before)

    def steps(
        self,
        paces: Paces,
        worker: WorkerId,
        sync_every: int,
        now_s: float,
        left: Collection[WorkerId] = (),
    ) -> int | None:
        """Steps of the next round of `worker`; None: as many as before."""
        speeds = {w: v for w, v in paces.speeds.items() if w not in left or w == worker}
        if not self.timed or worker not in speeds:
            return None
        if self.schedule == "clock":
            return 2 * len(speeds) * sync_every  # more than fit: time ends the round
        if self.schedule == "dylu":
            return self._dylu(speeds, worker, sync_every)
        due_s = [at_s for w, at_s in paces.due_s.items() if w not in left and at_s > now_s]
        steps = self._together(sorted(set(due_s)), speeds, worker, sync_every, now_s)
        paces.due_s[worker] = now_s + steps / speeds[worker]
        return steps

    def first_steps(self, sync_every: int) -> int:
        """Steps of the first round of all."""
        return math.ceil(sync_every * FIRST_ROUND) if self.by_clock else sync_every

    def expected_steps(
        self, paces: Paces, worker: WorkerId, sync_every: int, present: Collection[WorkerId]
    ) -> int:
        """As many as are likely to fit into a round by the clock; what nobody knows is usual."""
        round_s = self.round_s(paces, sync_every, present)
        if round_s is None or worker not in paces.speeds:
            return sync_every
        return max(1, round(paces.speeds[worker] * round_s))

    @property
    def by_clock(self) -> bool:
        """Do rounds end by time, and not by a number of steps?"""
        return self.schedule == "clock"

    def round_s(self, paces: Paces, sync_every: int, present: Collection[WorkerId]) -> float | None:
        """How long a round lasts so that workers take `sync_every` steps in the mean.

        None: not all who are `present` have told how fast they are.
        """
        speeds = [paces.speeds.get(worker, 0.0) for worker in present]
        known = bool(speeds) and min(speeds) > 0
        return len(speeds) * sync_every / sum(speeds) if known else None

    def next_end_s(
        self, paces: Paces, round_s: float, now_s: float, last_s: float = math.inf
    ) -> float:
        """When the round in progress is to end: one round after the last one, for all alike.

        Who is answered long after it ended joins the others at the next end. The last one of all is
        at `last_s`.
        """
        least_s = round_s * LEAST_ROUND
        if paces.ends_s < now_s + least_s:
            paces.ends_s = max(paces.ends_s + round_s, now_s + least_s)
        paces.ends_s = min(paces.ends_s, last_s)
        return paces.ends_s

    def _dylu(self, speeds: dict[WorkerId, float], worker: WorkerId, sync_every: int) -> int:
        values = np.array(sorted(speeds.values()))
        reference = float(values[-1] if self.reference == "max" else np.percentile(values, 90))
        longest = float(sync_every)
        if self.mean:
            longest *= reference / float(np.minimum(values, reference).mean())
        share = min(speeds[worker] / reference, 1.0)
        return max(self.min_steps, math.floor(share * longest + ROUND_OFF))

    def _together(
        self,
        due_s: list[float],
        speeds: dict[WorkerId, float],
        worker: WorkerId,
        sync_every: int,
        now_s: float,
    ) -> int:
        speed = speeds[worker]
        joining = [math.floor((at_s - now_s) * speed + ROUND_OFF) for at_s in due_s]
        possible = [q for q in joining if self.min_steps <= q <= sync_every]
        if possible:
            return max(possible)
        cycle_s = sync_every / max(speeds.values())
        next_time = [math.floor((at_s + cycle_s - now_s) * speed + ROUND_OFF) for at_s in due_s]
        possible = [q for q in next_time if q <= sync_every]
        return max(self.min_steps, max(possible, default=sync_every))
