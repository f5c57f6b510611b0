"""Where the energy went: the rows of kind `energy`, and what they leave over.

The phases of the ranks of a host and what is unattributed there are the host's energy. In a run
that was killed the last rows of one or the other may be missing: what then is left over is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.report.energies.amount import Amount, grouped
from hpctrain.report.energies.hosts import HostUse
from hpctrain.report.tables import Array, Table, chosen

PHASES = {
    "compute": "inner steps",
    "exchange": "outer exchange",
    "wait": "wait",
    "evaluate": "evaluation",
    "checkpoint": "checkpoint",
    "other": "other",
}
ROUNDING = 1e-6  # of the whole, with sums of up to millions of rows


@dataclass(frozen=True, slots=True)
class Booking:
    """One rank's energy in one phase, or in a region that it entered `count` times."""

    host: str
    rank: int
    worker: int
    name: str
    amount: Amount
    count: int = 0


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was booked.

    Attributes:
        phases: by host, rank and phase; they are disjoint.
        unattributed: of each host, what belongs to no rank.
        regions: by host, rank and region; inside the phases, and perhaps in each other.
        not_booked_j: of each host, its energy less all of its phases and the unattributed; below
            zero if the ledger goes further than the samples.
    """

    phases: tuple[Booking, ...]
    unattributed: dict[str, Amount]
    regions: tuple[Booking, ...]
    not_booked_j: dict[str, float]

    @property
    def has_rows(self) -> bool:
        return bool(self.phases or self.unattributed)

    @property
    def left_over_j(self) -> float:
        return sum(self.not_booked_j.values())


def read_ledger(rows: Table, hosts: Sequence[HostUse]) -> Ledger:
    """The ledger in the rows of kind `energy`; empty for runs that kept none."""
    phases = _bookings(chosen(rows, _is(rows, "phase")))
    free = grouped(chosen(rows, _is(rows, "unattributed")), "host")
    unattributed = {str(group.key[0]): group.amount for group in free}
    regions = _bookings(chosen(rows, _is(rows, "region")))
    whole = {host.host: host.amount for host in hosts}
    for group in grouped(chosen(rows, _is(rows, "host")), "host"):
        if whole.get(str(group.key[0]), Amount()).joules is None:
            whole[str(group.key[0])] = group.amount
    left = _left_over(phases, unattributed, whole) if phases or unattributed else {}
    return Ledger(phases, unattributed, regions, left)


def _is(rows: Table, scope: str) -> Array:
    return np.asarray(rows["scope"] == scope)


def _bookings(rows: Table) -> tuple[Booking, ...]:
    return tuple(
        Booking(str(host), int(rank), int(worker), str(name), group.amount, group.count)
        for group in grouped(rows, "host", "rank", "worker", "name")
        for host, rank, worker, name in [group.key]
    )


def _left_over(
    phases: Sequence[Booking], unattributed: dict[str, Amount], whole: dict[str, Amount]
) -> dict[str, float]:
    booked = {host: amount.known_j for host, amount in unattributed.items()}
    for booking in phases:
        booked[booking.host] = booked.get(booking.host, 0.0) + booking.amount.known_j
    left = {}
    for host, amount in whole.items():
        if amount.joules is None:
            continue
        rest_j = amount.joules - booked.get(host, 0.0)
        if abs(rest_j) > ROUNDING * max(abs(amount.joules), 1.0):
            left[host] = rest_j
    return left
