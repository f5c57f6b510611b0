"""Energy of a training run: a sampler on the first rank of each host, and rows for the store."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.compose.start import together
from hpctrain.metering.account import HostEnergy
from hpctrain.metering.board import BoardReader
from hpctrain.metering.discovery import Found, find_sources
from hpctrain.metering.model import read_profile
from hpctrain.metering.reading import COMPONENTS
from hpctrain.metering.sampler import Sampler, SampleRow
from hpctrain.metering.window import Mark, Windows
from hpctrain.report.energy_line import HostTotal, energy_line

if TYPE_CHECKING:
    from hpctrain.config import RunConfig
    from hpctrain.runtime.ports import Clock, Notebook, World

SHARED_MEMORY = Path("/dev/shm")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Span:
    """An interval of which a row is to be written."""

    scope: str
    number: int
    begin: Mark
    end: Mark


class HostMeter:
    """What one rank does about energy; on all but the first rank of a host that is nothing.

    The rows of a host's rounds are those of the first worker there, and of the whole host: they
    tile the run.
    """

    def __init__(self, notebook: Notebook, clock: Clock, host: str, off: bool = False) -> None:
        self.off = off
        self._notebook = notebook
        self._clock = clock
        self._host = host
        self._sampler: Sampler | None = None
        self._spans: deque[_Span] = deque()
        self._round = -1
        self._seen = 0
        self._total: HostTotal | None = None

    def start(self, found: Found, places: Sequence[Path], rate_hz: float) -> None:
        """Begin to sample, with the ranks' file at the first of `places` that takes it."""
        for path in places if found.sources else ():
            try:
                sampler = Sampler(found.sources, path, rate_hz, self._note_samples)
            except OSError as error:
                logger.warning("no energy samples in %s: %s", path, error)
                continue
            self._board = BoardReader(path)
            self._windows = Windows(self._board)
            self._began = self._last = self._windows.mark()
            self._sampler = sampler
            sampler.start()
            return

    def round_begins(self, number: int) -> None:
        """Round `number` begins, and the one before it ends."""
        if self._sampler is None:
            return
        mark = self._windows.mark()
        if self._round >= 0:
            self._spans.append(_Span("round", self._round, self._last, mark))
        self._last, self._round = mark, number

    def poll(self) -> None:
        """Write the rows of intervals whose energy has become known; call it often."""
        if self._spans and self._board.count != self._seen:
            self._seen = self._board.count
            self._write(final=False)

    def close(self) -> HostTotal | None:
        """Stop sampling and write what is left; harmless the second time.

        Returns:
            The energy of the host since the start; None if it has no sensor, or another rank tells.
        """
        sampler, self._sampler = self._sampler, None
        if sampler is None:
            return self._total
        end = self._windows.mark()
        sampler.stop()
        if self._round >= 0:
            self._spans.append(_Span("round", self._round, self._last, end))
        self._spans.append(_Span("run", -1, self._began, end))
        self._write(final=True)
        self._total = _total(self._host, self._windows.between(self._began, end))
        self._board.close()
        return self._total

    def _write(self, final: bool) -> None:
        settle = self._windows.settle
        while self._spans:
            span = self._spans[0]
            if not (settle(span.begin, final) and settle(span.end, final)):
                return
            energy = self._windows.between(span.begin, span.end)
            row = {"time_s": self._run_s(span.end.time_ns), "scope": span.scope}
            row |= {"number": span.number, "host": self._host} | energy_row(energy)
            self._notebook.note("energy", row)
            self._spans.popleft()

    def _note_samples(self, rows: Sequence[SampleRow]) -> None:
        for row in rows:
            fields = {"time_s": self._run_s(row.end_ns), "host": self._host} | sample_row(row)
            self._notebook.note("energy_sample", fields)

    def _run_s(self, time_ns: int) -> float:
        """The run's time at an instant of the host's monotonic clock."""
        return self._clock.now_s() - (time.monotonic_ns() - time_ns) / 1e9


def start_metering(
    config: RunConfig, world: World, run_id: str, notebook: Notebook, clock: Clock
) -> HostMeter:
    """Collective. The meter of this rank, running.

    Args:
        config: of the run.
        world: of the run.
        run_id: names the file in shared memory.
        notebook: for rows; the sampler's thread writes into it too.
        clock: of the run.

    Raises:
        HpctrainError: on all ranks, if the energy profile cannot be used.
    """
    hosts = world.hosts()
    host = hosts[world.rank]
    meter = HostMeter(notebook, clock, host, config.energy.meter == "off")
    leads = hosts.index(host) == world.rank
    found = together(world, lambda: _found(config) if leads else None)
    if found is not None:
        if not found.sources and not meter.off:
            text = f"no energy readings on {host}: {'; '.join(found.notes)}"
            notebook.note("event", {"kind": "energy", "text": text})
        name = f"hpctrain-{os.getuid()}-{run_id}-{world.rank}.energy"
        places = [place / name for place in (SHARED_MEMORY, Path(config.run_dir))]
        meter.start(found, places, config.energy.rate_hz)
    return meter


def energy_used(meter: HostMeter, world: World) -> str:
    """Collective. Ends the meters; the line of the summary, "" if the user wants none."""
    totals = world.gather(meter.close())
    hosts = set(world.hosts())
    if meter.off:
        return ""
    return energy_line([total for total in totals if total is not None], len(hosts))


def _found(config: RunConfig) -> Found:
    energy = config.energy
    profile = None if energy.profile is None else read_profile(Path(energy.profile))
    return find_sources(Path(energy.sysfs_root), energy.meter, profile)


def energy_row(energy: HostEnergy) -> dict[str, Any]:
    """The columns of a row on an interval; what no sensor tells is missing."""
    row: dict[str, Any] = {
        "duration_s": energy.duration_ns / 1e9,
        "coverage": energy.coverage,
        "quality": energy.quality,
    }
    if energy.quality == "none":
        return row
    row |= {"joules": energy.total_uj / 1e6}
    row |= {"low_j": energy.low_uj / 1e6, "high_j": energy.high_uj / 1e6}
    for component in COMPONENTS:
        used_uj = energy.component_uj(component)
        if used_uj is not None:
            row[f"{component}_j"] = used_uj / 1e6
    return row


def sample_row(row: SampleRow) -> dict[str, Any]:
    """The columns of a row on one device."""
    device, duration_ns = row.device, row.end_ns - row.begin_ns
    columns: dict[str, Any] = {
        "device": device.name,
        "component": device.component,
        "duration_s": duration_ns / 1e9,
        "coverage": row.covered_ns / duration_ns,
        "quality": device.quality,
    }
    if row.covered_ns == 0:
        return columns
    joules = row.energy_uj / 1e6
    columns |= {"joules": joules, "watts": joules / (row.covered_ns / 1e9)}
    return columns | {"low_j": joules * device.low, "high_j": joules * device.high}


def _total(host: str, energy: HostEnergy) -> HostTotal:
    joules = (energy.total_uj / 1e6, energy.low_uj / 1e6, energy.high_uj / 1e6)
    return HostTotal(host, *joules, energy.coverage, energy.quality)
