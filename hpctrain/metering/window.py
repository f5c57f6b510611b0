"""The energy of a host between two instants of a rank's life, from the board.

A rank marks an instant, which costs microseconds, and asks later: E(t) at the mark is a line
between the samples around it, so that it is known when the next sample is there. Intervals that
share a mark share its E, so that they add up exactly.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain

from hpctrain.metering.account import HostEnergy, host_energy
from hpctrain.metering.board import BoardReader, Sample
from hpctrain.metering.files import Clock
from hpctrain.metering.series import Knot, between

PATIENCE = 3  # samples after a mark, for which it waits for a device whose readings are missing


class Mark:
    """An instant, and E(t) of all devices there as soon as it is known."""

    def __init__(self, time_ns: int, before: Sample | None) -> None:
        self.time_ns = time_ns
        self.before = before  # the newest sample then: kept, as the ring may go round until asked
        self.knots: dict[str, Knot] | None = None


class Windows:
    """Marks on one host's board."""

    def __init__(self, board: BoardReader, clock: Clock = time.monotonic_ns) -> None:
        self._board = board
        self._clock = clock

    def mark(self) -> Mark:
        """Now."""
        return Mark(self._clock(), self._board.last())

    def settle(self, mark: Mark, final: bool = False) -> bool:
        """Whether E(t) is known at `mark`, after looking at the samples since.

        Args:
            mark: of this board.
            final: no more samples come: where there is none after the mark, E stands still.
        """
        if mark.knots is not None:
            return True
        samples = list(self._around(mark))
        names = [device.name for device in self._board.devices]
        knots: dict[str, Knot] = {}
        waiting = False
        for place, name in enumerate(names):
            found, complete = _at(mark.time_ns, [sample.knots[place] for sample in samples])
            waiting = waiting or not complete
            if found is not None:
                knots[name] = found
        late = sum(sample.time_ns > mark.time_ns for sample in samples)
        if waiting and late < PATIENCE and not final:
            return False
        mark.knots, mark.before = knots, None
        return True

    def between(self, begin: Mark, end: Mark) -> HostEnergy:
        """What the host used from `begin` to `end`.

        Raises:
            ValueError: if one of them is not settled.
        """
        if begin.knots is None or end.knots is None:
            raise ValueError("energy between marks is known once both are settled")
        duration_ns = end.time_ns - begin.time_ns
        return host_energy(self._board.devices, begin.knots, end.knots, duration_ns)

    def _around(self, mark: Mark) -> Iterator[Sample]:
        """The sample before the mark, and those after it until some are well behind it."""
        board = self._board
        first = mark.before.number if mark.before else 1
        start = max(first, board.oldest_number())
        later = 0
        found = (board.sample(number) for number in range(start, board.count + 1))
        for sample in chain((mark.before,), found):
            if sample is None:
                continue
            yield sample
            later += sample.time_ns > mark.time_ns
            if later > PATIENCE:
                return


def _at(time_ns: int, knots: list[Knot | None]) -> tuple[Knot | None, bool]:
    """E(t) on the line between the knots around `time_ns`, and whether there is one after it."""
    before: Knot | None = None
    for knot in knots:
        if knot is None:
            continue
        if knot.time_ns >= time_ns:
            return (between(before, knot, time_ns) if before else _flat(knot, time_ns)), True
        before = knot
    return (_flat(before, time_ns) if before else None), False


def _flat(knot: Knot, time_ns: int) -> Knot:
    """Outside the readings E stands still."""
    return Knot(time_ns, knot.energy_uj, knot.covered_ns)
