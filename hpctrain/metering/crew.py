"""The ranks of the job on one host: their cores, their GPUs, and the processor time they have used.

The processor-time clock of a process can be read by others (clock_getcpuclockid(3)): nanoseconds of
all of its threads. Children, such as the workers of a DataLoader, are counted with the rank that
started them, for as long as they were seen alive.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpctrain.metering.load import ProcFile

CORE = 840  # parts of a core: up to 8 ranks that share one get whole numbers
CHILDREN_EVERY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One rank, as it says of itself.

    Attributes:
        rank: in the job.
        host: where it is.
        pid: of its process.
        cores: that it may run on.
        gpus: names of the devices that are its own, such as "gpu:GPU-1f2e...".
    """

    rank: int
    host: str
    pid: int
    cores: tuple[int, ...]
    gpus: tuple[str, ...] = ()


def this_member(rank: int, host: str, gpus: Sequence[str] = ()) -> Member:
    """The rank that calls."""
    cores = tuple(sorted(os.sched_getaffinity(0)))
    return Member(rank, host, os.getpid(), cores, tuple(gpus))


def core_parts(crew: Sequence[Member]) -> list[int]:
    """How much of the cores is each rank's, in parts of a core; shared cores are cut equally."""
    users: dict[int, int] = {}
    for member in crew:
        for core in member.cores:
            users[core] = users.get(core, 0) + 1
    return [sum(CORE // users[core] for core in member.cores) for member in crew]


def gpu_owners(crew: Sequence[Member]) -> dict[str, tuple[int, ...]]:
    """The ranks of each GPU."""
    owners: dict[str, tuple[int, ...]] = {}
    for member in crew:
        for gpu in member.gpus:
            owners[gpu] = (*owners.get(gpu, ()), member.rank)
    return owners


@dataclass
class ProcessTime:
    """Processor time of a process and of its children, in nanoseconds; never goes back."""

    pid: int
    proc: Path = Path("/proc")
    _seen: dict[int, int] = field(default_factory=dict)
    _gone_ns: int = 0
    _look_at_ns: int = -1

    def __post_init__(self) -> None:
        self._children = ProcFile(self.proc / f"{self.pid}/task/{self.pid}/children")

    def read(self, now_ns: int) -> int:
        """Until now."""
        if now_ns >= self._look_at_ns:
            self._look_at_ns = now_ns + CHILDREN_EVERY_NS
            self._find_children()
        sum_ns = 0
        for pid, before_ns in list(self._seen.items()):
            used_ns = _cpu_ns(pid)
            if used_ns is None or used_ns < before_ns:  # ended, perhaps its number reused
                self._gone_ns += self._seen.pop(pid)
            else:
                self._seen[pid] = used_ns
                sum_ns += used_ns
        return self._gone_ns + sum_ns

    def close(self) -> None:
        """Let go of the file."""
        self._children.close()

    def _find_children(self) -> None:
        self._seen.setdefault(self.pid, 0)
        for word in (self._children.read() or b"").split():
            self._seen.setdefault(int(word), 0)


def _cpu_ns(pid: int) -> int | None:
    """The processor-time clock of a process (clock_getcpuclockid(3)); None if it has ended."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return None
