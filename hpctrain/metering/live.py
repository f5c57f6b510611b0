"""Energy to date, while a run goes on: joules, watts, and what that has cost so far."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from hpctrain.metering.account import MEASURED_COVERAGE
from hpctrain.metering.board import BoardReader
from hpctrain.metering.files import Clock
from hpctrain.metering.money import UJ_PER_KWH, Terms, priced_in
from hpctrain.metering.shares import COVERED, UNTIL

POWER_OVER = 5  # samples for the power that is shown
AHEAD_PERIODS = 2.0  # E(t) is carried on from the last sample for no longer than that


@dataclass(frozen=True, slots=True)
class EnergyNow:
    """What a rank can know of energy at this moment, without asking anybody.

    Joules are carried on from the last look at the sensors with the power of the last few looks:
    the part since the last look is an estimate. The run store has what the sensors said.

    Attributes:
        joules: the share of this rank since the run (or this part of it) began.
        watts: its power over the last few looks.
        host_joules, host_watts: of the whole host.
        cost: of the host's energy so far, PUE included; None without a tariff.
        currency: of that.
        gco2: grams of CO2 equivalent by location, likewise; None without an intensity.
        quality: "measured", "partial", "estimate" or "none".
    """

    joules: float
    watts: float
    host_joules: float
    host_watts: float
    cost: float | None
    currency: str
    gco2: float | None
    quality: str


class RunningBill:
    """Adds up what energy costs as it is used; pieces of time that cross a step are split.

    Args:
        terms: of the site; they must cover the time.
        unit: of the sum: "kwh" of IT energy; "cost" or "gco2" of facility energy.
    """

    def __init__(self, terms: Terms, unit: str = "kwh") -> None:
        self.spent = 0.0
        self._steps, self._factor = priced_in(terms, unit)
        self._last: tuple[int, int] | None = None

    def add(self, utc_ns: int, energy_uj: int) -> float:
        """Until `utc_ns`, `energy_uj` was used since the beginning; what was spent until then.

        Where the series ends before the run does, its last value goes on to hold.
        """
        last, self._last = self._last, (utc_ns, energy_uj)
        if last is None or energy_uj == last[1]:
            return self.spent
        used_kwh = (energy_uj - last[1]) / UJ_PER_KWH * self._factor
        if self._steps is None:
            self.spent += used_kwh
        else:
            self.spent += used_kwh * self._steps.mean(last[0], utc_ns)
        return self.spent


class _Look(NamedTuple):
    """What one sample tells a rank."""

    at_ns: int
    utc_ns: int
    host_uj: int
    mine_j: float
    mine_w: float
    host_j: float
    host_w: float
    quality: str


class LiveEnergy:
    """Reads a host's board for one rank."""

    def __init__(
        self, board: BoardReader, rank: int, terms: Terms, clock: Clock = time.monotonic_ns
    ) -> None:
        self._board = board
        self._mine = board.layout.place(rank)
        self._nobody = board.layout.place(None)
        self._all = board.layout.all
        self._clock = clock
        self._cost = RunningBill(terms, "cost") if terms.tariff else None
        self._gco2 = RunningBill(terms, "gco2") if terms.location else None
        self._currency = terms.tariff.unit.upper() if terms.tariff else ""
        self._estimate = any(device.quality == "estimate" for device in board.devices)
        self._longest_ns = round(AHEAD_PERIODS * 1e9 / board.facts["rate_hz"])
        self._first: tuple[int, int] | None = None
        self._known: tuple[int, _Look] | None = None

    def now(self) -> EnergyNow | None:
        """None before the first look."""
        look = self._look()
        if look is None:
            return None
        ahead_s = min(self._clock() - look.at_ns, self._longest_ns) / 1e9
        utc_ns, host_uj = look.utc_ns, look.host_uj
        return EnergyNow(
            look.mine_j + look.mine_w * ahead_s, look.mine_w,
            look.host_j + look.host_w * ahead_s, look.host_w,
            self._cost.add(utc_ns, host_uj) if self._cost else None, self._currency,
            self._gco2.add(utc_ns, host_uj) if self._gco2 else None,
            look.quality,
        )  # fmt: skip

    def joules(self) -> float | None:
        """The share of this rank to date; None before the first look."""
        now = self.now()
        return None if now is None or now.quality == "none" else now.joules

    def covered_ns(self) -> int:
        """Time for which there are readings, until the last look."""
        newest, _ = self._looks()
        return 0 if newest is None else newest[COVERED]

    def spent_uj(self, with_nobody: bool) -> tuple[int, int]:
        """UTC nanoseconds of the last look, and microjoules of this rank, or of nobody as well."""
        newest, _ = self._looks()
        if newest is None:
            return 0, 0
        nobody = sum(newest[self._nobody]) if with_nobody else 0
        return self._board.wall.utc_ns(newest[UNTIL]), sum(newest[self._mine]) + nobody

    def _look(self) -> _Look | None:
        """What the newest sample tells; made once for each sample."""
        count = self._board.count
        if self._known is not None and self._known[0] == count:
            return self._known[1]
        newest, older = self._looks()
        if newest is None:
            return None
        look = self._told(newest, older or newest)
        self._known = (count, look)
        return look

    def _told(self, words: tuple[int, ...], before: tuple[int, ...]) -> _Look:
        at_ns = words[UNTIL]
        since_s = max(at_ns - before[UNTIL], 1) / 1e9
        mine_uj, host_uj = sum(words[self._mine]), sum(words[self._all])
        mine_j, host_j = mine_uj / 1e6, host_uj / 1e6
        mine_w = (mine_j - sum(before[self._mine]) / 1e6) / since_s
        host_w = (host_j - sum(before[self._all]) / 1e6) / since_s
        utc_ns, quality = self._board.wall.utc_ns(at_ns), self._quality(at_ns, words[COVERED])
        return _Look(at_ns, utc_ns, host_uj, mine_j, mine_w, host_j, host_w, quality)

    def _looks(self) -> tuple[tuple[int, ...] | None, tuple[int, ...] | None]:
        board, count = self._board, self._board.count
        newest = board.shares(count) or board.shares(count - 1)
        return newest, board.shares(max(1, count - POWER_OVER))

    def _quality(self, at_ns: int, covered_ns: int) -> str:
        began_ns, before_ns = self._first = self._first or (at_ns, covered_ns)
        if covered_ns == 0:
            return "none"
        if self._estimate:
            return "estimate"
        whole = covered_ns - before_ns >= MEASURED_COVERAGE * (at_ns - began_ns)
        return "measured" if whole else "partial"
