"""A day of a host with four ranks in virtual time: by how much memory, file and log grow.

Prints the growth of the resident set and of the shared file from the end of hour 2 to the end of
hour 24: by hour 2 the ring of samples is full, so that all its pages have been touched. Bytes of
the log are of a day.

The clock is set, not waited for: 86,400 looks of the sampler, each followed by the four ledgers,
with phases, rounds and regions, and a run store's log of each rank.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from hpctrain.compose.energy_rows import EnergyRows
from hpctrain.metering.board import BoardReader
from hpctrain.metering.crew import Member
from hpctrain.metering.ledger import Entry, Key, Ledger
from hpctrain.metering.live import LiveEnergy
from hpctrain.metering.money import Terms
from hpctrain.metering.reading import Component, Device, Reading
from hpctrain.metering.sampler import Sampler
from hpctrain.metering.shares import Sharing
from hpctrain.storage.log import RankLog

S = 10**9
HOUR_S = 3600
RANKS = 4
PARTS: tuple[Component, ...] = ("package", "dram", "package", "dram")
PHASES = {"compute": 0.7, "exchange": 0.1, "wait": 0.15, "evaluate": 0.05}  # seconds of each
ROUND_S = 30
FULL_AFTER_H = 2


class VirtualHost:
    """Sampler, ledgers and logs on a clock that is set."""

    def __init__(self, folder: Path) -> None:
        self.now_ns = S
        self.devices = tuple(Device(f"d{n}", part, "counter") for n, part in enumerate(PARTS))
        self.name = "virtual"
        self.logs = [RankLog.create(folder / f"log{rank}", {}) for rank in range(RANKS)]
        crew = tuple(Member(rank, "h", os.getpid(), (rank,)) for rank in range(RANKS))
        sharing = Sharing(crew, idle_w={"package": 60.0})
        self.board = folder / "board"
        self._sampler = Sampler(
            [self], self.board, on_rows=self._note_samples, clock=self.clock, sharing=sharing
        )
        self._sampler.look()
        self._rows = EnergyRows("h", self._run_s, self._sampler.wall, self.devices)
        self._ranks = [Rank(self, rank) for rank in range(RANKS)]

    def clock(self) -> int:
        return self.now_ns

    def read(self) -> tuple[Reading, ...]:
        uj = self.now_ns // 1000
        return tuple(Reading(self.now_ns, uj * (50 + 10 * n)) for n in range(len(PARTS)))

    def close(self) -> None:
        pass

    def second(self, number: int) -> None:
        self.now_ns += S
        self._sampler.look()
        for rank in self._ranks:
            rank.second(number)

    def log_bytes(self) -> int:
        return sum(log.path.stat().st_size for log in self.logs)

    def _run_s(self, time_ns: int) -> float:
        return time_ns / S

    def _note_samples(self, rows: Any) -> None:
        for row in rows:
            self.logs[0].append("energy_sample", self._rows.sample(row))


class Rank:
    """The books of one rank."""

    def __init__(self, host: VirtualHost, rank: int) -> None:
        board = BoardReader(host.board)
        self._log = host.logs[rank]
        self._rows = EnergyRows.of_board("h", host._run_s, board)
        self._live = LiveEnergy(board, rank, Terms(), host.clock)
        self._phases: dict[str, int] = {}
        self._ledger = Ledger(board, rank, self._note, rank == 0, host.clock)
        self._ledger.follow(lambda: self._phases)
        self._round = self._ledger.begin(Key("round", "", 0))

    def second(self, number: int) -> None:
        ledger = self._ledger
        with ledger.during(Key("region", "load")), ledger.during(Key("region", "load/decode")):
            for name, seconds in PHASES.items():
                self._phases[name] = self._phases.get(name, 0) + round(seconds * S)
        if number % ROUND_S == 0:
            ledger.end(self._round)
            self._round = ledger.begin(Key("round", "", number // ROUND_S))
        ledger.poll()
        self._live.now()

    def _note(self, entry: Entry) -> None:
        self._log.append("energy", self._rows.entry(entry))


def state(host: VirtualHost) -> tuple[int, int, int]:
    """Bytes of the resident set, of the shared file and of the logs."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    return resident, host.board.stat().st_size, host.log_bytes()


def main(hours: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        host = VirtualHost(Path(name))
        states = []
        for hour in range(hours):
            for second in range(HOUR_S):
                host.second(hour * HOUR_S + second)
            states.append(state(host))
        (resident, board, log), last = states[FULL_AFTER_H - 1], states[-1]
    grown = {
        "bytes_growth_per_day": last[0] - resident + last[1] - board,
        "log_bytes_per_day": round((last[2] - log) * 24 / (hours - FULL_AFTER_H)),
    }
    print(json.dumps(grown))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 24)
