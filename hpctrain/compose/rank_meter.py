"""What one rank does about energy, from the first look at the sensors to the last row."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpctrain.compose.energy_rows import EnergyRows, total_of
from hpctrain.metering.board import BoardReader
from hpctrain.metering.discovery import Found
from hpctrain.metering.ledger import Entry, Key, Ledger
from hpctrain.metering.live import EnergyNow, LiveEnergy, RunningBill
from hpctrain.metering.money import Terms
from hpctrain.metering.sampler import Sampler, SampleRow
from hpctrain.metering.shares import Sharing
from hpctrain.metering.silence import Silence
from hpctrain.report.energy_line import HostTotal
from hpctrain.workers.candidate_energy import BookedCandidates
from hpctrain.workers.regions import book_regions_in

if TYPE_CHECKING:
    from hpctrain.runtime.ports import Clock, Notebook

POLL_EVERY_S = 1.0
LAST_LOOK_WITHIN_S = 2.0  # ranks that stop together wait so long for the last look at their host
LOOK_EVERY_S = 0.005

logger = logging.getLogger(__name__)


class RankMeter:
    """What one rank does about energy; without sensors on its host that is nothing.

    Attributes:
        off: the user wants no metering.
        ledger: of this rank; None without sensors.
        live: energy to date; None without sensors.
        counts: does any host of the run have sensors?
    """

    def __init__(
        self, notebook: Notebook, clock: Clock, host: str, rank: int, off: bool = False
    ) -> None:
        self.off = off
        self.counts = False
        self.ledger: Ledger | None = None
        self.live: LiveEnergy | None = None
        self._notebook = notebook
        self._clock = clock
        self._host = host
        self._rank = rank
        self._leads = False
        self._sampler: Sampler | None = None
        self._board: BoardReader | None = None
        self._bill: RunningBill | None = None
        self._round: int | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._total: HostTotal | None = None

    def start_sampler(
        self,
        found: Found,
        places: Sequence[Path],
        rate_hz: float,
        sharing: Sharing,
        budgets: Mapping[str, float],
    ) -> Path | None:
        """On the first rank of a host: begin to sample; where the ranks' file is.

        It is at the first of `places` that takes it; None if there is nothing to sample.
        """
        self._leads = True
        for path in places if found.sources else ():
            try:
                sampler = Sampler(
                    found.sources, path, rate_hz, lambda rows: self._note_samples(rows),
                    sharing=sharing,
                )  # fmt: skip
            except OSError as error:
                logger.warning("no energy samples in %s: %s", path, error)
                continue
            self._sample_rows = EnergyRows(self._host, self._run_s, sampler.wall, sampler.devices)
            self._sampler = sampler
            self._note_meter(sampler, found, sharing, {"rate_hz": rate_hz, "budgets": budgets})
            self._began_ns = time.monotonic_ns()
            sampler.start()
            return path
        return None

    def _note_meter(
        self, sampler: Sampler, found: Found, sharing: Sharing, said: Mapping[str, Any]
    ) -> None:
        """What is looked at, how often, how far the clock may be trusted; what may be used now."""
        about = {
            "host": self._host,
            "sources": [source.name for source in found.sources],
            "devices": [device.name for device in sampler.devices],
            **said,
            "shared": not sharing.exclusive,
            "idle": sharing.idle,
            "clock_offset_ns": sampler.wall.offset_ns,
            "clock_uncertainty_ns": sampler.wall.uncertainty_ns,
            "notes": list(found.notes),
        }
        self._notebook.note("event", {"kind": "meter", "text": json.dumps(about)})

    def open_ledger(self, path: Path, terms: Terms) -> None:
        """On every rank of a host that samples: book this rank's share.

        Raises:
            OSError: if the file cannot be opened, such as from another container.
        """
        board = self._board = BoardReader(path)
        self._path = path
        self._rows = EnergyRows.of_board(self._host, self._run_s, board)
        self._shared = bool(board.facts["shared"])
        self._rate_hz = float(board.facts["rate_hz"])
        self.ledger = Ledger(board, self._rank, self._note_entry, first=self._leads)
        self.live = LiveEnergy(board, self._rank, terms)
        book_regions_in(self.ledger)
        self._thread = threading.Thread(target=self._poll_often, name="energy books", daemon=True)
        self._thread.start()

    def candidates(self, spent: Callable[[], float]) -> BookedCandidates | None:
        """For a search, what books its candidates; None without sensors."""
        ledger, live = self.ledger, self.live
        if ledger is None or live is None:
            return None
        return BookedCandidates(ledger, live.joules, spent)

    def _poll_often(self) -> None:
        """Nothing else may happen on this rank for an hour, and what it uses is booked."""
        live, silence = self.live, Silence(self._rate_hz, time.monotonic_ns())
        while not self._over.wait(POLL_EVERY_S):
            self.poll()
            if self._leads and live is not None:
                self._tell(silence.look(time.monotonic_ns(), live.covered_ns()))

    def _tell(self, text: str) -> None:
        if text:
            logger.warning("energy of %s: %s", self._host, text)
            self._notebook.note("event", {"kind": "energy", "text": f"{self._host}: {text}"})

    def follow(self, phases: Callable[[], Mapping[str, int]]) -> None:
        """Book by these phases from now on."""
        if self.ledger is not None:
            self.ledger.follow(phases)

    def count_in(
        self, unit: str, terms: Terms, recorded: bool = False
    ) -> Callable[[], float] | None:
        """Count what is spent in `unit`: kwh, cost or gco2.

        Args:
            unit: of the sum.
            terms: prices and intensities.
            recorded: the run is recorded, or follows a recording: joules cannot be repeated, so
                they must not be in any message.

        Returns:
            `spent`; None, on all ranks, if no host of the run has sensors.
        """
        self._bill = RunningBill(terms, unit)
        return self.spent if self.counts and not recorded else None

    def spent(self) -> float:
        """In the budget's unit, since the run (or this part of it) began, by this rank.

        The first rank of a host that is the job's alone also answers for what no rank's share has.
        """
        if self.live is None or self._bill is None:
            return 0.0
        utc_ns, energy_uj = self.live.spent_uj(self._leads and not self._shared)
        return self._bill.add(utc_ns, energy_uj) if utc_ns else 0.0

    def round_begins(self, number: int) -> None:
        """Round `number` begins, and the one before it ends."""
        if self.ledger is None:
            return
        if self._round is not None:
            self.ledger.end(self._round)
        self._round = self.ledger.begin(Key("round", "", number))

    def poll(self) -> None:
        """Write rows on what has become known; call it often."""
        ledger = self.ledger
        if ledger is not None:
            ledger.poll()

    def now(self) -> EnergyNow | None:
        """Energy to date; None without sensors."""
        return None if self.live is None else self.live.now()

    def stop_sampler(self) -> None:
        """Take the last look; harmless the second time, and on ranks that do not sample."""
        sampler, self._sampler = self._sampler, None
        if sampler is not None:
            sampler.stop()

    def await_last_look(self) -> None:
        """Where all ranks stop but none may wait for another: books end with the host's last look.

        The file of the samples goes with the sampler. A first rank that takes long is not awaited.
        """
        self.stop_sampler()
        until_s = time.monotonic() + LAST_LOOK_WITHIN_S
        while self._board is not None and self._path.exists() and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)

    def close(self) -> HostTotal | None:
        """Stop sampling and write what is left; harmless the second time.

        Returns:
            The energy of the host since the start, on its first rank; None if it has no sensor.
        """
        self.stop_sampler()
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        board, self._board = self._board, None
        if board is not None and self.ledger is not None:
            book_regions_in(None)
            self.ledger.close()
            self._total = total_of(self._host, board, self._began_ns) if self._leads else None
            self.ledger = self.live = None
            board.close()
        return self._total

    def _note_entry(self, entry: Entry) -> None:
        self._notebook.note("energy", self._rows.entry(entry))

    def _note_samples(self, rows: Sequence[SampleRow]) -> None:
        for row in rows:
            self._notebook.note("energy_sample", self._sample_rows.sample(row))

    def _run_s(self, time_ns: int) -> float:
        """The run's time at an instant of the host's monotonic clock."""
        return self._clock.now_s() - (time.monotonic_ns() - time_ns) / 1e9
