"""The round that a worker is in: where it started, what it owes, how orders are carried out.

This is the part of a workplace that is the same on MPI and in virtual time: it knows the model and
the orders of `training`, but neither clock, nor messages, nor who takes the steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from hpctrain.core.plain import plain
from hpctrain.training.fragments import Fragment
from hpctrain.training.messages import Adopt, AdoptFinal, RoundTrained, TrainRound
from hpctrain.workers.reading import Array, Reading


class ModelPort(Protocol):
    """What a round needs of a model: `Replica` has it, and the timing model of the simulator."""

    @property
    def fragments(self) -> tuple[Fragment, ...]: ...

    @property
    def exact(self) -> bool:
        """Does it hold float32, so that what was written is what will be read?"""
        ...

    def read(self, fragment: Fragment) -> Array: ...

    def begin_read(self, fragment: Fragment) -> Reading:
        """As `read`, but the array may come later; the model may be trained on meanwhile."""
        ...

    def write(self, fragment: Fragment, data: Array) -> None: ...

    def read_gradients(self, fragment: Fragment) -> Array: ...

    def write_gradients(self, fragment: Fragment, data: Array) -> None: ...


@plain
@dataclass(slots=True)
class RoundState:
    """The state of the round in progress; a plain value.

    Attributes:
        order: the round, None before the first.
        steps, tokens: done in this round; with none in progress, ahead of the next.
        anchors: per fragment what the round started from, and what its pseudo-gradient is taken
            from.
        ended: per fragment the values at the last push, kept with overlap only, until its answer is
            merged.
        expects: fragments that must be merged before the round may end.
    """

    order: TrainRound | None = None
    steps: int = 0
    tokens: int = 0
    cancelled: bool = False
    anchors: list[Array] = field(default_factory=list)
    ended: dict[int, Array] = field(default_factory=dict)
    expects: list[int] = field(default_factory=list)
    global_steps: int = 0


@dataclass(frozen=True, slots=True)
class EndedRound:
    """A round that is over, while what it reached is on its way to the host."""

    order: TrainRound
    steps: int
    tokens: int
    readings: list[Reading]  # one per fragment
    spent: float = 0.0
    seconds: float = 0.0

    def ready(self) -> bool:
        """Is everything there?"""
        return all(reading.ready() for reading in self.readings)


class Round:
    """Carries out orders on a model and works out pseudo-gradients.

    Args:
        model: the worker's replica.
        gradients: the method is `ddp`: arrays are gradients, there is no anchor.
        overlap: keep what is needed to merge while a round goes on.

    Attributes:
        seconds: seconds of computing in the round that ends, asked for where `timed`.
        timed: whether results tell them.
    """

    def __init__(self, model: ModelPort, gradients: bool, overlap: bool) -> None:
        self.model = model
        self.gradients = gradients
        self.overlap = overlap
        self.state = RoundState()
        self.timed = False
        self.seconds: Callable[[], float] = lambda: 0.0

    def set_anchors(self, values: list[Array]) -> None:
        """Say what the model holds at the start: one array per fragment."""
        if not self.gradients:
            self.state.anchors = list(values)

    def begin(self, order: TrainRound) -> None:
        """Adopt what the order brings. Steps since the last round ended count in this one."""
        state = self.state
        state.order, state.cancelled = order, False
        state.expects = list(order.expects)
        state.global_steps = order.global_steps
        for index, data in order.adopt.items():
            self._write(index, data)
        for index in order.again:
            self._write(index, state.anchors[index])

    def merge(self, order: Adopt) -> None:
        """Merge a fresh fragment and keep the steps taken since the push: fresh + (now - then).

        Steps that led to something that is not finite are not kept, and what else comes of this
        round is refused: its anchor is NaN.
        """
        state, fragment = self.state, self.model.fragments[order.fragment]
        state.global_steps = order.global_steps
        then = state.ended.pop(order.fragment)
        if fragment.kind == "parameters":
            since_then = self.model.read(fragment)
            since_then -= then
            if np.isfinite(np.add.reduce(since_then, dtype=np.float64)):
                self.model.write(fragment, order.data + since_then)
                exact = self.model.exact
                anchor = order.data if exact else self.model.read(fragment) - since_then
                state.anchors[order.fragment] = anchor
            else:
                self.model.write(fragment, order.data)
                state.anchors[order.fragment] = np.full_like(order.data, np.nan)
        state.expects.remove(order.fragment)

    def adopt_final(self, order: AdoptFinal) -> None:
        """Take over the final fragments; of `ddp` only buffers, for its homes keep gradients."""
        self.state.global_steps = order.global_steps
        for index, data in order.adopt.items():
            if not self.gradients or self.model.fragments[index].kind == "buffers":
                self._write(index, data, final=True)

    @property
    def complete(self) -> bool:
        """Is the round to end now?"""
        state = self.state
        if state.order is None or state.expects:
            return False
        return state.cancelled or state.steps >= state.order.steps

    def result(self, gradients: bool = False, spent: float = 0.0) -> RoundTrained:
        """What the round learned, and what energy it took. The round is over with this."""
        model, fragments = self.model, self.model.fragments
        order, steps, tokens = self._over()
        if gradients:
            data = [model.read_gradients(fragment) for fragment in fragments]
            return RoundTrained(order.round, 1, tokens, data, spent)
        seconds = self._seconds()
        data = [self._learned(f, model.read(f)) for f in fragments] if steps else []
        return RoundTrained(order.round, steps, tokens, data, spent, seconds)

    def end(self, spent: float = 0.0) -> EndedRound:
        """The round is over, but what it learned is only on its way: see `result_of`."""
        order, steps, tokens = self._over()
        fragments = self.model.fragments if steps else ()
        readings = [self.model.begin_read(fragment) for fragment in fragments]
        return EndedRound(order, steps, tokens, readings, spent, self._seconds())

    def result_of(self, ended: EndedRound) -> RoundTrained:
        """What `ended` learned; waits for it. No order may be carried out in between."""
        data = [
            self._learned(fragment, reading.array())
            for fragment, reading in zip(self.model.fragments, ended.readings, strict=False)
        ]
        return RoundTrained(
            ended.order.round, ended.steps, ended.tokens, data, ended.spent, ended.seconds
        )

    def _seconds(self) -> float:
        return self.seconds() if self.timed else 0.0

    def _over(self) -> tuple[TrainRound, int, int]:
        """The order, steps and tokens of the round in progress, which is no longer."""
        state = self.state
        assert state.order is not None
        over = (state.order, state.steps, state.tokens)
        state.order, state.steps, state.tokens = None, 0, 0
        return over

    def _learned(self, fragment: Fragment, end: Array) -> Array:
        """The pseudo-gradient of a round that ended at `end`, which is given away."""
        if self.overlap:
            self.state.ended[fragment.index] = end
        if fragment.kind == "buffers":
            return end
        start = self.state.anchors[fragment.index]
        return start - end if self.overlap else np.subtract(start, end, out=end)

    def _write(self, index: int, data: Array, final: bool = False) -> None:
        fragment = self.model.fragments[index]
        if self.gradients and not final:
            self.model.write_gradients(fragment, data)
            return
        self.model.write(fragment, data)
        if not self.gradients:
            # A pseudo-gradient must not contain the rounding of what was written.
            self.state.anchors[index] = data if self.model.exact else self.model.read(fragment)
