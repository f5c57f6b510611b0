"""A source whose devices are files with one number each, in our own units."""

from __future__ import annotations

import time
from collections.abc import Iterable

from hpctrain.metering.files import Clock, NumberFile, timed
from hpctrain.metering.reading import Device, Reading


class NumberFileSource:
    """One file for each device, read one after the other."""

    def __init__(
        self, pairs: Iterable[tuple[Device, NumberFile]], clock: Clock = time.monotonic_ns
    ) -> None:
        found = tuple(pairs)
        self.devices = tuple(device for device, _ in found)
        self._files = tuple(file for _, file in found)
        self._clock = clock

    def read(self) -> tuple[Reading, ...]:
        return tuple(Reading(*timed(file.read, self._clock)) for file in self._files)

    def close(self) -> None:
        for file in self._files:
            file.close()
