"""The file in which a host's sampler writes and all its ranks read, without a lock or a message.

    head    magic, sizes, and as JSON: devices, clock, host, process
    count   samples so far
    ring    the last samples; each has its number, time, the host's total, for every device the
            knot of E(t) (time, microjoules, covered nanoseconds), the shares of the ranks (see
            `shares`), and two checks

The file is mapped into memory by all. A sample is valid if its number stands before and after it
was read, and its checks (an exclusive or for the first words, a CRC-32 for all) are right: a reader
that meets one half written, on a processor of any memory order or after the writer was killed, sees
it and takes the one before. The size is fixed: days of samples need no more.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from hpctrain.errors import MeteringError
from hpctrain.metering.reading import Device
from hpctrain.metering.series import Knot
from hpctrain.metering.shares import Layout
from hpctrain.metering.walltime import WallClock

MAGIC = b"hpcjoul2"
CAPACITY = 4096  # samples: an hour at 1 Hz, seven minutes at 10 Hz
LARGEST_BYTES = 16 * 2**20  # of the ring: with very many ranks on a host it has fewer samples

_SIZES = struct.Struct("=8sqqqq")  # magic, bytes of JSON, capacity, devices, words of shares
_PAGE = 4096
_FIXED = 4  # number, time, total, and the check of these three
_NO_TIME = -(2**63)  # the time of a knot that is not there yet


@dataclass(frozen=True, slots=True)
class Sample:
    """What the sampler knew at one instant.

    Attributes:
        number: from 1.
        time_ns: of the last reading in it.
        total_uj: of the host, without parts that are in other devices.
        knots: one for each device; None before its first reading.
        shares: words of `shares.Layout`.
    """

    number: int
    time_ns: int
    total_uj: int
    knots: tuple[Knot | None, ...]
    shares: tuple[int, ...] = ()


class _Mapped:
    """The words of the file, and where things are in them."""

    def __init__(self, path: Path, writable: bool) -> None:
        flags = os.O_RDWR if writable else os.O_RDONLY
        file = os.open(path, flags | os.O_CLOEXEC)
        try:
            access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
            self._map = mmap.mmap(file, 0, access=access)
        finally:
            os.close(file)
        magic, json_bytes, capacity, num_devices, num_shares = _SIZES.unpack_from(self._map)
        if magic != MAGIC:
            raise MeteringError(f"{path}: not a file of energy samples")
        self.capacity: int = capacity
        self.facts: dict[str, Any] = json.loads(self._map[_SIZES.size : _SIZES.size + json_bytes])
        self.words: memoryview[int] = memoryview(self._map).cast("q")
        self.count_at = _count_at(json_bytes)
        self.shares_at = _FIXED + 3 * num_devices
        self.slot_words = _slot_words(num_devices, num_shares)

    def slot(self, number: int) -> int:
        """Where the sample `number` has its first word."""
        return self.count_at + 1 + (number - 1) % self.capacity * self.slot_words

    def close(self) -> None:
        self.words.release()
        self._map.close()


class BoardWriter:
    """The sampler's side."""

    def __init__(
        self,
        path: Path,
        devices: Sequence[Device],
        wall: WallClock,
        facts: Mapping[str, Any],
        capacity: int = CAPACITY,
        num_shares: int = 0,
    ) -> None:
        """Make the file, whole or not at all.

        Args:
            path: of the file; one that is there is replaced.
            devices: in the order of the knots.
            wall: of this host.
            facts: more for readers, such as the host's name.
            capacity: samples that are kept.
            num_shares: words of `shares.Layout`.

        Raises:
            OSError: if it cannot be made.
        """
        slot_words = _slot_words(len(devices), num_shares)
        capacity = max(4, min(capacity, LARGEST_BYTES // (8 * slot_words)))
        head = {"devices": [asdict(device) for device in devices], "clock": asdict(wall), **facts}
        text = json.dumps(head).encode()
        size = 8 * (_count_at(len(text)) + 1 + capacity * slot_words)
        part = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with part.open("wb") as file:
                sizes = _SIZES.pack(MAGIC, len(text), capacity, len(devices), num_shares)
                file.write(sizes + text)
                # a full disk is an error here, not later
                os.posix_fallocate(file.fileno(), 0, size)
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink()
            raise
        self.path = path
        self._mapped = _Mapped(path, writable=True)
        self._count = 0

    def write(
        self,
        time_ns: int,
        total_uj: int,
        knots: Sequence[Knot | None],
        shares: Sequence[int] = (),
    ) -> Sample:
        """Add a sample; the oldest goes when the ring is full."""
        number = self._count + 1
        words, at = self._mapped.words, self._mapped.slot(number)
        packed = _packed(number, time_ns, total_uj, knots, shares)
        words[at] = 0  # whoever reads it now, reads nothing
        words[at + 1 : at + len(packed)] = memoryview(packed)[1:]
        words[at] = number
        words[self._mapped.count_at] = self._count = number
        return Sample(number, time_ns, total_uj, tuple(knots), tuple(shares))

    def close(self, remove: bool = True) -> None:
        """Let go of the file. Ranks that have it open go on reading."""
        self._mapped.close()
        if remove:
            self.path.unlink(missing_ok=True)


class BoardReader:
    """A rank's side.

    Attributes:
        devices: in the order of the knots.
        wall: the host's clock.
        facts: what the writer said.
        layout: of the shares.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: if it is not there.
            MeteringError: if it is another kind of file.
        """
        self._mapped = _Mapped(path, writable=False)
        self.facts = self._mapped.facts
        self.devices = tuple(Device(**device) for device in self.facts["devices"])
        self.wall = WallClock(**self.facts["clock"])
        self.layout = Layout(
            tuple(self.facts.get("ranks", ())), tuple(self.facts.get("components", ()))
        )

    @property
    def count(self) -> int:
        """Samples so far."""
        return self._mapped.words[self._mapped.count_at]

    def to_date(self) -> tuple[int, int]:
        """Time and microjoules of the host at the last sample; (0, 0) before the first."""
        mapped = self._mapped
        newest = mapped.words[mapped.count_at]
        for number in (newest, newest - 1):
            at = mapped.slot(number)
            found, time_ns, total_uj, check = mapped.words[at : at + _FIXED]
            still = mapped.words[at]
            if still == found == number > 0 and found ^ time_ns ^ total_uj == check:
                return time_ns, total_uj
        return 0, 0

    def sample(self, number: int) -> Sample | None:
        """Sample `number`; None if it is gone, not there yet, or only half there."""
        words = self._words(number)
        if words is None:
            return None
        end = self._mapped.shares_at
        knots = zip(*(words[_FIXED + part : end : 3] for part in range(3)), strict=True)
        return Sample(
            number, words[1], words[2],
            tuple(None if knot[0] == _NO_TIME else Knot(*knot) for knot in knots),
            tuple(words[end:-1]),
        )  # fmt: skip

    def shares(self, number: int) -> tuple[int, ...] | None:
        """The shares of sample `number`; None as for `sample`, of which they are a part."""
        words = self._words(number)
        return None if words is None else tuple(words[self._mapped.shares_at : -1])

    def _words(self, number: int) -> list[int] | None:
        if not 0 < number <= self.count:
            return None
        mapped = self._mapped
        at = mapped.slot(number)
        words = mapped.words[at : at + mapped.slot_words].tolist()
        whole = mapped.words[at] == words[0] == number and _check(words[:-1]) == words[-1]
        return words if whole else None

    def last(self) -> Sample | None:
        """The newest whole sample."""
        count = self.count
        for number in (count, count - 1):
            found = self.sample(number)
            if found is not None:
                return found
        return None

    def oldest_number(self) -> int:
        """The first sample that is still kept, and not about to be written over."""
        return max(1, self.count - self._mapped.capacity + 2)

    def close(self) -> None:
        self._mapped.close()


def _packed(
    number: int,
    time_ns: int,
    total_uj: int,
    knots: Sequence[Knot | None],
    shares: Sequence[int],
) -> array[int]:
    words = array("q", (number, time_ns, total_uj, number ^ time_ns ^ total_uj))
    for knot in knots:
        if knot is None:
            words.extend((_NO_TIME, 0, 0))
        else:
            words.extend((knot.time_ns, knot.energy_uj, knot.covered_ns))
    words.extend(shares)
    words.append(crc32(words))
    return words


def _check(words: Sequence[int]) -> int:
    """Of a slot's words but the last: parts of two samples do not pass."""
    return crc32(array("q", words).tobytes())


def _count_at(json_bytes: int) -> int:
    """The word of the count: at the beginning of the page after the head."""
    return -(-(_SIZES.size + json_bytes) // _PAGE) * _PAGE // 8


def _slot_words(num_devices: int, num_shares: int) -> int:
    return _FIXED + 3 * num_devices + num_shares + 1
