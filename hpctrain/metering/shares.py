"""Shares: at each look at the sensors, what each rank has used until then, in whole microjoules.

The sampler cuts what the host used since the last look by `attribution`, and adds it up. Shares of
all ranks and what is nobody's are the host's total at every look, exactly.

    words on the board: for each rank, and then for nobody, the components; the time for which all
    this is known, and until when it is

A look at which a device could not be read is not shared out, but with the next: otherwise all that
was used in both would seem to have been used after it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpctrain.metering.account import HostEnergy, Used
from hpctrain.metering.attribution import HostUse, IdleRule, RankUse, attribute
from hpctrain.metering.crew import CORE, Member, ProcessTime, core_parts, gpu_owners
from hpctrain.metering.load import Load
from hpctrain.metering.reading import COMPONENTS, Component, Device, is_part
from hpctrain.metering.series import Knot

COVERED, UNTIL = -2, -1  # places of the last two words
PATIENCE = 3  # looks, for which a device that cannot be read is waited for
_NEVER = Knot(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Sharing:
    """By which rules a host's energy is shared out.

    Attributes:
        crew: the ranks of the job on this host; none: all stays unattributed.
        exclusive: the job has the host for itself.
        idle: whose the idle power is.
        idle_w: power of a device at rest, by component; without an entry it is not known.
    """

    crew: tuple[Member, ...] = ()
    exclusive: bool = True
    idle: IdleRule = "cores"
    idle_w: Mapping[Component, float] = field(default_factory=dict)


NOBODY = Sharing()


@dataclass(frozen=True, slots=True)
class Layout:
    """Where shares stand among the words of a sample."""

    ranks: tuple[int, ...]
    components: tuple[Component, ...]

    @property
    def num_words(self) -> int:
        return (len(self.ranks) + 1) * len(self.components) + 2

    def place(self, rank: int | None) -> slice:
        """The components of a rank; None: of nobody."""
        at = len(self.ranks) if rank is None else self.ranks.index(rank)
        return slice(at * len(self.components), (at + 1) * len(self.components))

    @property
    def all(self) -> slice:
        """The components of everybody."""
        return slice(0, (len(self.ranks) + 1) * len(self.components))


class Shares:
    """Kept by the sampler."""

    def __init__(
        self, devices: Sequence[Device], sharing: Sharing, proc: Path = Path("/proc")
    ) -> None:
        """Nothing is used yet.

        Args:
            devices: of the host.
            sharing: the rules.
            proc: where processes and the load of the host are found.
        """
        crew = sharing.crew
        self._devices, self._sharing = tuple(devices), sharing
        present = {device.component for device in devices}
        components = tuple(component for component in COMPONENTS if component in present)
        self.layout = Layout(tuple(member.rank for member in crew), components)
        self.words = [0] * self.layout.num_words
        self._load = Load(proc / "stat")
        self._times = [ProcessTime(member.pid, proc) for member in crew]
        self._parts = core_parts(crew)
        self._owners = gpu_owners(crew)
        known_w = sharing.idle_w
        self._idle_w = {d.name: known_w[d.component] for d in devices if d.component in known_w}
        self._knots: tuple[Knot | None, ...] = (None,) * len(devices)
        self._at_ns: int | None = None
        self._deferred = 0
        self._counted = [not is_part(device.component, present) for device in devices]
        self._cpu_ns = [0] * len(crew)
        self._busy_ns = self._cores = 0

    def look(self, now_ns: int, knots: Sequence[Knot | None], final: bool = False) -> list[int]:
        """Share out what was used since the last look; the words for the board.

        Args:
            now_ns: on the host's monotonic clock.
            knots: E(t) of the devices.
            final: no other look comes: nothing is waited for.
        """
        if self._deferred < PATIENCE and not final and self._is_behind(knots):
            self._deferred += 1
            return self.words
        self._deferred = 0
        since_ns = now_ns if self._at_ns is None else self._at_ns
        energy = HostEnergy(now_ns - since_ns, tuple(self._used(knots)))
        uses, host = self._uses(now_ns)
        counted = energy.counted
        if any(used.energy_uj for used in counted):
            self._add(energy, uses, host)
        if counted:
            self.words[COVERED] += min(used.covered_ns for used in counted)
        self._knots, self._at_ns, self.words[UNTIL] = tuple(knots), now_ns, now_ns
        return self.words

    def close(self) -> None:
        """Let go of files."""
        self._load.close()
        for process in self._times:
            process.close()

    def _is_behind(self, knots: Sequence[Knot | None]) -> bool:
        """Has a device that counts no reading since the last look that was shared out?"""
        for knot, before, counts in zip(knots, self._knots, self._counted, strict=True):
            read = knot is None or before is None or knot.time_ns > before.time_ns
            if counts and not read:
                return True
        return False

    def _used(self, knots: Sequence[Knot | None]) -> Iterator[Used]:
        """By every device that has had a reading, since the last look that was shared out."""
        for device, knot, before in zip(self._devices, knots, self._knots, strict=True):
            if knot is not None:
                was = before or _NEVER
                used_uj = knot.energy_uj - was.energy_uj
                yield Used(device, used_uj, knot.covered_ns - was.covered_ns)

    def _add(self, energy: HostEnergy, uses: list[RankUse], host: HostUse) -> None:
        found = attribute(energy, uses, host, self._sharing.idle)
        size, words = len(self.layout.components), self.words
        for row, parts in enumerate((*found.ranks.values(), found.unattributed)):
            for place, component in enumerate(self.layout.components):
                words[row * size + place] += parts.get(component, 0)

    def _uses(self, now_ns: int) -> tuple[list[RankUse], HostUse]:
        """What ranks and host did since the last look."""
        cpu_ns = [process.read(now_ns) for process in self._times]
        used = zip(self._sharing.crew, cpu_ns, self._cpu_ns, self._parts, strict=True)
        uses = [RankUse(member.rank, now - then, parts) for member, now, then, parts in used]
        busy_ns, self._cores = self._load.busy() or (self._busy_ns, self._cores)
        host = HostUse(
            busy_ns - self._busy_ns, self._cores * CORE, self._sharing.exclusive,
            self._idle_w, self._owners,
        )  # fmt: skip
        self._cpu_ns, self._busy_ns = cpu_ns, busy_ns
        return uses, host
