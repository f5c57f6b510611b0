"""Energy of all hosts of a run up to any time, from the ledger: the rows of kind `energy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hpctrain.metering.account import MEASURED_COVERAGE
from hpctrain.report.energies.amount import Amount, grouped, known_rows, numbers, together
from hpctrain.report.energies.imagined import HOST as IMAGINED
from hpctrain.report.tables import Array, Table, chosen, num_rows

SERIES = ("host", "worker", "rank", "name")  # what rows that follow each other agree in


@dataclass(frozen=True, slots=True)
class EnergyAlong:
    """What was used by when, and how far it may be trusted.

    Attributes:
        rows: those that are added up: of whole hosts, or where there are none of phases.
        amount: of all of them.
        told_hosts, num_hosts: hosts with readings, and all.
        imagined: whether settings of a simulation say it.
    """

    rows: Table
    amount: Amount
    told_hosts: int
    num_hosts: int
    imagined: bool

    def by(self, times_s: Array) -> Array:
        """Joules used by each of `times_s`, in seconds since the start of the run."""
        parts = [np.unique(self.rows[name], return_inverse=True)[1] for name in SERIES]
        series = np.unique(np.stack(parts), axis=1, return_inverse=True)[1].ravel()
        used = np.zeros(len(times_s))
        for number in np.unique(series):
            used += _used(chosen(self.rows, series == number), times_s)
        return used

    @property
    def words(self) -> str:
        """What kind of number it is, in a line or two: an estimate with its bounds."""
        if self.imagined:
            return "imagined (simulate.watts)"
        text = "measured"
        if self.amount.quality == "estimate":
            text = f"an estimate{_bounds(self.amount)}"
        elif self.amount.coverage < MEASURED_COVERAGE:
            text = f"measured for {self.amount.coverage:.0%} of the time"
        if self.told_hosts < self.num_hosts:
            text += f",\n{self.told_hosts} of {self.num_hosts} hosts only"
        return text


def read_energy_along(rows: Table, hosts: Sequence[str]) -> EnergyAlong | None:
    """The energy of a run; None if nothing is known of it.

    Args:
        rows: of kind `energy`.
        hosts: names of all hosts of the run.
    """
    if not num_rows(rows):
        return None
    whole = rows["scope"] == "host"
    rows = chosen(rows, whole if whole.any() else rows["scope"] == "phase")
    amounts = {str(group.key[0]): group.amount for group in grouped(rows, "host")}
    told = {name for name, amount in amounts.items() if amount.joules is not None}
    if not told:
        return None
    imagined = all(name.startswith(IMAGINED) for name in told)
    return EnergyAlong(
        rows=chosen(rows, known_rows(rows)),
        amount=together(list(amounts.values())),
        told_hosts=len(told),
        num_hosts=len(told) if imagined else len({*hosts, *amounts}),
        imagined=imagined,
    )


def _used(rows: Table, times_s: Array) -> Array:
    """Joules of one host, or of one rank in one phase: a straight line within each row."""
    rows = chosen(rows, np.argsort(rows["time_s"], kind="stable"))
    ends = numbers(rows, "time_s")
    before = np.append(0.0, ends[:-1])
    if rows["scope"][0] == "host":  # a phase is entered many times in the interval of its row
        before = np.maximum(before, ends - np.nan_to_num(numbers(rows, "duration_s")))
    after_j = np.cumsum(numbers(rows, "joules"))
    knots_s = np.stack([before, ends], 1).ravel()
    knots_j = np.stack([np.append(0.0, after_j[:-1]), after_j], 1).ravel()
    return np.asarray(np.interp(times_s, knots_s, knots_j))


def _bounds(amount: Amount) -> str:
    joules, low_j, high_j = amount.joules, amount.low_j, amount.high_j
    if not joules or low_j is None or high_j is None or low_j == high_j:
        return ""
    return f"\n({low_j / joules:.2g} to {high_j / joules:.2g} times that)"
