"""The sampler of a host: a thread that looks at all sensors at a steady rate.

One rank of each host runs it. The first look is taken by `start`, before it returns, and the last
one by `stop`: nothing at the edges of a run is lost. It looks at multiples of the period after the
start, sleeps in between, and leaves out looks for which a slow sensor leaves no time.
"""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpctrain.errors import MeteringError
from hpctrain.metering.board import CAPACITY, BoardWriter
from hpctrain.metering.files import Clock
from hpctrain.metering.reading import Device, Source, is_part
from hpctrain.metering.series import Accumulator, Knot
from hpctrain.metering.shares import NOBODY, Shares, Sharing
from hpctrain.metering.walltime import compare_clocks

RATES_HZ = (0.1, 10.0)
ROWS_EVERY_S = 5.0  # what a kill loses, and up to two periods: less than 10 s at 1 Hz
LONGEST_PERIODS = 2.5  # powers further apart do not tell what was between
STOP_WAIT_S = 5.0  # for a sensor that hangs


@dataclass(frozen=True, slots=True)
class SampleRow:
    """What one device used between two looks, some seconds apart."""

    device: Device
    begin_ns: int
    end_ns: int
    energy_uj: int
    covered_ns: int


OnRows = Callable[[Sequence[SampleRow]], None]


class Sampler:
    """Looks at `sources`, writes the board, and hands out rows for the run store."""

    def __init__(
        self,
        sources: Sequence[Source],
        board: Path,
        rate_hz: float = 1.0,
        on_rows: OnRows = lambda rows: None,
        rows_every_s: float = ROWS_EVERY_S,
        clock: Clock = time.monotonic_ns,
        capacity: int = CAPACITY,
        sharing: Sharing = NOBODY,
    ) -> None:
        """Nothing is read yet.

        Args:
            sources: of this host; closed by `stop`.
            board: path of the file for the ranks.
            rate_hz: looks per second, 0.1 to 10.
            on_rows: told what every device used, in the sampler's thread and at the end in that of
                `stop`; it must not raise.
            rows_every_s: how often.
            clock: nanoseconds of the host's monotonic clock.
            capacity: samples on the board.
            sharing: how the host's energy is cut among its ranks.

        Raises:
            MeteringError: if the rate is not allowed.
        """
        low_hz, high_hz = RATES_HZ
        if not low_hz <= rate_hz <= high_hz:
            raise MeteringError(f"rate_hz is {rate_hz:g}, but {low_hz:g} to {high_hz:g} is allowed")
        self._sources = tuple(sources)
        self._clock = clock
        self._period_s = 1 / rate_hz
        self._on_rows = on_rows
        early_s = min(self._period_s / 2, rows_every_s / 10)  # looks are never exactly on time
        self._rows_every_ns = round((rows_every_s - early_s) * 1e9)
        self.devices = tuple(device for source in sources for device in source.devices)
        longest_ns = round(LONGEST_PERIODS * self._period_s * 1e9)
        self._totals = [Accumulator(device, longest_ns) for device in self.devices]
        present = {device.component for device in self.devices}
        self._counted = [not is_part(device.component, present) for device in self.devices]
        self._shares = Shares(self.devices, sharing)
        layout = self._shares.layout
        facts = {
            "host": platform.node(), "process": os.getpid(), "rate_hz": rate_hz,
            "ranks": layout.ranks, "components": layout.components,
            "shared": not sharing.exclusive,
        }  # fmt: skip
        self.wall = compare_clocks()
        self.board = BoardWriter(board, self.devices, self.wall, facts, capacity, layout.num_words)
        self._rows_from: list[Knot | None] = [None] * len(self.devices)
        self._rows_at_ns = clock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="energy sampler", daemon=True)

    def start(self) -> None:
        """Take the first look and go on in a thread; without devices there is no thread."""
        self.look()
        if self.devices:
            self._thread.start()

    def stop(self, remove: bool = True) -> None:
        """Take a last look, hand out the last rows, and end the thread.

        Args:
            remove: the board as well.
        """
        self._stop.set()
        if self._thread.ident is not None and threading.current_thread() is not self._thread:
            self._thread.join(STOP_WAIT_S)
        if not self._thread.is_alive():
            self.look(final=True)
            self._hand_out()
            for source in self._sources:
                source.close()
            self._shares.close()
            self.board.close(remove)

    def look(self, final: bool = False) -> None:
        """Read every source once. Only the sampler's thread calls it while that runs."""
        readings = [reading for source in self._sources for reading in source.read()]
        for total, reading in zip(self._totals, readings, strict=True):
            total.add(reading)
        knots = [total.knot for total in self._totals]
        now_ns = self._clock()
        counted = zip(knots, self._counted, strict=True)
        total_uj = sum(knot.energy_uj for knot, counts in counted if knot is not None and counts)
        self.board.write(now_ns, total_uj, knots, self._shares.look(now_ns, knots, final))
        if now_ns - self._rows_at_ns >= self._rows_every_ns:
            self._hand_out()

    def _run(self) -> None:
        due_s = time.monotonic() + self._period_s
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            self.look()
            late_periods = max(0.0, time.monotonic() - due_s) // self._period_s
            due_s += (1 + late_periods) * self._period_s

    def _hand_out(self) -> None:
        """What every device used since the last time; a device without a new knot has no row."""
        self._rows_at_ns = self._clock()
        rows = []
        for place, total in enumerate(self._totals):
            begin, end = self._rows_from[place] or total.first, total.knot
            if begin is not None and end is not None and end.time_ns > begin.time_ns:
                rows.append(_row(total.device, begin, end))
                self._rows_from[place] = end
        if rows:
            self._on_rows(rows)


def _row(device: Device, begin: Knot, end: Knot) -> SampleRow:
    used_uj, covered_ns = end.energy_uj - begin.energy_uj, end.covered_ns - begin.covered_ns
    return SampleRow(device, begin.time_ns, end.time_ns, used_uj, covered_ns)
