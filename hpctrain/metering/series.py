"""E(t) of one device: from readings to the energy between any two instants.

A counter's difference is exact whatever lies between two readings; a power is integrated by the
trapezoid rule, exact where power changes linearly. Both are kept as integers, and E(t) between two
readings is a straight line, rounded down to whole microjoules. So E(c) - E(a) is E(b) - E(a) plus
E(c) - E(b) to the last bit, for any a, b, c: intervals that tile a run add up to the run.

Where nothing is known, E stands still and so does the covered time C: an interval knows how much
of it was covered by readings.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from operator import attrgetter

from hpctrain.metering.reading import Device, Reading

# Counters are updated up to ten times a second and in steps of up to 1 J, so that a short interval
# may show more than its own energy: this much time is added before a difference is disbelieved.
SLACK_NS = 1_000_000_000

_HALF_FJ_PER_UJ = 2 * 10**9


@dataclass(frozen=True, slots=True)
class Knot:
    """One point of E(t), since the first reading.

    Attributes:
        time_ns: on the host's monotonic clock.
        energy_uj: microjoules until then.
        covered_ns: nanoseconds until then for which the energy is known.
    """

    time_ns: int
    energy_uj: int
    covered_ns: int


class Accumulator:
    """Takes readings one by one and knows the energy to date."""

    def __init__(self, device: Device, longest_ns: int) -> None:
        """Begin at nothing.

        Args:
            device: whose readings come.
            longest_ns: powers further apart than this tell nothing of the time between.
        """
        self.device = device
        self.first: Knot | None = None  # where E(t) begins; None until there is a reading
        self.knot: Knot | None = None  # where it has come to
        self._longest_ns = longest_ns
        self._last: Reading | None = None
        self._half_fj = 0  # microwatt times nanosecond, twice
        self._broken = False

    def add(self, reading: Reading) -> None:
        """Take the next reading; one that is missing or not later than the last adds no knot."""
        if reading.value is None:
            self._broken = True
            return
        last = self._last
        if last is None or self.knot is None:
            self.first = self.knot = Knot(reading.time_ns, 0, 0)
        elif reading.time_ns <= last.time_ns:
            return
        else:
            half_fj = self._used(last, reading)
            took_ns = 0 if half_fj is None else reading.time_ns - last.time_ns
            self._half_fj += half_fj or 0
            energy_uj = self._half_fj // _HALF_FJ_PER_UJ
            self.knot = Knot(reading.time_ns, energy_uj, self.knot.covered_ns + took_ns)
        self._last, self._broken = reading, False

    def _used(self, last: Reading, reading: Reading) -> int | None:
        """Half femtojoules between two readings; None if they do not tell."""
        assert last.value is not None
        assert reading.value is not None
        took_ns = reading.time_ns - last.time_ns
        if self.device.kind == "power":
            if self._broken or took_ns > self._longest_ns or reading.value < 0:
                return None
            return (last.value + reading.value) * took_ns
        used_uj = counted_uj(self.device, last.value, reading.value, took_ns)
        return None if used_uj is None else used_uj * _HALF_FJ_PER_UJ


def counted_uj(device: Device, before_uj: int, after_uj: int, took_ns: int) -> int | None:
    """Microjoules between two values of a counter, at most one wrap apart.

    None if the counter was set back, or can have wrapped more than once.
    """
    used_uj = after_uj - before_uj
    if device.wraps_at_uj is not None:
        if device.max_w * took_ns / 1000 >= device.wraps_at_uj:
            return None
        if used_uj < 0:
            used_uj += device.wraps_at_uj
    plausible = 0 <= used_uj <= device.max_w * (took_ns + SLACK_NS) / 1000
    return used_uj if plausible else None


class Series:
    """The knots of one device, in order of time."""

    def __init__(self, knots: list[Knot] | None = None) -> None:
        self._knots = knots or []

    def add(self, knot: Knot) -> None:
        """Append `knot`, unless it is the last one again."""
        if not self._knots or knot.time_ns > self._knots[-1].time_ns:
            self._knots.append(knot)

    def at(self, time_ns: int) -> Knot:
        """E and C at an instant; before the first knot and after the last they stand still.

        Raises:
            ValueError: if there is no knot.
        """
        if not self._knots:
            raise ValueError("a series without readings has no energy at any time")
        place = bisect_right(self._knots, time_ns, key=attrgetter("time_ns"))
        if place == 0 or place == len(self._knots):
            edge = self._knots[max(0, place - 1)]
            return Knot(time_ns, edge.energy_uj, edge.covered_ns)
        return between(self._knots[place - 1], self._knots[place], time_ns)


def between(before: Knot, after: Knot, time_ns: int) -> Knot:
    """The point at `time_ns` on the line between two knots, rounded down."""
    part, whole = time_ns - before.time_ns, after.time_ns - before.time_ns
    energy_uj = before.energy_uj + (after.energy_uj - before.energy_uj) * part // whole
    covered_ns = before.covered_ns + (after.covered_ns - before.covered_ns) * part // whole
    return Knot(time_ns, energy_uj, covered_ns)
